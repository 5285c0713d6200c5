"""The exponents of the model `shipped`, fitted on clips that neither of its networks was trained on, and their scores.

    python benchmarks/shipped_product.py CORPUS TRUTH.csv

CORPUS is a folder of clips, TRUTH.csv their table with the columns id, split, label and speaker. The card of the model
states which corpus was used. The exponents are fitted on the split --fit-on; the scores are those of all other clips.
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
    truth: Annotated[Path, typer.Argument(help="Their table: id, split, label, speaker.")],
    fit_on: Annotated[str, typer.Option(help="The split on which the exponents are fitted.")] = "Train_AFEW",
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
    # 2. exponents
    train = (table["split"] == fit_on).to_numpy()
    exponents = fit(probs, found, targets, train)
    print("exponents:", {name: round(value, 2) for name, value in zip(names, exponents, strict=True)})
    # 3. scores of the other clips
    rows = dict(zip(names, probs, strict=True))
    rows |= {"mean of heads": np.mean(probs, 0), "product, exponents 1": _pool(probs, found, [1.0] * len(names))}
    rows |= {"product, fitted": _pool(probs, found, exponents)}
    speakers, targets = table["speaker"][~train], targets[~train]
    shown = Table("model", "n", "accuracy", "UAR", "log loss", "by speaker")
    for name, whole in rows.items():
        p = whole[~train]
        correct = p.argmax(1) == targets
        by = [f"{one} {correct[speakers == one].mean():.1%}" for one in sorted(set(speakers))]
        scores = f"{correct.mean():.1%}", f"{uar(targets, p.argmax(1)):.1%}", f"{log_losses(p, targets).mean():.3f}"
        shown.add_row(name, str(len(p)), *scores, ", ".join(by))
    Console(width=140).print(shown)


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
