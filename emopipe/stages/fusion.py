"""Stage fusion: features of one or several backbones -> trained networks, and what they predict."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from emopipe import __version__, predictions, tables
from emopipe import device as devices
from emopipe.backbones.weights import save_state
from emopipe.features import Features, load
from emopipe.files import write_text
from emopipe.fusion import modelling
from emopipe.fusion.batches import Data
from emopipe.fusion.modelling import Outcome
from emopipe.fusion.options import FusionOptions, Protocol
from emopipe.fusion.protocol import KFOLD, Roles, roles
from emopipe.labels import CLASSES
from emopipe.progress import LOGGER, Progress
from emopipe.provenance import digest, recipe_text


def run(
    recipe: Mapping[str, Any],
    clips: Path,
    features: Mapping[str, Path],
    outputs: Mapping[str, Path],
    *,
    device: str,
    threads: int,
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

    Raises:
        CorpusError: There are no clips to learn from.
    """
    where = devices.prepare(device, threads)
    options = FusionOptions.model_validate(recipe["options"])
    table = tables.read(clips)
    parts = roles(table, Protocol.model_validate(recipe["protocol"]))
    views = _views(recipe, features, list(table["clip"]))
    usable = [s for s, plain in views.items() if plain[0].present.numpy()[parts.learn].any()]
    for name in set(views) - set(usable):
        LOGGER.warning(f"No clip to learn from has vectors of {name}: {outputs['predictions'].stem} does without.")
    if usable:
        modalities = {stream: recipe["streams"][stream] for stream in usable}
        targets = np.array([CLASSES.index(label) if label else -1 for label in table["label"]])
        data = Data.of({stream: views[stream] for stream in usable}, modalities, targets, where)
        left = modelling.count(parts, options)
        progress = Progress(f"fusion {outputs['predictions'].stem}", left, unit="networks")
        outcome = modelling.model(data, table, parts, _without(options, usable, modalities), progress.advance)
        covered = data.present.cpu().numpy()
    else:
        outcome, covered = _nothing(parts, options), np.zeros(len(table), bool)
    _write(outcome, table, parts, covered, options, outputs)
    _save(outcome, outputs["model"], recipe, where)


def _views(recipe: Mapping[str, Any], features: Mapping[str, Path], clips: list[str]) -> dict[str, list[Features]]:
    """Of each stream the plain features, then its views."""
    return {
        stream: [load(path, clips) for name, path in features.items() if name.partition("@")[0] == stream]
        for stream in recipe["streams"]
    }


def _without(options: FusionOptions, usable: list[str], modalities: Mapping[str, str]) -> FusionOptions:
    """The options for the streams that are there: what is left of a fusion may be a single modality."""
    joins_modalities = options.fusion in ("fbp", "adaptive_fbp")
    if len(usable) == 1 or (joins_modalities and len(set(modalities.values())) == 1):
        return options.model_copy(update={"fusion": "concat"})
    return options


def _nothing(parts: Roles, options: FusionOptions) -> Outcome:
    """No clip has any stream: there is nothing to train."""
    shape = (len(options.seeds), 0, len(CLASSES))
    empty = pd.DataFrame(columns=["candidate", "seed", "oof_loss", "oof_accuracy", "epochs", "chosen"])
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
    prior = np.bincount(targets, minlength=len(CLASSES)) / len(targets)

    def predicted(rows: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
        """Clips that no stream covers get the classes' shares among the clips learned from."""
        known = np.where(covered[rows][:, None], probabilities, prior)
        return predictions.table(table.iloc[rows], known, covered[rows])

    learned = predicted(parts.learn, outcome.out_of_fold.mean(0)).assign(fold=parts.fold)
    asked = predicted(parts.asked, outcome.asked.mean(0))
    seeds = [_by_seed(table.iloc[parts.asked], outcome.asked, options, covered[parts.asked], prior)]
    if parts.cross_validated:
        asked = pd.concat([learned.drop(columns="fold").assign(split=KFOLD), asked], ignore_index=True)
        mine = _by_seed(table.iloc[parts.learn], outcome.out_of_fold, options, covered[parts.learn], prior)
        seeds = [mine.assign(split=KFOLD), *seeds]
    predictions.write(asked, outputs["predictions"])
    predictions.write(learned, outputs["oof"])
    write_text(outputs["seeds"], pd.concat(seeds, ignore_index=True).to_csv(index=False, lineterminator="\n"))
    text = outcome.candidates.to_csv(index=False, float_format="%.6f", lineterminator="\n")
    write_text(outputs["candidates"], text)


def _by_seed(
    clips: pd.DataFrame, probabilities: np.ndarray, options: FusionOptions, covered: np.ndarray, prior: np.ndarray
) -> pd.DataFrame:
    """The class that each seed's network predicts, a column a seed."""
    result = clips[["clip", "split", "label"]].reset_index(drop=True)
    for seed, of_seed in zip(options.seeds, probabilities, strict=True):
        best = np.where(covered, of_seed.argmax(1), prior.argmax())
        result[f"seed{seed}"] = [CLASSES[number] for number in best]
    return result


def _save(outcome: Outcome, path: Path, recipe: Mapping[str, Any], where: torch.device) -> None:
    tensors = {
        f"{name}.{key}": tensor for name, network in outcome.networks.items() for key, tensor in network.state.items()
    }
    about = {"recipe": recipe_text(recipe), "classes": " ".join(CLASSES), "device": devices.name_of(where)}
    save_state(tensors, path, {**about, "recipe_digest": digest(recipe), "package": __version__})
