"""Stage pretrain: a corpus' own training clips -> weights of a backbone, out of fold."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from emopipe.backbones import crossfit, feature_alignment, registry
from emopipe.backbones.base import Spec
from emopipe.backbones.classifier import has_classifier, load_head
from emopipe.cache.partial import partial_folder
from emopipe.cache.preserved import PreservedOutputs, content
from emopipe.cache.store import content_digest
from emopipe.core import tables
from emopipe.core.atomic import sha256, write_text
from emopipe.core.errors import CorpusError
from emopipe.core.fingerprint import digest, recipe_text
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER, Progress
from emopipe.core.options import Options
from emopipe.corpora import folds
from emopipe.runtime import device as devices
from emopipe.training.checkpoint import Checkpoint
from emopipe.training.clip_trainer import Classifier, Trained, fit
from emopipe.training.options import PretrainOptions
from emopipe.training.samples import Samples

MOST_VECTORS = 20_000
"""Vectors that a map between two networks' axes is fitted on; more would not change it."""


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
    outlive: bool = False,
) -> None:
    """Train one network on all training clips and one a fold without that fold.

    Args:
        recipe: `Plan.pretrain`.
        clips: The clip table.
        shards: All shards of the faces stage (face network) or of the decode stage (audio network).
        output: The weights to make (see `emopipe.backbones.crossfit`).
        history: A CSV of losses and of each fold's accuracy on the clips that it left out.
        start: Weights to start from, or None.
        device: auto, cpu or cuda.
        threads: CPU threads.
        outlive: Keep what was made for the job that a next run starts in its place (`cache.preserved`), and take
            up what such a job has left.

    Raises:
        CorpusError: No training clip has what the network reads.
        CacheError: A shard is damaged, or made by something else than the recipe says, or another process is making
            these weights.
    """
    where = devices.prepare(device, threads)
    read = [content_digest(path, recipe["source"]) for path in shards]
    stamp = digest([recipe, sha256(clips), read, content(start), devices.name_of(where)])
    preserved = PreservedOutputs([output, history], stamp) if outlive else None
    with partial_folder(output) as unfinished:
        if preserved and preserved.restore():
            return
        job, fold_of = _job(recipe, clips, shards, output.stem, where, start, unfinished)
        result, trained = _out_of_fold(job, fold_of, output.stem)
        metadata = {"recipe_digest": digest(recipe), "recipe": recipe_text(recipe), "device": devices.name_of(where)}
        crossfit.save(result, output, metadata)
        write_text(history, _history(trained).to_csv(index=False))
        if preserved:
            preserved.save()


def _job(
    recipe: Mapping[str, Any],
    clips: Path,
    shards: Sequence[Path],
    name: str,
    where: torch.device,
    start: str | None,
    unfinished: Path,
) -> tuple["_Job", dict[str, int]]:
    """The training with all that it needs, and the fold of each clip."""
    options = PretrainOptions.model_validate(recipe["pretrain"])
    backbone = registry.options_from(recipe, None)
    spec = registry.spec(recipe["kind"], backbone)
    train = tables.read(clips).query("split == 'train'")
    kind_of_samples = importlib.import_module(f"emopipe.training.{spec.modality}_clips")
    samples = kind_of_samples.read(shards, list(train["clip"]), spec, options)
    if len(samples.clips) < 2:
        what = "a face" if spec.modality == "face" else "sound"
        raise CorpusError(
            f"{len(samples.clips)} of {len(train)} training clips have {what}: {name} cannot be pretrained on "
            "them; see the ledger's reasons, or use weights that are trained already."
        )
    train = train.set_index("clip", drop=False).loc[samples.clips]
    job = _Job(recipe, backbone, spec, options, samples, train, where, start, unfinished)
    return job, folds.assign(train, options.folds, options.seed)


def _out_of_fold(job: "_Job", fold_of: dict[str, int], name: str) -> tuple[crossfit.Learned, dict[str, Trained]]:
    """The networks, the first on all clips, and how each one's training went."""
    fold = np.array([fold_of[clip] for clip in job.clips])  # (clips,)
    count = max(fold_of.values()) + 1
    progress = Progress(f"pretrain {name}", (count + 1) * job.options.epochs, unit="epochs")
    whole, trained = job.train("all", np.zeros(len(fold), bool), progress)
    states, maps, histories = [], [], {"all": trained}
    for number in range(count):
        part, histories[f"fold{number}"] = job.train(f"fold{number}", fold == number, progress)
        maps.append(job.map_between(part, whole, fold != number))
        states.append(crossfit.state_of(part))
    return crossfit.Learned(crossfit.state_of(whole), states, maps, fold_of), histories


class _Job:
    """One backbone, one set of samples, trained several times."""

    def __init__(
        self,
        recipe: Mapping[str, Any],
        backbone: Options,
        spec: Spec,
        options: PretrainOptions,
        samples: Samples,
        train: pd.DataFrame,
        where: torch.device,
        start: str | None,
        unfinished: Path,
    ) -> None:
        self.options, self.clips = options, samples.clips
        self._recipe, self._kind, self._backbone, self._spec = recipe, recipe["kind"], backbone, spec
        self._samples, self._where, self._start, self._unfinished = samples, where, start, unfinished
        self._targets = train["label"].map(CLASSES.index).to_numpy()

    def train(self, name: str, left_out: np.ndarray, progress: Progress) -> tuple[nn.Module, Trained]:
        """A network trained without the clips `left_out`; every one starts from the same weights."""
        torch.manual_seed(self.options.seed)
        backbone = registry.build(self._kind, self._backbone)
        if self._start:
            registry.load(self._kind, self._backbone, backbone, self._start)
        model = Classifier(backbone, self._spec.dim, self.options.dropout)
        if self._start and has_classifier(self._start):
            load_head(model, self._start)
        state = digest([self._recipe, name, devices.name_of(self._where)])  # another device's states do not fit
        checkpoint = Checkpoint(self._unfinished / f"{name}.pt", state)
        trained = fit(model, self._samples, self._targets, left_out, self.options, self._where, progress, checkpoint)
        if left_out.any():
            LOGGER.info(f"{name}: {trained.accuracy:.1%} of its {left_out.sum()} left-out clips are right")
        return backbone, trained

    @torch.inference_mode()
    def map_between(self, part: nn.Module, whole: nn.Module, shared: np.ndarray) -> np.ndarray:
        """The map from one network's axes to another's, over clips that both have seen; (D + 1, D)."""
        rows = np.flatnonzero(shared[self._samples.clip])
        generator = np.random.default_rng(self.options.seed)
        rows = generator.permutation(rows)[:MOST_VECTORS]
        return feature_alignment.fit_map(self._vectors(part, rows), self._vectors(whole, rows))

    def _vectors(self, network: nn.Module, rows: np.ndarray) -> np.ndarray:
        blocks = []
        for begin in range(0, len(rows), 64):
            batch = self._samples.batch(rows[begin : begin + 64], None).to(self._where)
            blocks.append(network(batch).flatten(0, -2).float().cpu().numpy())
        return np.concatenate(blocks)


def _history(histories: Mapping[str, Trained]) -> pd.DataFrame:
    rows = [
        {"network": name, "epoch": epoch, "loss": round(loss, 5), "left_out_accuracy": round(trained.accuracy, 5)}
        for name, trained in histories.items()
        for epoch, loss in enumerate(trained.losses, start=1)
    ]
    return pd.DataFrame(rows)
