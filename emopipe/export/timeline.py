"""Samples in time as stretches: each sample stands for the time up to midway to its neighbours."""

from itertools import groupby

import numpy as np


def stretches(time: np.ndarray, seconds: float) -> np.ndarray:
    """Return the begin and the end (n, 2) of the stretch of each sample, in seconds.

    The first stretch begins at 0 and the last one ends at the end of the clip.

    Args:
        time: (n,) seconds, increasing.
        seconds: How long the clip is.

    >>> stretches(np.array([0.5, 1.5]), 2.0).tolist()
    [[0.0, 1.0], [1.0, 2.0]]
    """
    if not len(time):
        return np.empty((0, 2))
    end = max(seconds, float(time[-1]))
    edges = np.concatenate([[0.0], (time[1:] + time[:-1]) / 2, [end]])
    return np.stack([edges[:-1], edges[1:]], 1)


def present(time: np.ndarray, mask: np.ndarray, seconds: float) -> list[tuple[float, float]]:
    """Return the stretches in which something was found, joined where they follow one another.

    Args:
        time: (T,) seconds, increasing.
        mask: (T,) bool: whether it was found in the sample.
        seconds: How long the clip is.

    >>> present(np.array([0.5, 1.5, 2.5]), np.array([True, True, False]), 3.0)
    [(0.0, 2.0)]
    """
    parts = zip(mask.tolist(), stretches(time, seconds).tolist(), strict=True)
    runs = [[edges for _, edges in run] for found, run in groupby(parts, key=lambda part: part[0]) if found]
    return [(run[0][0], run[-1][1]) for run in runs]
