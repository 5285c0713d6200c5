"""Evaluates the weights that come with this package on data that they were not trained on.

DATA holds fer2013.zip, ravdess_speech/ and ravdess_av/ (see configs/weights/). Prints a row per network and corpus,
with 95 % bootstrap intervals over samples, and the recall of each class.

    python benchmarks/own_weights.py DATA [--threads 2] [--weights emopipe/weights/files]
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from emopipe.core.labels import CLASSES
from emopipe.evaluation import networks, samples, scoring
from emopipe.faces import detectors
from emopipe.runtime import device as devices
from emopipe.scoring.scores import score_intervals

ACTORS = ("13", "14", "15", "16")
"""Speakers of RAVDESS that none of the speech networks was trained on."""
TESTS = [
    ("expression", samples.Corpus("fer2013", Path("fer2013.zip"), splits=("val",)), "FER2013, PublicTest"),
    ("expression", samples.Corpus("fer2013", Path("fer2013.zip"), splits=("clips",)), "FER2013, rest of Training"),
    ("expression", samples.Corpus("ravdess", Path("ravdess_av")), "RAVDESS, faces of one actor's clips"),
    ("speech_logmel", samples.Corpus("ravdess", Path("ravdess_speech"), subjects=ACTORS), "RAVDESS, actors 13-16"),
    ("speech_spectrogram", samples.Corpus("ravdess", Path("ravdess_speech"), subjects=ACTORS), "RAVDESS, actors 13-16"),
]


def main(
    data: Annotated[Path, typer.Argument(help="The folder that contains the corpora.")],
    weights: Annotated[
        Path | None, typer.Option(help="A folder with other files of weights under the same names.")
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Print the table in Markdown."""
    print("| network | tested on | n | accuracy % | UAR % | " + " | ".join(CLASSES) + " | a second |")
    print("|" + "---|" * (6 + len(CLASSES)))
    device = devices.prepare("cpu", threads)

    def detector() -> detectors.Detector:
        return detectors.build("mtcnn", detectors.options_class("mtcnn")(), threads=threads)

    for name, corpus, tested_on in TESTS:
        file = str(weights / f"{name}.safetensors") if weights else name
        network = networks.open_network(file, device=device, threads=threads)
        found = samples.Corpus(corpus.kind, data / corpus.path, corpus.splits, corpus.subjects)
        how = {"detector": detector, "detect": False, "flip": True, "classes": network.classes}
        given = samples.open_corpus(found, network.spec, **how)
        print(_row(name, tested_on, scoring.score(network, given)), flush=True)


def _row(name: str, tested_on: str, scores: scoring.Scores) -> str:
    names = np.array(CLASSES)
    label, answer = names[scores.table["label"]], names[scores.table["predicted"]]
    found = score_intervals(label, answer, np.arange(scores.n))
    recall = [f"{100 * scores.per_class[label]:.0f}" if label in scores.per_class else "" for label in CLASSES]
    cells = [
        name,
        tested_on,
        f"{scores.n}",
        f"{100 * scores.accuracy:.1f} [{100 * found.low[0]:.1f}, {100 * found.high[0]:.1f}]",
    ]
    cells += [
        f"{100 * scores.uar:.1f} [{100 * found.low[1]:.1f}, {100 * found.high[1]:.1f}]",
        *recall,
        f"{scores.per_second:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    typer.run(main)
