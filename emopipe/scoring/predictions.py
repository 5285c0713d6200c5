"""The table of predictions: one row for each clip with the numbers of its answer, and whether it is covered."""

from pathlib import Path

import numpy as np
import pandas as pd

from emopipe.core.atomic import write_text
from emopipe.core.labels import BASIC7, DIGITS, LabelSpace

PROBABILITIES = BASIC7.columns
"""The columns of probabilities of runs with the seven classes."""


def table(clips: pd.DataFrame, values: np.ndarray, covered: np.ndarray, space: LabelSpace = BASIC7) -> pd.DataFrame:
    """Build a table of predictions; of votes, it has the raters' votes as well, if they are known.

    Args:
        clips: N rows of the clip table.
        values: (N, K) probabilities, or the values of dimensions.
        covered: (N,) bool: whether the clip has any features that the model uses.
        space: The label space.
    """
    result = clips[["clip", "split", "label"]].reset_index(drop=True)
    rounded = _rounded(values, space)
    result["pred"] = pd.Series(space.answers(rounded), dtype=str)
    result[space.columns] = rounded
    result["covered"] = covered.astype(int)
    if space.kind == "votes" and {*space.vote_columns} <= {*clips.columns}:
        result[space.vote_columns] = clips[space.vote_columns].reset_index(drop=True)
    return result


def _rounded(values: np.ndarray, space: LabelSpace) -> np.ndarray:
    if not space.has_one_class:
        return np.round(values, DIGITS)
    rounded = np.round(values / values.sum(1, keepdims=True), DIGITS)
    rounded[np.arange(len(rounded)), rounded.argmax(1)] += 1 - rounded.sum(1)  # the rounded row sums to one
    return rounded.round(DIGITS)


def write(predictions: pd.DataFrame, path: Path) -> None:
    """Write a table of predictions as CSV; the file appears as a whole or not at all."""
    write_text(path, predictions.to_csv(index=False, lineterminator="\n"))


def read(path: Path) -> pd.DataFrame:
    """Read a table that `write` wrote; ids and labels are strings."""
    text = dict.fromkeys(("clip", "split", "label", "pred"), str)
    return pd.read_csv(path, dtype=text, keep_default_na=False)
