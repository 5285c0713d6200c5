"""Scores of a model on a split: over all clips, and over those that it had anything to go by."""

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, f1_score, recall_score

from emopipe.core.labels import CLASSES

COLUMNS = ["model", "split", "n", "n_covered", "coverage", "accuracy", "accuracy_covered", "uar", "macro_f1"]


def score(predictions: pd.DataFrame, model: str) -> pd.DataFrame:
    """One row a split that has labels; fractions of 1, NaN where nothing is covered.

    UAR and macro F1 run over the classes that occur in the split, and over all its clips, covered or not.
    """
    labelled = predictions[predictions["label"] != ""]
    rows = [_row(part, model, split) for split, part in labelled.groupby("split")]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(part: pd.DataFrame, model: str, split: str) -> dict[str, object]:
    right = (part["label"] == part["pred"]).to_numpy()
    covered = part["covered"].to_numpy(bool)
    present = sorted(set(part["label"]))
    shared = {"labels": present, "average": "macro", "zero_division": 0}
    return {
        "model": model,
        "split": split,
        "n": len(part),
        "n_covered": int(covered.sum()),
        "coverage": covered.mean(),
        "accuracy": right.mean(),
        "accuracy_covered": right[covered].mean() if covered.any() else np.nan,
        "uar": recall_score(part["label"], part["pred"], **shared),
        "macro_f1": f1_score(part["label"], part["pred"], **shared),
    }


def confusion(predictions: pd.DataFrame) -> pd.DataFrame:
    """Counts (classes, classes): rows are labels, columns predictions."""
    counts = confusion_matrix(predictions["label"], predictions["pred"], labels=list(CLASSES))
    return pd.DataFrame(counts, index=list(CLASSES), columns=list(CLASSES))
