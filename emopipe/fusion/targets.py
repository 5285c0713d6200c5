"""What clips are labelled with, as arrays for training: vectors, class numbers, and how often classes are shown."""

import numpy as np
import pandas as pd

from emopipe.core.labels import LabelSpace

UNLABELLED = -1
"""The class number of a clip whose label is unknown."""


def of_table(table: pd.DataFrame, space: LabelSpace) -> np.ndarray:
    """Return the targets of the N clips of a clip table: class numbers (N,) of `single`, else vectors (N, K).

    A clip without a label is UNLABELLED, or has a row of NaN.
    """
    vectors = space.targets(table)
    return class_numbers(vectors) if space.kind == "single" else vectors


def class_numbers(vectors: np.ndarray) -> np.ndarray:
    """Return the numbers (N,) of the classes with the largest share of vectors (N, K); UNLABELLED for rows of NaN."""
    return np.where(np.isnan(vectors).any(1), UNLABELLED, vectors.argmax(1))


def as_vectors(targets: np.ndarray, count: int) -> np.ndarray:
    """Return vectors (N, K) float64 for class numbers (N,) of K = `count` classes; vectors stay as they are."""
    if targets.ndim == 2:
        return targets
    return np.where((targets == UNLABELLED)[:, None], np.nan, np.eye(count)[targets])


def frequencies(vectors: np.ndarray, space: LabelSpace) -> np.ndarray:
    """Return the mean (K,) of the targets (n, K) of labelled clips: the answer for a clip about which nothing is known.

    single and votes: the shares of the classes, or of the votes. multi: the share of the clips that show each class.
    dimensions: the mean of each. Without any clip, the classes have equal shares, each of several classes has 1/2, and
    dimensions are in the middle of their range.
    """
    if len(vectors):
        return vectors.mean(0)
    nothing = {"multi": 0.5, "dimensions": (space.low + space.high) / 2}
    return np.full(len(space), nothing.get(space.kind, 1 / len(space)))


def shown(vectors: np.ndarray, space: LabelSpace) -> np.ndarray:
    """Return (K,) bool: the classes that training clips (n, K) show, which models may predict; all dimensions."""
    return (vectors > 0).any(0) if space.kind != "dimensions" else np.ones(len(space), bool)
