"""The exponents of the model `shipped`, fitted on clips that neither of its networks was trained on, and their scores.

    python benchmarks/shipped_product.py CORPUS TRUTH.csv

CORPUS is a folder of clips, TRUTH.csv their table with the columns id, label and speaker. The card of the model states
which corpus was used. Scores are cross-fitted by speaker: the exponents for a speaker's clips are fitted on those of
all other speakers. The shipped exponents are fitted on all clips.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize

from emopipe.core.labels import CLASSES
from emopipe.corpora.files import VIDEO, media_files
from emopipe.inference.predictor import Predictor
from emopipe.inference.shipped import Shipped, pool
from emopipe.scoring.metrics import log_losses, uar

SHIPPED = Shipped()


def main(
    corpus: Annotated[Path, typer.Argument(help="A folder of clips.")],
    truth: Annotated[Path, typer.Argument(help="Their table: id, label, speaker.")],
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Fit the exponents and print the scores."""
    table = pd.read_csv(truth, dtype=str).set_index("id")
    files = [str(path) for path in media_files(corpus, VIDEO) if table["label"].get(path.stem) in CLASSES]
    answers = Predictor(threads=threads).predict(files)
    table = table.loc[[Path(one.input).stem for one in answers]]
    targets = table["label"].map(CLASSES.index).to_numpy()
    # 1. what each stream says: probabilities (N, K), and for which clips (N,)
    names = list(answers[0].streams)
    probs = [np.array([_probabilities(one.streams[name]) for one in answers]) for name in names]
    found = [np.array([one.streams[name].probabilities is not None for one in answers]) for name in names]
    # 2. exponents: fitted on the other speakers, and on all
    crossfit = np.zeros_like(probs[0])
    for speaker in sorted(set(table["speaker"])):
        here = (table["speaker"] == speaker).to_numpy()
        crossfit[here] = _pool(_rows(probs, here), _rows(found, here), fit(probs, found, targets, ~here))
    exponents = fit(probs, found, targets, np.ones(len(targets), bool))
    # 3. the table
    rows = dict(zip(names, probs, strict=True))
    rows |= {"mean of heads": np.mean(probs, 0), "product, untrained": _pool(probs, found, [1.0] * len(names))}
    rows |= {"product, cross-fitted": crossfit, "product, as shipped (in-sample)": _pool(probs, found, exponents)}
    shown = Table("model", "n", "accuracy", "UAR", "log loss", "by speaker")
    for name, p in rows.items():
        correct = p.argmax(1) == targets
        by = [f"{one} {correct[table['speaker'] == one].mean():.1%}" for one in sorted(set(table["speaker"]))]
        scores = f"{correct.mean():.1%}", f"{uar(targets, p.argmax(1)):.1%}", f"{log_losses(p, targets).mean():.3f}"
        shown.add_row(name, str(len(p)), *scores, ", ".join(by))
    Console(width=140).print(shown)
    print("exponents:", {name: round(value, 2) for name, value in zip(names, exponents, strict=True)})


def fit(probs: list[np.ndarray], found: list[np.ndarray], targets: np.ndarray, rows: np.ndarray) -> list[float]:
    """Return the exponents for which the pool of the streams is most likely for the classes of the clips `rows`."""
    some, present = _rows(probs, rows), _rows(found, rows)

    def loss(logs: np.ndarray) -> float:
        return float(log_losses(_pool(some, present, list(np.exp(logs))), targets[rows]).mean())

    return np.exp(minimize(loss, np.zeros(len(probs)), method="Nelder-Mead").x).tolist()


def _pool(probs: list[np.ndarray], found: list[np.ndarray], exponents: list[float]) -> np.ndarray:
    """Return the pool with the priors of the shipped model."""
    return pool(probs, found, exponents, [*SHIPPED.priors.values()], SHIPPED.prior)


def _rows(arrays: list[np.ndarray], rows: np.ndarray) -> list[np.ndarray]:
    return [array[rows] for array in arrays]


def _probabilities(stream: object) -> list[float]:
    return list(stream.probabilities.values()) if stream.probabilities else [1 / len(CLASSES)] * len(CLASSES)


if __name__ == "__main__":
    typer.run(main)
