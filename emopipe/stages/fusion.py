"""Stage fusion: features of one or several backbones -> trained networks, and what they predict."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from emopipe import device as devices
from emopipe import predictions
from emopipe.backbones.learned import state_of
from emopipe.corpora import table as clip_table
from emopipe.errors import CorpusError
from emopipe.features import Features, load
from emopipe.files import replacing
from emopipe.fusion.model import FusionModel
from emopipe.fusion.options import FusionOptions
from emopipe.fusion.training import predict, train
from emopipe.labels import CLASSES
from emopipe.progress import Progress


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
    table = clip_table.read(clips)
    training, others = table[table["split"] == "train"], table[table["split"] != "train"]
    if training.empty:
        raise CorpusError("No clip is in the training split, so no model can be trained: check the corpus' splits.")
    learn, asked = _streams(features, training), _streams(features, others)
    targets = training["label"].map(CLASSES.index).to_numpy()
    progress = Progress(f"fusion {output.stem}", len(options.seeds), unit="seeds")
    networks, probabilities = {}, []
    for seed in options.seeds:
        networks[seed] = train(learn, recipe["streams"], targets, options, seed, where)
        probabilities.append(predict(networks[seed], asked, where))
        progress.advance()
    covered = np.any([stream.present for stream in asked.values()], axis=0)
    mean = np.mean(probabilities, axis=0)
    mean[~covered] = np.bincount(targets, minlength=len(CLASSES)) / len(targets)  # nothing to go by but the prior
    _save(networks, model)
    predictions.write(predictions.table(others, mean, covered), output)


def _streams(features: Mapping[str, Path], table: pd.DataFrame) -> dict[str, Features]:
    return {name: load(path, list(table["clip"])) for name, path in features.items()}


def _save(networks: Mapping[int, FusionModel], path: Path) -> None:
    tensors: dict[str, torch.Tensor] = {
        f"seed{seed}.{key}": tensor for seed, network in networks.items() for key, tensor in state_of(network).items()
    }
    with replacing(path) as temporary:
        save_file(tensors, temporary)
