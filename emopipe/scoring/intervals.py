"""95 % intervals of scores. What is drawn are groups: the clips of one person depend on each other.

The number of groups G decides how an interval is made (`Method`):

    G < 5         none: so few groups do not show how much groups differ
    5 <= G < 20   t: the jackknife over groups, with G - 1 degrees of freedom
    20 <= G       bootstrap: groups are drawn with replacement

`benchmarks/interval_coverage.py` measures how often these intervals contain the true value.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

FEWEST_GROUPS = 5
"""With fewer groups, there is no interval."""
FEWEST_FOR_BOOTSTRAP = 20
"""With fewer groups, the interval is from the t distribution."""
RESAMPLES = 2000
"""Number of bootstrap samples for an interval."""
DRAWN_AT_ONCE = 1 << 22
"""Most counts that are drawn at once for an interval, which limits its memory."""
TAIL = 0.025
"""The probability that the true value is below the interval; the same above."""

Method = Literal["none", "t", "bootstrap"]
Value = Callable[[np.ndarray], np.ndarray]
"""Computes scores (..., S) from summed counts (..., M)."""


@dataclass(frozen=True)
class Intervals:
    """The intervals of S scores of the same clips."""

    value: np.ndarray
    """(S,) the scores."""
    low: np.ndarray
    """(S,) lower bounds; NaN if there is no interval."""
    high: np.ndarray
    """(S,) upper bounds; NaN if there is no interval."""
    error: np.ndarray
    """(S,) standard errors by the jackknife over groups; NaN with fewer than two groups."""
    groups: int
    """G, the number of groups."""
    method: Method
    """How they were made."""


def intervals(
    counts: np.ndarray,
    groups: np.ndarray,
    value: Value,
    *,
    lowest: float = 0.0,
    highest: float = 1.0,
    seed: int = 0,
) -> Intervals:
    """Return scores with 95 % intervals.

    Args:
        counts: (N, M) what each clip adds to the counts that the scores are computed from; see `scores`.
        groups: (N,) the group of each clip, such as its subject.
        value: Computes the scores (..., S) from sums of counts (..., M).
        lowest: The least value of a score.
        highest: The greatest value of a score.
        seed: Seed of the bootstrap.
    """
    # 1. The counts of each group (G, M), the scores (S,), and the scores without each group (G, S).
    number, names = pd.factorize(np.asarray(groups))
    by_group = pd.DataFrame(np.asarray(counts, float)).groupby(number).sum().to_numpy()
    n_groups, total = len(names), by_group.sum(0)
    found = value(total)
    if n_groups < 2:
        unknown = np.full(found.shape, np.nan)
        return Intervals(found, unknown, unknown, unknown, n_groups, "none")
    without = value(total - by_group)
    error = np.sqrt((n_groups - 1) / n_groups * ((without - without.mean(0)) ** 2).sum(0))
    if n_groups < FEWEST_GROUPS:
        unknown = np.full(found.shape, np.nan)
        return Intervals(found, unknown, unknown, error, n_groups, "none")
    # 2. The bounds.
    if n_groups < FEWEST_FOR_BOOTSTRAP:
        margin = t_quantile(1 - TAIL, n_groups - 1) * error
        low, high, method = found - margin, found + margin, "t"
    else:
        low, high, method = *_percentiles(_resampled(by_group, value, seed), n_groups), "bootstrap"
    # 3. Groups that do not differ at all.
    low, high = widened(found, low, high, error, n_groups)
    return Intervals(found, low.clip(lowest, highest), high.clip(lowest, highest), error, n_groups, method)


def widened(
    found: np.ndarray, low: np.ndarray, high: np.ndarray, error: np.ndarray, n_groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds (S,) that are not equal where G groups do not differ at all.

    They are the most that so many equal observations leave possible (Clopper-Pearson).
    """
    same = error < 1e-12
    possible = 1 - TAIL ** (1 / n_groups)
    return np.where(same, found - possible, low), np.where(same, found + possible, high)


def _resampled(by_group: np.ndarray, value: Value, seed: int) -> np.ndarray:
    """Return the scores (RESAMPLES, S) of bootstrap samples of groups (G, M)."""
    # Groups with equal counts are interchangeable, so it matters only how many of each kind are drawn.
    kinds, size = _kinds(by_group)
    rng, made, left = np.random.default_rng(seed), [], RESAMPLES
    while left:
        some = min(left, max(1, DRAWN_AT_ONCE // len(kinds)))
        drawn = rng.multinomial(len(by_group), size / len(by_group), size=some)  # (some, kinds)
        made.append(value(drawn @ kinds))
        left -= some
    return np.concatenate(made)


def _kinds(by_group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct rows (U, M) of counts (G, M) in the order of their columns, and how often each one occurs.

    The same as `np.unique(by_group, axis=0, return_counts=True)`, which takes seconds for 100 000 groups.
    """
    # 1. A number for each row: equal rows have equal numbers, because numbers of its first columns are extended by
    # one column after the other, and are numbered again so that they stay small.
    row = np.zeros(len(by_group), np.int64)
    for column in by_group.T:
        value, values = pd.factorize(column)
        if len(values) > 1:
            row = pd.factorize(row * len(values) + value)[0]
    # 2. One row of each number, sorted.
    _, first, size = np.unique(row, return_index=True, return_counts=True)
    order = np.lexsort(by_group[first].T[::-1])
    return by_group[first][order], size[order]


def _percentiles(samples: np.ndarray, n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds (S,) of scores (RESAMPLES, S): percentiles, expanded for the number of groups.

    Plain percentiles are too narrow by sqrt((G - 1) / G) and by the normal in place of the t distribution. Expanded
    percentiles mend both: Hesterberg, What Teachers Should Know About the Bootstrap, 2015, section 4.3.2.
    """
    z = math.sqrt(n_groups / (n_groups - 1)) * t_quantile(1 - TAIL, n_groups - 1)
    tail = 50 * math.erfc(z / math.sqrt(2))  # in percent
    low, high = np.percentile(samples, [tail, 100 - tail], axis=0)
    return low, high


def t_quantile(p: float, degrees: int) -> float:
    """Return the quantile of the t distribution."""
    from scipy.stats import t  # slow to import, and few need it

    return float(t.ppf(p, degrees))


def groups_of(clips: np.ndarray, subjects: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the groups of clips, and what they are: their subjects if all are known, else the clips themselves."""
    return (subjects, "subject") if (subjects != "").all() else (clips, "clip")
