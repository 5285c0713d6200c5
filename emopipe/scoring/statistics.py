"""Bootstrap intervals, paired tests and calibration error."""

import numpy as np
import pandas as pd

RESAMPLES = 2000
"""Number of bootstrap samples for an interval."""

DRAWN_AT_ONCE = 1 << 22
"""Most counts that are drawn at once for an interval, which limits its memory."""

BINS = 15
"""Number of equally wide bins of confidence for the expected calibration error."""


def interval(values: np.ndarray, groups: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of a mean.

    Args:
        values: (N,) one value for each clip, such as 1 if it is correct, or the difference between two models.
        groups: (N,) the clips' subjects, so that clips of one subject are drawn together, or the clips themselves.
            Groups are drawn with replacement.
        seed: Seed of the draws.

    Returns:
        Lower and upper bound.
    """
    # 1. The sum of each group's values, and its size.
    group, names = pd.factorize(np.asarray(groups))
    sums = pd.DataFrame({"total": np.bincount(group, weights=values), "size": np.bincount(group)})
    # 2. Groups of equal sum and size are interchangeable, so it matters only how many of each kind are drawn.
    kinds = sums.groupby(["total", "size"]).size().reset_index(name="groups")
    total, size, share = kinds["total"].to_numpy(), kinds["size"].to_numpy(), kinds["groups"].to_numpy() / len(names)
    # 3. The mean of each bootstrap sample.
    rng, means, left = np.random.default_rng(seed), [], RESAMPLES
    while left:
        some = min(left, max(1, DRAWN_AT_ONCE // len(kinds)))
        drawn = rng.multinomial(len(names), share, size=some)  # (some, kinds)
        means.append(drawn @ total / (drawn @ size))
        left -= some
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Return the exact two-sided p of McNemar's test; (N,) bool: whether two models are correct on the same clips."""
    from scipy.stats import binomtest  # slow to import, and few need it

    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    both = only_first + only_second
    return float(binomtest(only_first, both).pvalue) if both else 1.0


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return the expected calibration error: the mean of |accuracy - mean confidence| over bins of confidence.

    Args:
        confidence: (N,) highest probability of each clip.
        correct: (N,) bool: whether the prediction is correct.

    Returns:
        The mean over the bins, each weighted by its number of clips.
    """
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    size = np.bincount(bins, minlength=BINS)
    gap = np.bincount(bins, weights=correct - confidence, minlength=BINS)
    return float(np.abs(gap).sum() / max(1, size.sum()))


def groups_of(clips: np.ndarray, subjects: np.ndarray) -> tuple[np.ndarray, str]:
    """Return what a bootstrap draws, and its name: subjects if all are known and there are several, otherwise clips."""
    if (subjects != "").all() and len(set(subjects)) > 1:
        return subjects, "subject"
    return clips, "clip"
