"""The table of predictions: a row a clip, its class probabilities, and whether the model had anything to go by."""

from pathlib import Path

import numpy as np
import pandas as pd

from emopipe.core.atomic import write_text
from emopipe.core.labels import CLASSES

PROBABILITIES = [f"p_{name}" for name in CLASSES]


def table(clips: pd.DataFrame, probabilities: np.ndarray, covered: np.ndarray) -> pd.DataFrame:
    """Predictions of clips (rows of the clip table) from probabilities (N, classes) and covered (N,) bool."""
    rounded = np.round(probabilities / probabilities.sum(1, keepdims=True), 6)
    rounded[np.arange(len(rounded)), rounded.argmax(1)] += 1 - rounded.sum(1)  # so that the written row sums to one
    result = clips[["clip", "split", "label"]].reset_index(drop=True)
    result["pred"] = [CLASSES[number] for number in rounded.argmax(1)]
    result[PROBABILITIES] = rounded.round(6)
    result["covered"] = covered.astype(int)
    return result


def write(predictions: pd.DataFrame, path: Path) -> None:
    """Write as CSV, by rename."""
    write_text(path, predictions.to_csv(index=False, lineterminator="\n"))


def read(path: Path) -> pd.DataFrame:
    """Read what `write` wrote; ids and labels stay strings."""
    text = dict.fromkeys(("clip", "split", "label", "pred"), str)
    return pd.read_csv(path, dtype=text, keep_default_na=False)
