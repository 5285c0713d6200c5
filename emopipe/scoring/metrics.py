"""Scores of predictions; each metric is computed here alone, for training, evaluation and reports."""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from emopipe.core.labels import CLASSES, PROBABILITY_FLOOR

COLUMNS = ["model", "split", "n", "n_covered", "coverage", "accuracy", "accuracy_covered", "uar", "macro_f1", "waf"]


def score(predictions: pd.DataFrame, model: str) -> pd.DataFrame:
    """Return the scores of a table of predictions, one row for each split that has labels.

    The scores are over all clips of the split, covered or not. UAR and macro F1 are means over the classes that occur;
    WAF is the mean F1 weighted by the classes' clips.

    Args:
        predictions: A table as `predictions.table` makes it.
        model: The model's name.

    Returns:
        The columns `COLUMNS`. Scores are fractions of 1; `accuracy_covered` is NaN if no clip is covered.
    """
    from sklearn.metrics import f1_score  # slow to import, and few need it

    rows = []
    for split, part in predictions[predictions["label"] != ""].groupby("split"):
        correct = (part["label"] == part["pred"]).to_numpy()
        covered = part["covered"].to_numpy(bool)
        occurring = {"labels": sorted(set(part["label"])), "zero_division": 0}
        rows.append(
            {
                "model": model,
                "split": split,
                "n": len(part),
                "n_covered": int(covered.sum()),
                "coverage": covered.mean(),
                "accuracy": correct.mean(),
                "accuracy_covered": correct[covered].mean() if covered.any() else np.nan,
                "uar": uar(part["label"], part["pred"]),
                "macro_f1": f1_score(part["label"], part["pred"], average="macro", **occurring),
                "waf": f1_score(part["label"], part["pred"], average="weighted", **occurring),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def recalls(labels: ArrayLike, predicted: ArrayLike) -> dict[Hashable, float]:
    """Return the recall of each class that occurs among the labels (N,), for predictions (N,) of the same kind."""
    correct = pd.Series(np.asarray(labels) == np.asarray(predicted))
    return correct.groupby(np.asarray(labels)).mean().to_dict()


def uar(labels: ArrayLike, predicted: ArrayLike) -> float:
    """Return the unweighted average recall: the mean recall of the classes that occur among the labels (N,), N > 0."""
    return float(np.mean(list(recalls(labels, predicted).values())))


def log_losses(p: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the negative log-likelihoods (..., N) of classes (N,), as numbers, for probabilities p (..., N, K)."""
    return -np.log(p[..., np.arange(len(targets)), targets].clip(PROBABILITY_FLOOR))


def confusion(labels: ArrayLike, predicted: ArrayLike, classes: Sequence[str] = CLASSES) -> pd.DataFrame:
    """Return counts (classes, classes) of names of classes (N,): rows are labels, columns are predictions."""
    from sklearn.metrics import confusion_matrix  # slow to import, and few need it

    counts = confusion_matrix(labels, predicted, labels=list(classes))
    return pd.DataFrame(counts, index=list(classes), columns=list(classes))
