"""Pairs of rows that are alike, found by blocks, so that the memory does not grow with the square of the rows."""

from collections.abc import Callable

import numpy as np

BLOCK = 512
"""Rows that are compared with all others at once."""

Pairs = dict[tuple[int, int], float]
"""(Row, later row) -> how alike both are."""


def pairs_above(count: int, compare: Callable[[slice], np.ndarray], least: float) -> Pairs:
    """Return the pairs of rows whose similarity is at least `least`.

    Args:
        count: N, the number of rows.
        compare: Returns the similarities (n, N) of the rows of a slice with all rows.
        least: The threshold.
    """
    found: Pairs = {}
    for start in range(0, count, BLOCK):
        similar = compare(slice(start, min(start + BLOCK, count)))
        rows, others = np.nonzero(similar >= least)
        for row, other in zip(rows.tolist(), others.tolist(), strict=True):
            if start + row != other:
                pair = (min(start + row, other), max(start + row, other))
                found[pair] = max(found.get(pair, -1.0), float(similar[row, other]))
    return found


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (N, D) of length 1; those of length 0 remain."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
