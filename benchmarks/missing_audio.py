#!/usr/bin/env python3
"""What a model loses by learning from clips of which a third have no sound.

Trains a fused model twice on a finished cache: with all sound, and with the sound of every third training clip left
out. Scores both on the val clips that have sound.

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
from emopipe.fusion.data import Data
from emopipe.fusion.features import Features, load
from emopipe.fusion.options import FusionOptions
from emopipe.fusion.training import Member, predict, train
from emopipe.scoring.statistics import interval


def main(
    cache: Annotated[Path, typer.Argument(help="A corpus' cache folder.")],
    face: Annotated[str, typer.Option(help="Face backbone.")] = "expression",
    audio: Annotated[str, typer.Option(help="Audio backbone.")] = "logmel",
    fusions: Annotated[str, typer.Option(help="Fusions to try.")] = "concat,fbp,adaptive_fbp,gated,late",
    seeds: Annotated[int, typer.Option(help="Networks a model.")] = 5,
) -> None:
    """Print a row a fusion: accuracy with all sound and with two thirds of it, and the difference with its interval."""
    table = tables.read(cache / "clips.csv")
    clips, split = list(table["clip"]), table["split"].to_numpy()
    targets = np.array([CLASSES.index(label) if label else -1 for label in table["label"]])
    modalities = {face: "face", audio: "audio"}
    streams = {name: load(cache / "features" / f"{name}.h5", clips) for name in modalities}
    thinned = {name: without(f, split) if modalities[name] == "audio" else f for name, f in streams.items()}
    asked = np.flatnonzero((split == "val") & (targets >= 0) & streams[audio].present.numpy())
    full = Data.of({name: [f] for name, f in streams.items()}, modalities, targets, torch.device("cpu"))
    third = Data.of({name: [f] for name, f in thinned.items()}, modalities, targets, torch.device("cpu"))
    print(f"{len(asked)} val clips with sound\nfusion        all sound  a third missing  points lost [95 %]")
    for name in fusions.split(","):
        options = FusionOptions(fusion=name, seeds=list(range(seeds)))
        right = [answers(full, part, split, asked, options) == targets[asked] for part in (full, third)]
        lost = right[0].astype(float) - right[1]
        low, high = interval(lost, asked)
        print(
            f"{name:12}{right[0].mean():11.3f}{right[1].mean():17.3f}{100 * lost.mean():12.1f} "
            f"[{100 * low:.1f}, {100 * high:.1f}]",
            flush=True,
        )


def without(features: Features, split: np.ndarray) -> Features:
    """The features with every third training clip's left out."""
    gone = np.zeros(len(split), bool)
    gone[np.flatnonzero(split == "train")[::3]] = True
    return dataclasses.replace(features, length=torch.where(torch.from_numpy(gone), 0, features.length))


def answers(full: Data, part: Data, split: np.ndarray, asked: np.ndarray, options: FusionOptions) -> np.ndarray:
    """The classes that a model which learned from `part` predicts for clips of `full`."""
    learn = np.flatnonzero((split == "train") & part.present.numpy())
    members = [Member(options, seed, learn, learn[:0], max(1, len(learn) // options.batch)) for seed in options.seeds]
    return np.mean(predict(full, train(part, members), [asked] * len(members)), axis=0).argmax(1)


if __name__ == "__main__":
    typer.run(main)
