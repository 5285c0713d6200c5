"""Stage pretrain: trains a backbone on the corpus' own training clips, out of fold."""

import copy
import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from emopipe.backbones import crossfit, feature_alignment, registry
from emopipe.backbones.classifier import TRAINED_ON, Classifier, load_head, trained_classes
from emopipe.backbones.head_in_file import has_classifier, in_metadata
from emopipe.cache.partial import partial_folder
from emopipe.cache.preserved import PreservedOutputs, content
from emopipe.cache.store import content_digest
from emopipe.core import tables
from emopipe.core.atomic import sha256, write_text
from emopipe.core.errors import CorpusError
from emopipe.core.fingerprint import digest, recipe_text
from emopipe.core.labels import CLASSES, LabelSpace, of_recipe
from emopipe.core.log import LOGGER
from emopipe.fusion.options import Protocol
from emopipe.fusion.protocol import split_clips
from emopipe.runtime import device as devices
from emopipe.runtime.memory import AdaptiveBatches
from emopipe.training.checkpoint import Checkpoint
from emopipe.training.dataset import Dataset
from emopipe.training.history import EpochMetrics, history_table
from emopipe.training.options import PretrainOptions
from emopipe.training.trainer import Trainer
from emopipe.weights import trained_on

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
        history: The CSV to write: one row per network and epoch, with the scores of each fold's network on its fold.
        start: Weights to start from, or None.
        device: auto, cpu or cuda.
        threads: CPU threads.
        preserve: Keep a copy of the outputs for the next run if this run is killed, and restore such a copy (see
            `emopipe.cache.preserved`).

    Raises:
        ConfigError: A loss is not finite, because the learning rate is too high.
        CorpusError: Too few training clips have a face or sound.
        CacheError: A shard is damaged or was made by another recipe, or another process is writing these weights.
    """
    where = devices.prepare(device, threads)
    read = [content_digest(path, recipe["source"]) for path in shards]
    stamp = digest([recipe, sha256(clips), read, content(start), devices.name_of(where)])
    preserved = PreservedOutputs([output, history], stamp) if preserve else None
    with partial_folder(output) as unfinished:
        if preserved and preserved.restore():
            return
        dataset, train = _read_dataset(recipe, clips, shards, output.stem)
        train = train.assign(fold=train["clip"].map(_folds(recipe, clips)))
        networks = _Networks(recipe, dataset, train, where, start, unfinished)
        weights, histories = networks.train_out_of_fold(output.stem)
        metadata = {"recipe_digest": digest(recipe), "recipe": recipe_text(recipe), "device": devices.name_of(where)}
        metadata |= _trained_on(dataset, train, start, of_recipe(recipe))
        crossfit.save(weights, output, metadata)
        tables_of = [history_table(of_network).assign(network=name) for name, of_network in histories.items()]
        whole = pd.concat(tables_of).set_index("network")
        write_text(history, whole.to_csv())
        if preserved:
            preserved.save()


def _read_dataset(
    recipe: Mapping[str, Any], clips: Path, shards: Sequence[Path], name: str
) -> tuple[Dataset, pd.DataFrame]:
    """Return the samples of the training clips, and the rows of the clip table for the clips that have samples."""
    options = PretrainOptions.model_validate(recipe["pretrain"])
    spec = registry.spec(recipe["kind"], registry.options_from(recipe, None))
    train = tables.read(clips).query("split == 'train'")
    reader = importlib.import_module(f"emopipe.training.{spec.modality}_clips")
    dataset, found = reader.read(shards, train, spec, options, of_recipe(recipe))
    if len(found) < 2:
        what = "a face" if spec.modality == "face" else "sound"
        raise CorpusError(
            f"{len(found)} of {len(train)} training clips have {what}, but at least 2 are needed to train {name}. See "
            "the reasons in the ledger, or use weights that are already trained."
        )
    return dataset, found


def _folds(recipe: Mapping[str, Any], clips: Path) -> dict[str, int]:
    """Return the fold of each clip that fusion trains on; they are cut as the folds of fusion are."""
    table = tables.read(clips)
    split = split_clips(table, Protocol.model_validate(recipe["folds"]), of_recipe(recipe))
    return dict(zip(table["clip"].iloc[split.train_idx], split.fold.tolist(), strict=True))


def _counts(dataset: Dataset, space: LabelSpace) -> dict[str, int]:
    """Return class -> the number of its samples; shares of votes are summed and rounded."""
    return dict(zip(space.names, dataset.targets.sum(0).round().astype(int).tolist(), strict=True))


def _trained_on(dataset: Dataset, train: pd.DataFrame, start: str | None, space: LabelSpace) -> dict[str, str]:
    """Return the metadata on what the networks were trained on, with what they started from."""
    contents = (
        frozenset(digest[: trained_on.DIGITS] for digest in train["digest"]) if "digest" in train else frozenset()
    )
    seen = trained_on.TrainedOn(_counts(dataset, space), frozenset(), contents - {""})
    return trained_on.to_metadata(seen.after(trained_on.read(start) if start else trained_on.TrainedOn()))


class _Networks:
    """Several networks of one backbone, trained on parts of the same samples."""

    def __init__(
        self,
        recipe: Mapping[str, Any],
        dataset: Dataset,
        clips: pd.DataFrame,
        where: torch.device,
        start: str | None,
        unfinished: Path,
    ) -> None:
        """`clips`: those of the samples, in the order of their numbers, with folds; `unfinished`: for checkpoints."""
        self._recipe, self._dataset, self._clips = recipe, dataset, clips
        self._where, self._start, self._unfinished = where, start, unfinished
        self._options = PretrainOptions.model_validate(recipe["pretrain"])
        self._space = of_recipe(recipe)
        self._kind, self._backbone = recipe["kind"], registry.options_from(recipe, None)
        self._dim = registry.spec(self._kind, self._backbone).dim

    def train_out_of_fold(self, name: str) -> tuple[crossfit.CrossfitWeights, dict[str, list[EpochMetrics]]]:
        """Train all networks; return their weights, and the history of each network by its name."""
        fold = self._clips["fold"].to_numpy()  # (clips,)
        fold_of = dict(zip(self._clips["clip"], fold.tolist(), strict=True))
        whole, history = self._train(name, "all", np.zeros(len(fold), bool))
        states, alignments, histories = [], [], {"all": history}
        for number in range(max(fold_of.values()) + 1):
            part, histories[f"fold{number}"] = self._train(name, f"fold{number}", fold == number)
            alignments.append(self._alignment(part.backbone, whole.backbone, fold != number))
            states.append(crossfit.state_of(part))
        about = {TRAINED_ON: json.dumps({"classes": _counts(self._dataset, self._space)}), **trained_classes(whole)}
        about |= {} if self._space.names == CLASSES else in_metadata(self._space.names)
        return crossfit.CrossfitWeights(crossfit.state_of(whole), states, alignments, fold_of, about), histories

    def _train(self, backbone: str, name: str, left_out: np.ndarray) -> tuple[Classifier, list[EpochMetrics]]:
        """Train one network and its classifier without the clips `left_out` (clips,) bool.

        All networks start from the same weights.
        """
        # 1. The network, and where it starts.
        torch.manual_seed(self._options.seed)
        network = registry.build(self._kind, self._backbone)
        if self._start:
            registry.load(self._kind, self._backbone, network, self._start)
        model = Classifier(network, self._dim, self._options.dropout, self._space.names)
        if self._start and has_classifier(self._start):
            load_head(model, self._start)
        # 2. The samples: those of held-out clips are only scored.
        dataset = copy.copy(self._dataset)
        dataset.split = np.where(left_out[dataset.clip], "val", "train")
        if (samples := int((dataset.split == "train").sum())) < 2:
            raise CorpusError(
                f"The network {name} of {backbone} has {samples} training samples, but needs at least 2. Add training "
                "clips, or use weights that are already trained."
            )
        # 3. Training.
        state = digest([self._recipe, name, devices.name_of(self._where)])  # states of other devices do not fit
        checkpoint = Checkpoint(self._unfinished / f"{name}.pt", state)
        # A fold may take all clips of a class away: it stays a class of all networks, as in the fusion stage.
        classes = self._dataset.targets.sum(0) > 0
        title = f"pretrain {backbone} {name}"
        trainer = Trainer(model, dataset, self._options, self._where, checkpoint, name=title, classes=classes)
        trainer.run()
        if left_out.any():
            accuracy = trainer.history[-1]["val_accuracy"]
            LOGGER.info(f"{name}: accuracy {accuracy:.1%} on the {left_out.sum()} clips that it was trained without")
        return model, trainer.history

    @torch.inference_mode()
    def _alignment(self, part: nn.Module, whole: nn.Module, shared: np.ndarray) -> np.ndarray:
        """Fit the map (D + 1, D) from one network's vectors to another's, over clips that both were trained on."""
        rows = np.flatnonzero(shared[self._dataset.clip])
        rows = np.random.default_rng(self._options.seed).permutation(rows)[:ALIGNMENT_VECTORS]
        return feature_alignment.fit_map(self._vectors(part, rows), self._vectors(whole, rows))

    def _vectors(self, network: nn.Module, rows: np.ndarray) -> np.ndarray:
        """Return the vectors (n, D) of the samples at `rows`; patches of sound are rows of their own."""
        batches, found = AdaptiveBatches(devices.name_of(self._where)), []
        for batch in self._dataset.eval_batches(rows, self._where):
            found += batches.map(lambda part: network(part).flatten(0, -2).float().cpu().numpy(), batch.views[0])
        return np.concatenate(found)
