"""Stage fusion: features of one or several backbones -> trained networks, and what they predict."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from emopipe import __version__, predictions, tables
from emopipe import device as devices
from emopipe.backbones.learned import state_of
from emopipe.backbones.weights import save_state
from emopipe.errors import CorpusError
from emopipe.features import Features, load
from emopipe.fusion.model import FusionModel
from emopipe.fusion.options import FusionOptions
from emopipe.fusion.training import predict, train
from emopipe.labels import CLASSES
from emopipe.progress import LOGGER, Progress
from emopipe.provenance import digest, recipe_text


def run(
    recipe: Mapping[str, Any],
    clips: Path,
    features: Mapping[str, Path],
    model: Path,
    output: Path,
    *,
    device: str,
    threads: int,
) -> None:
    """Train on the training split, predict the others.

    Args:
        recipe: `Plan.fusion`.
        clips: The clip table.
        features: Backbone -> its merged features.
        model: The networks to make, one a seed, in one safetensors file with keys `seed0.<key>` and so on.
        output: The predictions to make: the mean of the seeds' probabilities, for val and test clips.
        device: auto, cpu or cuda.
        threads: CPU threads.

    Raises:
        CorpusError: There are no training clips.
    """
    where = devices.prepare(device, threads)
    options = FusionOptions.model_validate(recipe["options"])
    table = tables.read(clips)
    training, others = table[table["split"] == "train"], table[table["split"] != "train"]
    if training.empty:
        raise CorpusError("No clip is in the training split, so no model can be trained: check the corpus' splits.")
    targets = training["label"].map(CLASSES.index).to_numpy()
    learn, asked = _streams(features, training), _streams(features, others)
    usable = [name for name in features if learn[name].present.any()]
    for name in set(features) - set(usable):
        LOGGER.warning(f"No training clip has vectors of {name}: {output.stem} does without.")
    learn, asked = ({name: streams[name] for name in usable} for streams in (learn, asked))
    networks: dict[int, FusionModel] = {}
    prior = np.bincount(targets, minlength=len(CLASSES)) / len(targets)
    probabilities, covered = np.tile(prior, (len(others), 1)), np.zeros(len(others), bool)
    if usable:
        modalities = {name: recipe["streams"][name] for name in usable}
        networks = _train(learn, modalities, targets, options, where, output.stem)
        covered = torch.stack([stream.present for stream in asked.values()]).any(0).numpy()
        mean = np.mean([predict(network, asked, where) for network in networks.values()], axis=0)
        probabilities[covered] = mean[covered]  # the others keep the prior: there is nothing to go by
    _save(networks, model, recipe, where)
    predictions.write(predictions.table(others, probabilities, covered), output)


def _train(
    streams: Mapping[str, Features],
    modalities: Mapping[str, str],
    targets: np.ndarray,
    options: FusionOptions,
    where: torch.device,
    name: str,
) -> dict[int, FusionModel]:
    """One network a seed."""
    progress, networks = Progress(f"fusion {name}", len(options.seeds), unit="seeds"), {}
    for seed in options.seeds:
        networks[seed] = train(streams, modalities, targets, options, seed, where)
        progress.advance()
    return networks


def _streams(features: Mapping[str, Path], table: pd.DataFrame) -> dict[str, Features]:
    return {name: load(path, list(table["clip"])) for name, path in features.items()}


def _save(networks: Mapping[int, FusionModel], path: Path, recipe: Mapping[str, Any], where: torch.device) -> None:
    tensors: dict[str, torch.Tensor] = {
        f"seed{seed}.{key}": tensor for seed, network in networks.items() for key, tensor in state_of(network).items()
    }
    about = {"recipe": recipe_text(recipe), "classes": " ".join(CLASSES), "device": devices.name_of(where)}
    save_state(tensors, path, {**about, "recipe_digest": digest(recipe), "package": __version__})
