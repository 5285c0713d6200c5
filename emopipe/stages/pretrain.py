"""Stage pretrain: a corpus' own training clips -> weights of a backbone, out of fold."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from emopipe import device as devices
from emopipe import folds, tables
from emopipe.backbones import learned, registry
from emopipe.backbones.base import Spec
from emopipe.backbones.emotion import has_classifier, load_head
from emopipe.errors import CorpusError
from emopipe.files import write_text
from emopipe.labels import CLASSES
from emopipe.options import Options
from emopipe.pretraining import axes
from emopipe.pretraining.fit import Classifier, Trained, fit
from emopipe.pretraining.options import PretrainOptions
from emopipe.pretraining.samples import Samples
from emopipe.progress import LOGGER, Progress
from emopipe.provenance import digest, recipe_text

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
) -> None:
    """Train one network on all training clips and one a fold without that fold.

    Args:
        recipe: `Plan.pretrain`.
        clips: The clip table.
        shards: All shards of the faces stage (face network) or of the decode stage (audio network).
        output: The weights to make (see `emopipe.backbones.learned`).
        history: A CSV of losses and of each fold's accuracy on the clips that it left out.
        start: Weights to start from, or None.
        device: auto, cpu or cuda.
        threads: CPU threads.

    Raises:
        CorpusError: No training clip has what the network reads.
    """
    where = devices.prepare(device, threads)
    options = PretrainOptions.model_validate(recipe["pretrain"])
    backbone = registry.options_from(recipe, None)
    spec = registry.spec(recipe["kind"], backbone)
    train = tables.read(clips).query("split == 'train'")
    kind_of_samples = importlib.import_module(f"emopipe.pretraining.{spec.modality}")
    samples = kind_of_samples.read(shards, list(train["clip"]), spec, options)
    if len(samples.clips) < 2:
        what = "a face" if spec.modality == "face" else "sound"
        raise CorpusError(
            f"{len(samples.clips)} of {len(train)} training clips have {what}: {output.stem} cannot be pretrained on "
            "them; see the ledger's reasons, or use weights that are trained already."
        )
    train = train.set_index("clip", drop=False).loc[samples.clips]
    fold_of = folds.assign(train, options.folds, options.seed)
    job = _Job(recipe["kind"], backbone, spec, options, samples, train, where, start)
    fold = train["clip"].map(fold_of).to_numpy()
    count = max(fold_of.values()) + 1
    progress = Progress(f"pretrain {output.stem}", (count + 1) * options.epochs, unit="epochs")
    whole, trained = job.train("all clips", np.zeros(len(train), bool), progress)
    states, maps, histories = [], [], [("all", trained)]
    for number in range(count):
        part, trained = job.train(f"fold {number}", fold == number, progress)
        maps.append(job.map_between(part, whole, fold != number))
        states.append(learned.state_of(part))
        histories.append((f"fold{number}", trained))
    result = learned.Learned(learned.state_of(whole), states, maps, fold_of)
    learned.save(
        result,
        output,
        {"recipe_digest": digest(recipe), "recipe": recipe_text(recipe), "device": devices.name_of(where)},
    )
    write_text(history, _history(histories).to_csv(index=False))


class _Job:
    """One backbone, one set of samples, trained several times."""

    def __init__(
        self,
        kind: str,
        backbone: Options,
        spec: Spec,
        options: PretrainOptions,
        samples: Samples,
        train: pd.DataFrame,
        where: torch.device,
        start: str | None,
    ) -> None:
        self._kind, self._backbone, self._spec, self._options = kind, backbone, spec, options
        self._samples, self._where, self._start = samples, where, start
        self._targets = train["label"].map(CLASSES.index).to_numpy()

    def train(self, name: str, left_out: np.ndarray, progress: Progress) -> tuple[nn.Module, Trained]:
        """A network trained without the clips `left_out`; every one starts from the same weights."""
        torch.manual_seed(self._options.seed)
        backbone = registry.build(self._kind, self._backbone)
        if self._start:
            registry.load(self._kind, self._backbone, backbone, self._start)
        model = Classifier(backbone, self._spec.dim, self._options.dropout)
        if self._start and has_classifier(self._start):
            load_head(model, self._start)
        trained = fit(model, self._samples, self._targets, left_out, self._options, self._where, progress)
        if left_out.any():
            LOGGER.info(f"{name}: {trained.accuracy:.1%} of its {left_out.sum()} left-out clips are right")
        return backbone, trained

    @torch.inference_mode()
    def map_between(self, part: nn.Module, whole: nn.Module, shared: np.ndarray) -> np.ndarray:
        """The map from one network's axes to another's, over clips that both have seen; (D + 1, D)."""
        rows = np.flatnonzero(shared[self._samples.clip])
        generator = np.random.default_rng(self._options.seed)
        rows = generator.permutation(rows)[:MOST_VECTORS]
        return axes.fit_map(self._vectors(part, rows), self._vectors(whole, rows))

    def _vectors(self, network: nn.Module, rows: np.ndarray) -> np.ndarray:
        blocks = []
        for begin in range(0, len(rows), 64):
            batch = self._samples.batch(rows[begin : begin + 64], None).to(self._where)
            blocks.append(network(batch).flatten(0, -2).float().cpu().numpy())
        return np.concatenate(blocks)


def _history(histories: list[tuple[str, Trained]]) -> pd.DataFrame:
    rows = [
        {"network": name, "epoch": epoch, "loss": round(loss, 5), "left_out_accuracy": round(trained.accuracy, 5)}
        for name, trained in histories
        for epoch, loss in enumerate(trained.losses, start=1)
    ]
    return pd.DataFrame(rows)
