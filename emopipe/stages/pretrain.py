"""Stage pretrain: trains a backbone on the corpus' own training clips, out of fold."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from emopipe.backbones import crossfit, feature_alignment, registry
from emopipe.backbones.classifier import Classifier, has_classifier, load_head
from emopipe.cache.partial import partial_folder
from emopipe.cache.preserved import PreservedOutputs, content
from emopipe.cache.store import content_digest
from emopipe.core import tables
from emopipe.core.atomic import sha256, write_text
from emopipe.core.errors import CorpusError
from emopipe.core.fingerprint import digest, recipe_text
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER, Progress
from emopipe.corpora import folds
from emopipe.runtime import device as devices
from emopipe.runtime.memory import training_fits
from emopipe.training.checkpoint import Checkpoint
from emopipe.training.clip_trainer import Trained, fit
from emopipe.training.options import PretrainOptions
from emopipe.training.samples import Samples

ALIGNMENT_VECTORS = 20_000
"""Number of vectors that the alignment of two networks is fitted on; more would not change it."""


def run(
    recipe: Mapping[str, Any],
    clips: Path,
    shards: Sequence[Path],
    output: Path,
    history: Path,
    *,
    start: str | None,
    device: str,
    threads: int,
    preserve: bool = False,
) -> None:
    """Train one network on all training clips and, for each fold, one network without that fold.

    Args:
        recipe: The recipe (`Plan.pretrain`).
        clips: The clip table.
        shards: All shards of the faces stage (face network) or of the decode stage (audio network).
        output: The file of weights to write (see `emopipe.backbones.crossfit`).
        history: The CSV to write: the losses, and the accuracy of each fold's network on its held-out clips.
        start: Weights to start from, or None.
        device: auto, cpu or cuda.
        threads: CPU threads.
        preserve: Keep a copy of the outputs for the next run if this run is killed, and restore such a copy (see
            `emopipe.cache.preserved`).

    Raises:
        CorpusError: Fewer than two training clips have a face or sound.
        CacheError: A shard is damaged or was made by another recipe, or another process is writing these weights.
    """
    where = devices.prepare(device, threads)
    read = [content_digest(path, recipe["source"]) for path in shards]
    stamp = digest([recipe, sha256(clips), read, content(start), devices.name_of(where)])
    preserved = PreservedOutputs([output, history], stamp) if preserve else None
    with partial_folder(output) as unfinished:
        if preserved and preserved.restore():
            return
        samples, train = _read_samples(recipe, clips, shards, output.stem)
        networks = _Networks(recipe, samples, train, where, start, unfinished)
        weights, trained = networks.train_out_of_fold(output.stem)
        metadata = {"recipe_digest": digest(recipe), "recipe": recipe_text(recipe), "device": devices.name_of(where)}
        crossfit.save(weights, output, metadata)
        rows = [
            {"network": name, "epoch": epoch, "loss": round(loss, 5), "left_out_accuracy": round(one.accuracy, 5)}
            for name, one in trained.items()
            for epoch, loss in enumerate(one.losses, start=1)
        ]
        write_text(history, pd.DataFrame(rows).to_csv(index=False))
        if preserved:
            preserved.save()


def _read_samples(
    recipe: Mapping[str, Any], clips: Path, shards: Sequence[Path], name: str
) -> tuple[Samples, pd.DataFrame]:
    """Return the samples of the training clips, and the rows of the clip table for the clips that have samples."""
    options = PretrainOptions.model_validate(recipe["pretrain"])
    spec = registry.spec(recipe["kind"], registry.options_from(recipe, None))
    train = tables.read(clips).query("split == 'train'")
    reader = importlib.import_module(f"emopipe.training.{spec.modality}_clips")
    samples = reader.read(shards, list(train["clip"]), spec, options)
    if len(samples.clips) < 2:
        what = "a face" if spec.modality == "face" else "sound"
        raise CorpusError(
            f"{len(samples.clips)} of {len(train)} training clips have {what}, but at least 2 are needed to train "
            f"{name}. See the reasons in the ledger, or use weights that are already trained."
        )
    return samples, train.set_index("clip", drop=False).loc[samples.clips]


class _Networks:
    """Several networks of one backbone, trained on parts of the same samples."""

    def __init__(
        self,
        recipe: Mapping[str, Any],
        samples: Samples,
        train: pd.DataFrame,
        where: torch.device,
        start: str | None,
        unfinished: Path,
    ) -> None:
        """`train` holds the clips of the samples, in their order; `unfinished` is a folder for checkpoints."""
        self._recipe, self._samples, self._train_table = recipe, samples, train
        self._where, self._start, self._unfinished = where, start, unfinished
        self._targets = train["label"].map(CLASSES.index).to_numpy()  # (clips,)
        self._options = PretrainOptions.model_validate(recipe["pretrain"])
        self._kind, self._backbone = recipe["kind"], registry.options_from(recipe, None)
        self._dim = registry.spec(self._kind, self._backbone).dim

    def train_out_of_fold(self, name: str) -> tuple[crossfit.CrossfitWeights, dict[str, Trained]]:
        """Train all networks; return their weights, and the history of each network by its name."""
        fold_of = folds.assign(self._train_table, self._options.folds, self._options.seed)
        fold = np.array([fold_of[clip] for clip in self._samples.clips])  # (clips,)
        count = max(fold_of.values()) + 1
        progress = Progress(f"pretrain {name}", (count + 1) * self._options.epochs, unit="epochs")
        whole, trained = self._train("all", np.zeros(len(fold), bool), progress)
        states, alignments, histories = [], [], {"all": trained}
        for number in range(count):
            part, histories[f"fold{number}"] = self._train(f"fold{number}", fold == number, progress)
            alignments.append(self._alignment(part, whole, fold != number))
            states.append(crossfit.state_of(part))
        return crossfit.CrossfitWeights(crossfit.state_of(whole), states, alignments, fold_of), histories

    def _train(self, name: str, held_out: np.ndarray, progress: Progress) -> tuple[nn.Module, Trained]:
        """Train one network without the clips `held_out` (clips,) bool; all networks start from the same weights."""
        torch.manual_seed(self._options.seed)
        backbone = registry.build(self._kind, self._backbone)
        if self._start:
            registry.load(self._kind, self._backbone, backbone, self._start)
        model = Classifier(backbone, self._dim, self._options.dropout)
        if self._start and has_classifier(self._start):
            load_head(model, self._start)
        state = digest([self._recipe, name, devices.name_of(self._where)])  # states of other devices do not fit
        checkpoint = Checkpoint(self._unfinished / f"{name}.pt", state)
        with training_fits(self._where, f"Lower `batch` of `pretrain` (it is {self._options.batch})."):
            trained = fit(
                model, self._samples, self._targets, held_out, self._options, self._where, progress, checkpoint
            )
        if held_out.any():
            LOGGER.info(f"{name}: accuracy {trained.accuracy:.1%} on its {held_out.sum()} held-out clips")
        return backbone, trained

    @torch.inference_mode()
    def _alignment(self, part: nn.Module, whole: nn.Module, shared: np.ndarray) -> np.ndarray:
        """Fit the map (D + 1, D) from one network's vectors to another's, over clips that both were trained on."""
        rows = np.flatnonzero(shared[self._samples.clip])
        rows = np.random.default_rng(self._options.seed).permutation(rows)[:ALIGNMENT_VECTORS]
        return feature_alignment.fit_map(self._vectors(part, rows), self._vectors(whole, rows))

    def _vectors(self, network: nn.Module, rows: np.ndarray) -> np.ndarray:
        """Return the vectors (n, D) of the samples at `rows`; patches of sound are rows of their own."""
        blocks = []
        for begin in range(0, len(rows), 64):
            batch = self._samples.batch(rows[begin : begin + 64], None).to(self._where)
            blocks.append(network(batch).flatten(0, -2).float().cpu().numpy())
        return np.concatenate(blocks)
