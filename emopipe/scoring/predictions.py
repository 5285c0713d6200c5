"""The table of predictions: one row for each clip with class probabilities, and whether the clip is covered."""

from pathlib import Path

import numpy as np
import pandas as pd

from emopipe.core.atomic import write_text
from emopipe.core.labels import CLASSES

PROBABILITIES = [f"p_{name}" for name in CLASSES]


def table(clips: pd.DataFrame, probabilities: np.ndarray, covered: np.ndarray) -> pd.DataFrame:
    """Build a table of predictions.

    Args:
        clips: N rows of the clip table.
        probabilities: (N, classes).
        covered: (N,) bool: whether the clip has any features that the model uses.
    """
    rounded = np.round(probabilities / probabilities.sum(1, keepdims=True), 6)
    rounded[np.arange(len(rounded)), rounded.argmax(1)] += 1 - rounded.sum(1)  # the rounded row sums to one
    result = clips[["clip", "split", "label"]].reset_index(drop=True)
    result["pred"] = [CLASSES[number] for number in rounded.argmax(1)]
    result[PROBABILITIES] = rounded.round(6)
    result["covered"] = covered.astype(int)
    return result


def write(predictions: pd.DataFrame, path: Path) -> None:
    """Write a table of predictions as CSV; the file appears as a whole or not at all."""
    write_text(path, predictions.to_csv(index=False, lineterminator="\n"))


def read(path: Path) -> pd.DataFrame:
    """Read a table that `write` wrote; ids and labels are strings."""
    text = dict.fromkeys(("clip", "split", "label", "pred"), str)
    return pd.read_csv(path, dtype=text, keep_default_na=False)
