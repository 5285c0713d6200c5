"""The concordance correlation coefficient (CCC) as a function of sums over clips, which makes its intervals fast.

Lin, A Concordance Correlation Coefficient to Evaluate Reproducibility, Biometrics 45(1), 1989: twice the covariance,
divided by the sum of both variances and the square of the difference of the means, all with 1/N.
"""

import numpy as np

LEAST_SPREAD = 1e-12
"""Where the divisor is not larger, neither given nor predicted numbers vary, and the CCC is 0. Rounding errors of sums
are smaller for numbers of the size of 1."""

ROUNDING = 1e-12
"""A CCC that is not larger is 0: that of answers that do not vary is 0, but for rounding errors of sums."""


def moments(values: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return what each clip adds: (N, 6 K) ones, values, targets, their squares, and their product, of each dimension.

    Args:
        values: (N, K) what is predicted.
        targets: (N, K) what is given. Both are moved by the mean of the targets, so that sums lose no digits.
    """
    center = targets.mean(0) if len(targets) else 0.0
    x, y = values - center, targets - center
    return np.concatenate([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)


def concordances(summed: np.ndarray) -> np.ndarray:
    """Return the CCC (..., K) of each dimension, from sums of moments (..., 6 K); 0 where answers do not vary."""
    n, *sums = np.split(summed, 6, axis=-1)
    x, y, xx, yy, xy = (np.divide(each, n, out=np.zeros_like(each), where=n > 0) for each in sums)
    covariance, divisor = xy - x * y, (xx - x * x) + (yy - y * y) + (x - y) ** 2
    found = np.divide(2 * covariance, divisor, out=np.zeros_like(divisor), where=divisor > LEAST_SPREAD)
    return np.where(np.abs(found) > ROUNDING, found, 0.0)


def mean_and_each(summed: np.ndarray) -> np.ndarray:
    """Return the mean CCC of all dimensions, then the CCC of each, (..., 1 + K), from sums of moments (..., 6 K)."""
    found = concordances(summed)
    return np.concatenate([found.mean(-1, keepdims=True), found], axis=-1)
