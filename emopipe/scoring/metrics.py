"""Scores of a model on a split, over all clips and over the covered clips (those with features)."""

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, f1_score, recall_score

from emopipe.core.labels import CLASSES

COLUMNS = ["model", "split", "n", "n_covered", "coverage", "accuracy", "accuracy_covered", "uar", "macro_f1"]


def score(predictions: pd.DataFrame, model: str) -> pd.DataFrame:
    """Return the scores of a table of predictions, one row for each split that has labels.

    UAR and macro F1 are means over the classes that occur in the split. They count all its clips, covered or not.

    Args:
        predictions: A table as `predictions.table` makes it.
        model: The model's name.

    Returns:
        The columns `COLUMNS`. Scores are fractions of 1; `accuracy_covered` is NaN if no clip is covered.
    """
    rows = []
    for split, part in predictions[predictions["label"] != ""].groupby("split"):
        correct = (part["label"] == part["pred"]).to_numpy()
        covered = part["covered"].to_numpy(bool)
        macro = {"labels": sorted(set(part["label"])), "average": "macro", "zero_division": 0}
        rows.append(
            {
                "model": model,
                "split": split,
                "n": len(part),
                "n_covered": int(covered.sum()),
                "coverage": covered.mean(),
                "accuracy": correct.mean(),
                "accuracy_covered": correct[covered].mean() if covered.any() else np.nan,
                "uar": recall_score(part["label"], part["pred"], **macro),
                "macro_f1": f1_score(part["label"], part["pred"], **macro),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def confusion(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return counts (classes, classes): rows are labels, columns are predictions."""
    counts = confusion_matrix(predictions["label"], predictions["pred"], labels=list(CLASSES))
    return pd.DataFrame(counts, index=list(CLASSES), columns=list(CLASSES))
