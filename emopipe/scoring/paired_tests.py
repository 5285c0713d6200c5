"""Tests of whether two models differ on the same clips, their correction for many tests, and what they can detect."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from emopipe.scoring.intervals import t_quantile

FEWEST_TO_FLIP = 6
"""With fewer groups, flipped signs cannot give a p below 0.05: 2 / 2 ** 5 is 0.0625."""
POWER = 0.8
"""The probability with which a detectable difference is found."""

SIGN_FLIP, MCNEMAR = "sign flips by group", "McNemar by clip, groups ignored"
"""Names of the tests."""


def paired_test(first: np.ndarray, second: np.ndarray, groups: np.ndarray, unit: str) -> tuple[float, str]:
    """Return the two-sided p of a difference in accuracy, and the name of the test.

    Args:
        first: (N,) bool: whether one model is correct.
        second: (N,) bool: whether the other model is correct.
        groups: (N,) the group of each clip.
        unit: What groups are: subject, group or clip.
    """
    if unit != "clip" and len(set(groups)) >= FEWEST_TO_FLIP:
        return sign_flip(first.astype(int) - second, groups), SIGN_FLIP
    return mcnemar(first, second), MCNEMAR


def sign_flip(differences: np.ndarray, groups: np.ndarray) -> float:
    """Return the exact two-sided p of a sum, if the sign of each group's sum is as likely plus as minus.

    All 2 ** G assignments of signs count, without enumeration: the distribution of the sum of independent +-d_g is the
    Fourier transform of the product of cos(w d_g).

    Args:
        differences: (N,) whole numbers, such as correct by the first model minus correct by the second.
        groups: (N,) the group of each clip.
    """
    sums = np.bincount(pd.factorize(np.asarray(groups))[0], weights=differences).round().astype(int)  # (G,)
    size, times = np.unique(np.abs(sums[sums != 0]), return_counts=True)
    if not len(size):
        return 1.0
    most = int(size @ times)
    n = 2 * most + 1
    k = np.arange(n)
    transform = np.ones(n)
    for each, count in zip(size, times, strict=True):
        transform *= np.cos(2 * np.pi * k * each / n) ** count
    probability = np.fft.ifft(transform).real.clip(0)  # of each sum, modulo n
    total = np.where(k <= most, k, k - n)
    return float(min(1.0, probability[np.abs(total) >= abs(sums.sum())].sum()))


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Return the two-sided mid-p of McNemar's test; (N,) bool: whether two models are correct on the same clips.

    Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13:91, 2013, recommend the mid-p value.
    """
    from scipy.stats import binom  # slow to import, and few need it

    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    fewer, both = min(only_first, only_second), only_first + only_second
    if only_first == only_second:
        return 1.0
    return float(min(1.0, 2 * binom.cdf(fewer, both, 0.5) - binom.pmf(fewer, both, 0.5)))


def holm(p: Sequence[float]) -> np.ndarray:
    """Return p values (N,) corrected by Holm's method for all tests of a table; NaN stays NaN and does not count."""
    values = np.asarray(p, float)
    made, known = np.full(values.shape, np.nan), np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    made[order] = np.minimum(np.maximum.accumulate(factors * values[order]), 1) if len(order) else []
    return made


def detectable(error: float, groups: int, first: np.ndarray, second: np.ndarray, test: str) -> float:
    """Return the difference that a test at 5 % finds with probability POWER; NaN if that cannot be known.

    Args:
        error: The standard error of the difference over groups.
        groups: G, the number of groups.
        first: (N,) bool: whether one model is correct.
        second: (N,) bool: whether the other model is correct.
        test: The test that `paired_test` used. McNemar's ignores groups, so the error is then that over clips.
    """
    if test == MCNEMAR:
        differences, groups = first.astype(int) - second, len(first)
        error = float(np.std(differences, ddof=1) / math.sqrt(groups)) if groups > 1 else math.nan
    if groups < 2 or math.isnan(error):
        return math.nan
    return (t_quantile(0.975, groups - 1) + t_quantile(POWER, groups - 1)) * error
