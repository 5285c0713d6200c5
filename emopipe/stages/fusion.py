"""Stage fusion: features of one or several backbones -> trained networks, and what they predict."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from emopipe import __version__
from emopipe.cache.partial import partial_folder
from emopipe.cache.preserved import PreservedOutputs, content
from emopipe.cache.store import content_digest
from emopipe.cache.tensors import save_state
from emopipe.core import tables
from emopipe.core.atomic import write_text
from emopipe.core.fingerprint import digest, recipe_text
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER, Progress
from emopipe.fusion import cross_validation
from emopipe.fusion.cross_validation import Outcome
from emopipe.fusion.data import Data
from emopipe.fusion.features import Features, load
from emopipe.fusion.options import FusionOptions, Protocol
from emopipe.fusion.protocol import KFOLD, Roles, roles
from emopipe.fusion.trained_cache import Finished
from emopipe.runtime import device as devices
from emopipe.scoring import predictions

BESIDE = ("predictions", "oof", "seeds", "candidates")
"""What is made beside the model."""


def run(
    recipe: Mapping[str, Any],
    clips: Path,
    features: Mapping[str, Path],
    outputs: Mapping[str, Path],
    *,
    device: str,
    threads: int,
    outlive: bool = False,
) -> None:
    """Train by the protocol, and predict the clips that it leaves out.

    Args:
        recipe: `Plan.fusion`.
        clips: The clip table.
        features: Stream or `<stream>@<view>` -> its merged features.
        outputs: What to make. `model`: the networks in one safetensors file with keys `seed0.<key>` and so on;
            `predictions`: the mean of the seeds' probabilities for the clips that the protocol reports; `oof`: the
            same out of fold for the clips learned from; `seeds`: what each seed predicts; `candidates`: how each
            candidate did.
        device: auto, cpu or cuda.
        threads: CPU threads.
        outlive: Keep what was made for the job that a next run starts in its place (`cache.preserved`), and take
            up what such a job has left.

    Raises:
        CorpusError: There are no clips to learn from.
        CacheError: Features are damaged, or made by something else than the recipe says.
    """
    where = devices.prepare(device, threads)
    options = FusionOptions.model_validate(recipe["options"])
    table = tables.read(clips)
    parts = roles(table, Protocol.model_validate(recipe["protocol"]))
    views = _views(recipe, features, list(table["clip"]))
    usable = [s for s, plain in views.items() if plain[0].present.numpy()[parts.learn].any()]
    for name in set(views) - set(usable):
        LOGGER.warning(f"No clip to learn from has vectors of {name}: {outputs['predictions'].stem} does without.")
    stamp = _stamp(recipe, clips, features, where)
    preserved = PreservedOutputs([outputs["model"], *(outputs[name] for name in BESIDE)], stamp) if outlive else None
    with partial_folder(outputs["model"]) as unfinished:
        if preserved and preserved.restore():
            return
        if usable:
            data = _data(recipe, table, {stream: views[stream] for stream in usable}, where)
            left = _without(options, usable, data.modalities)
            networks = cross_validation.count(parts, options)
            progress = Progress(f"fusion {outputs['predictions'].stem}", networks, unit="networks")
            outcome = cross_validation.model(data, table, parts, left, progress.advance, Finished(unfinished, stamp))
            outcome.candidates["note"] = _note(recipe, usable, options, left)
            covered = data.present.cpu().numpy()
        else:
            outcome, covered = _nothing(parts, options), np.zeros(len(table), bool)
        _write(outcome, table, parts, covered, options, outputs)
        _save(outcome, outputs["model"], recipe, where)
        if preserved:
            preserved.save()


def _stamp(recipe: Mapping[str, Any], clips: Path, features: Mapping[str, Path], where: torch.device) -> str:
    """Digest of all that the model depends on: clips and labels, and vectors too, change while the recipe stays."""
    read = {name: content_digest(path, recipe["features"][name]) for name, path in sorted(features.items())}
    return digest([recipe, content(clips), read, devices.name_of(where)])


def _data(
    recipe: Mapping[str, Any], table: pd.DataFrame, views: Mapping[str, list[Features]], where: torch.device
) -> Data:
    modalities = {stream: recipe["streams"][stream] for stream in views}
    targets = np.array([CLASSES.index(label) if label else -1 for label in table["label"]])
    return Data.of(views, modalities, targets, where)


def _views(recipe: Mapping[str, Any], features: Mapping[str, Path], clips: list[str]) -> dict[str, list[Features]]:
    """Of each stream the plain features, then its views."""
    return {
        stream: [
            load(path, clips, recipe["features"][name])
            for name, path in features.items()
            if name.partition("@")[0] == stream
        ]
        for stream in recipe["streams"]
    }


def _without(options: FusionOptions, usable: list[str], modalities: Mapping[str, str]) -> FusionOptions:
    """The options for the streams that are there: what is left of a fusion may be a single modality."""
    joins_modalities = options.fusion in ("fbp", "adaptive_fbp")
    if len(usable) == 1 or (joins_modalities and len(set(modalities.values())) == 1):
        return options.model_copy(update={"fusion": "concat"})
    return options


def _note(recipe: Mapping[str, Any], usable: list[str], options: FusionOptions, left: FusionOptions) -> str:
    """What a reader of tables has to know of a model that does without a stream."""
    gone = [stream for stream in recipe["streams"] if stream not in usable]
    if not gone:
        return ""
    joined = f", and {left.fusion} in place of {options.fusion}" if left.fusion != options.fusion else ""
    return f"Without {', '.join(gone)}, of which no clip to learn from has vectors{joined}."


def _nothing(parts: Roles, options: FusionOptions) -> Outcome:
    """No clip has any stream: there is nothing to train."""
    shape = (len(options.seeds), 0, len(CLASSES))
    note = "No clip to learn from has vectors of any stream: the answers are the classes' shares."
    empty = pd.DataFrame([{"candidate": 0, "chosen": 1, "note": note}])
    blank = np.zeros((shape[0], len(parts.learn), shape[2]))
    return Outcome({}, blank, np.zeros((shape[0], len(parts.asked), shape[2])), empty)


def _write(
    outcome: Outcome,
    table: pd.DataFrame,
    parts: Roles,
    covered: np.ndarray,
    options: FusionOptions,
    outputs: Mapping[str, Path],
) -> None:
    targets = table["label"].iloc[parts.learn].map(CLASSES.index).to_numpy()
    prior = _shares(targets)
    priors = np.stack([_shares(targets[parts.fold != fold]) for fold in range(parts.folds)])

    def predicted(rows: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
        """Clips that no stream covers get the classes' shares among the clips learned from."""
        known = np.where(covered[rows][:, None], probabilities, prior)
        return predictions.table(table.iloc[rows], known, covered[rows])

    def left_out(probabilities: np.ndarray) -> pd.DataFrame:
        """The clips learned from, out of fold; their prior, too, is of the other folds."""
        known = np.where(covered[parts.learn][:, None], probabilities, priors[parts.fold])
        return predictions.table(table.iloc[parts.learn], known, covered[parts.learn]).assign(fold=parts.fold)

    learned, asked = left_out(outcome.out_of_fold.mean(0)), predicted(parts.asked, outcome.asked.mean(0))
    seeds = [predicted(parts.asked, p).assign(seed=s) for s, p in zip(options.seeds, outcome.asked, strict=True)]
    folded = [left_out(p).assign(seed=s) for s, p in zip(options.seeds, outcome.out_of_fold, strict=True)]
    if parts.cross_validated:
        asked = pd.concat([learned.drop(columns="fold").assign(split=KFOLD), asked], ignore_index=True)
        seeds = [table.drop(columns="fold").assign(split=KFOLD) for table in folded] + seeds
    predictions.write(asked, outputs["predictions"])
    predictions.write(learned, outputs["oof"])
    predictions.write(pd.concat(seeds, ignore_index=True), outputs["seeds"])
    text = outcome.candidates.to_csv(index=False, float_format="%.6f", lineterminator="\n")
    write_text(outputs["candidates"], text)


def _shares(targets: np.ndarray) -> np.ndarray:
    """The classes' shares (K,) among clips; even ones where there is no clip."""
    counts = np.bincount(targets, minlength=len(CLASSES))
    return counts / counts.sum() if counts.sum() else np.full(len(CLASSES), 1 / len(CLASSES))


def _save(outcome: Outcome, path: Path, recipe: Mapping[str, Any], where: torch.device) -> None:
    tensors = {
        f"{name}.{key}": tensor for name, network in outcome.networks.items() for key, tensor in network.state.items()
    }
    about = {"recipe": recipe_text(recipe), "classes": " ".join(CLASSES), "device": devices.name_of(where)}
    save_state(tensors, path, {**about, "recipe_digest": digest(recipe), "package": __version__})
