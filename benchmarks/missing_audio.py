#!/usr/bin/env python3
"""Measure the accuracy that a model loses if a third of its training clips have no audio.

Trains a fused model twice on a finished cache: with all audio, and without the audio of every third training clip. Both
are scored on the val clips that have audio.

    python benchmarks/missing_audio.py cache/afew --face expression --audio logmel [--fusions concat,fbp]
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from emopipe.core import tables
from emopipe.core.labels import CLASSES
from emopipe.fusion.data import FusionDataset
from emopipe.fusion.features import Features, load
from emopipe.fusion.options import FusionOptions
from emopipe.fusion.stack import Run
from emopipe.fusion.training import predict, train
from emopipe.scoring.intervals import intervals


def main(
    cache: Annotated[Path, typer.Argument(help="A corpus' cache folder.")],
    face: Annotated[str, typer.Option(help="Face backbone.")] = "expression",
    audio: Annotated[str, typer.Option(help="Audio backbone.")] = "logmel",
    fusions: Annotated[str, typer.Option(help="Names, separated by commas.")] = "concat,fbp,adaptive_fbp,gated,late",
    seeds: Annotated[int, typer.Option(help="Number of networks for each model.")] = 5,
) -> None:
    """Print a row for each fusion: accuracy with all audio, with two thirds of it, the difference and its interval."""
    table = tables.read(cache / "clips.csv")
    clips, split = list(table["clip"]), table["split"].to_numpy()
    targets = np.array([CLASSES.index(label) if label else -1 for label in table["label"]])
    modalities = {face: "face", audio: "audio"}
    streams = {name: load(cache / "features" / f"{name}.h5", clips) for name in modalities}
    thinned = {**streams, audio: remove_third(streams[audio], split)}
    predict_idx = np.flatnonzero((split == "val") & (targets >= 0) & streams[audio].present.numpy())
    full, reduced = (
        FusionDataset.from_views({name: [f] for name, f in found.items()}, modalities, targets, torch.device("cpu"))
        for found in (streams, thinned)
    )
    print(f"{len(predict_idx)} val clips with audio\nfusion        all audio  a third missing  points lost [95 %]")
    for name in fusions.split(","):
        options = FusionOptions(fusion=name, seeds=list(range(seeds)))
        correct = [
            fit_and_predict(full, part, split, predict_idx, options) == targets[predict_idx] for part in (full, reduced)
        ]
        lost = correct[0].astype(float) - correct[1]
        counts = np.stack([lost, np.ones(len(lost))], axis=1)
        found = intervals(counts, predict_idx, lambda summed: summed[..., :1] / summed[..., 1:], lowest=-1.0)
        print(
            f"{name:12}{correct[0].mean():11.3f}{correct[1].mean():17.3f}{100 * lost.mean():12.1f} "
            f"[{100 * found.low[0]:.1f}, {100 * found.high[0]:.1f}]",
            flush=True,
        )


def remove_third(features: Features, split: np.ndarray) -> Features:
    """Return the features without those of every third training clip."""
    removed = np.zeros(len(split), bool)
    removed[np.flatnonzero(split == "train")[::3]] = True
    return dataclasses.replace(features, length=torch.where(torch.from_numpy(removed), 0, features.length))


def fit_and_predict(
    full: FusionDataset, part: FusionDataset, split: np.ndarray, predict_idx: np.ndarray, options: FusionOptions
) -> np.ndarray:
    """Train a model on `part`, and return the classes that it predicts for the clips `predict_idx` of `full`."""
    train_idx = np.flatnonzero((split == "train") & part.present.numpy())
    steps = max(1, len(train_idx) // options.batch)
    runs = [Run(options, seed, train_idx, train_idx[:0], steps) for seed in options.seeds]
    return np.mean(predict(full, train(part, runs), [predict_idx] * len(runs)), axis=0).argmax(1)


if __name__ == "__main__":
    typer.run(main)
