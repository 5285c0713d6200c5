"""Evaluates the weights that come with this package on data that they were not trained on.

DATA holds fer2013.zip, ferplus.csv, ravdess_speech/, ravdess_av/ and crema_d/ (see configs/weights/). Prints a row per
network and corpus, with 95 % bootstrap intervals over samples, and the recall of each class. Where samples are copies
of what a network was trained on, a second row is without them.

    python benchmarks/own_weights.py DATA [--threads 2] [--weights emopipe/weights/files]
"""

import dataclasses
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

EIGHT = (*CLASSES, "Contempt")
"""All classes that one of the networks has."""
ACTORS = ("13", "14", "15", "16")
"""Speakers of RAVDESS that the speech networks of version 0.1.0 were not trained on."""
VOTES = {
    "pictures": "fer2013.zip",
    "votes": ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"],
    "raters": 10,
    "outliers": 1,
    "targets": "majority",
}
"""FER+'s own rule: single votes are dropped, the majority counts, unknown and no face are omitted."""
PUBLIC = samples.Corpus("fer2013", Path("fer2013.zip"), splits=("val",))
REST = samples.Corpus("fer2013", Path("fer2013.zip"), splits=("clips",))
PLUS = samples.Corpus("table", Path("ferplus.csv"), splits=("val",), options=VOTES)
ACTED = samples.Corpus("ravdess", Path("ravdess_av"))
SIX = samples.Corpus("cremad", Path("crema_d"))
SPOKEN = samples.Corpus("ravdess", Path("ravdess_speech"), subjects=ACTORS)
FACES = ("expression", "expression_plus")
VOICES = ("speech_logmel", "speech_logmel_0_1_0", "speech_spectrogram")
TESTS = [
    ("expression", PUBLIC, "FER2013, PublicTest"),
    ("expression", REST, "FER2013, rest of Training"),
    ("expression_plus", PLUS, "FER+, PublicTest"),
    *((name, ACTED, "RAVDESS, faces of one actor's clips") for name in FACES),
    *((name, SIX, "CREMA-D, faces of one person's clips") for name in FACES),
    *((name, SPOKEN, "RAVDESS, actors 13-16") for name in VOICES[1:]),
    *((name, SIX, "CREMA-D, voice of one person's clips") for name in VOICES),
]


def main(
    data: Annotated[Path, typer.Argument(help="The folder that contains the corpora.")],
    weights: Annotated[
        Path | None, typer.Option(help="A folder with other files of weights under the same names.")
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Print the table in Markdown."""
    print("| network | tested on | n | accuracy % | UAR % | " + " | ".join(EIGHT) + " | a second |")
    print("|" + "---|" * (6 + len(EIGHT)))
    device = devices.prepare("cpu", threads)

    def detector() -> detectors.Detector:
        return detectors.build("mtcnn", detectors.options_class("mtcnn")(), threads=threads)

    for name, corpus, tested_on in TESTS:
        file = str(weights / f"{name}.safetensors") if weights else name
        network = networks.open_network(file, device=device, threads=threads)
        found = dataclasses.replace(corpus, path=data / corpus.path)
        how = {"detector": detector, "detect": False, "flip": True, "classes": network.classes}
        how |= {"trained_on": network.trained_on}
        given = samples.open_corpus(found, network.spec, **how)
        scores = scoring.score(network, given)
        print(_row(name, tested_on, scores), flush=True)
        if any(scores.seen.values()):
            print(_row(name, "the same, without copies of training pictures", scores.unseen), flush=True)


def _row(name: str, tested_on: str, scores: scoring.Scores) -> str:
    names = np.array(scores.classes)
    label, answer = names[scores.table["label"]], names[scores.table["predicted"]]
    found = score_intervals(label, answer, np.arange(scores.n), scores.classes)
    recall = [f"{100 * scores.per_class[label]:.0f}" if label in scores.per_class else "" for label in EIGHT]
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
