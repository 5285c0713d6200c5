"""How sure a figure is: bootstrap intervals, paired tests, calibration error."""

import numpy as np
from scipy.stats import binomtest

RESAMPLES = 2000
"""Bootstrap samples behind an interval."""

BINS = 15
"""Bins of confidence of the expected calibration error, equally wide."""


def interval(values: np.ndarray, groups: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of a mean.

    Args:
        values: (N,) such as 1 where a clip is right, or the difference of two models on it.
        groups: (N,) what is drawn with replacement: clips' subjects, so that clips of one subject stay together, or
            the clips themselves.
        seed: Of the draws.
    """
    _, group = np.unique(groups, return_inverse=True)
    count = group.max() + 1
    size = np.bincount(group, minlength=count)
    total = np.bincount(group, weights=values, minlength=count)
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(RESAMPLES):
        drawn = np.bincount(rng.integers(count, size=count), minlength=count)
        means.append(drawn @ total / (drawn @ size))
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """The exact two-sided p of McNemar's test, for two models that are right (N,) bool on the same clips."""
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    both = only_first + only_second
    return float(binomtest(only_first, both).pvalue) if both else 1.0


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error: |accuracy - mean confidence| (N,), bin by bin, weighed by the bins' clips."""
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    size = np.bincount(place, minlength=BINS)
    gap = np.bincount(place, weights=right - confidence, minlength=BINS)
    return float(np.abs(gap).sum() / max(1, size.sum()))


def groups_of(clips: np.ndarray, subjects: np.ndarray) -> tuple[np.ndarray, str]:
    """What to draw in a bootstrap, and its name: subjects where all are known and there are several, else clips."""
    if (subjects != "").all() and len(set(subjects)) > 1:
        return subjects, "subject"
    return clips, "clip"
