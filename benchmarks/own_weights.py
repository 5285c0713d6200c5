"""How the weights that come with this package do on what they have not learned from.

DATA holds fer2013.zip, ravdess_speech/ and ravdess_av/ (see configs/weights/). Prints a row a network and corpus, with
95 % bootstrap intervals over samples, and the recall of each class.

    python benchmarks/own_weights.py DATA [--threads 2] [--weights emopipe/weights/files]
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer

from emopipe.core.labels import CLASSES
from emopipe.evaluation import networks, samples, scoring
from emopipe.faces import detectors
from emopipe.runtime import device as devices
from emopipe.scoring.statistics import interval

ACTORS = ("13", "14", "15", "16")
"""RAVDESS' speakers that no speech network of ours has learned from."""
TESTS = [
    ("expression", samples.Corpus("fer2013", Path("fer2013.zip"), splits=("val",)), "FER2013, PublicTest"),
    ("expression", samples.Corpus("fer2013", Path("fer2013.zip"), splits=("clips",)), "FER2013, rest of Training"),
    ("expression", samples.Corpus("ravdess", Path("ravdess_av")), "RAVDESS, faces of one actor's clips"),
    ("speech_logmel", samples.Corpus("ravdess", Path("ravdess_speech"), subjects=ACTORS), "RAVDESS, actors 13-16"),
    ("speech_spectrogram", samples.Corpus("ravdess", Path("ravdess_speech"), subjects=ACTORS), "RAVDESS, actors 13-16"),
]


def main(
    data: Annotated[Path, typer.Argument(help="The folder of the corpora.")],
    weights: Annotated[Path | None, typer.Option(help="Weights of other files, by the same names.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Print the table as Markdown."""
    print("| network | tested on | n | accuracy % | UAR % | " + " | ".join(CLASSES) + " | a second |")
    print("|" + "---|" * (6 + len(CLASSES)))
    where = devices.prepare("cpu", threads)
    for name, corpus, what in TESTS:
        network = networks.open_network(str(weights / f"{name}.safetensors") if weights else name, device=where,
                                        threads=threads)  # fmt: skip
        there = samples.Corpus(corpus.kind, data / corpus.path, corpus.splits, corpus.subjects)
        given = samples.open_corpus(there, network.spec, detector=lambda: _finder(threads), detect=False, flip=True)
        print(_row(name, what, scoring.score(network, given)), flush=True)


def _finder(threads: int) -> detectors.Detector:
    return detectors.build("mtcnn", detectors.options_class("mtcnn")(), threads=threads)


def _row(name: str, what: str, scores: scoring.Scores) -> str:
    right = scores.correct.astype(float)
    low, high = interval(right, np.arange(len(right)))
    worst, best = uar_interval(scores.table)
    recall = [f"{100 * scores.per_class[label]:.0f}" if label in scores.per_class else "" for label in CLASSES]
    cells = [name, what, f"{scores.n}", f"{100 * scores.accuracy:.1f} [{100 * low:.1f}, {100 * high:.1f}]"]
    cells += [f"{100 * scores.uar:.1f} [{100 * worst:.1f}, {100 * best:.1f}]", *recall, f"{scores.per_second:.0f}"]
    return f"| {' | '.join(cells)} |"


def uar_interval(table: pd.DataFrame, draws: int = 2000) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the UAR; samples are drawn within their classes."""
    rng, recalls = np.random.default_rng(0), []
    for label in sorted(table["label"].unique()):
        right = (table.loc[table["label"] == label, "predicted"] == label).to_numpy()
        recalls.append(rng.choice(right, (draws, len(right))).mean(1))
    low, high = np.percentile(np.mean(recalls, axis=0), [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    typer.run(main)
