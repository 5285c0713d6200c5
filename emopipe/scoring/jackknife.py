"""95 % intervals of scores that are not functions of sums over clips, such as average precision.

They are from the t distribution, by the jackknife over groups: the score is computed without each group. A bootstrap is
not used, because clips that are drawn twice raise an average precision. Of a share, the interval is that of its logit,
with the error by the delta method: an average precision cannot exceed 1, so its errors are larger below than above.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from emopipe.scoring.intervals import FEWEST_GROUPS, TAIL, Intervals, t_quantile, widened

MOST_PARTS = 300
"""More groups than these are joined to so many parts of about equal numbers of groups, and each part is omitted once:
the delete-a-group jackknife (Kott, Journal of Official Statistics 17(4), 2001)."""

Weighted = Callable[[np.ndarray], np.ndarray]
"""Computes a score (B,) from the weights (B, N) of clips in B samples."""


def jackknife(
    groups: np.ndarray, value: Weighted, *, lowest: float = 0.0, highest: float = 1.0, is_share: bool = False
) -> Intervals:
    """Return a score (1,) with its 95 % interval.

    Args:
        groups: (N,) the group of each clip, such as its subject.
        value: Computes the score.
        lowest: The least value of the score.
        highest: The greatest value of the score.
        is_share: Whether the score is a share, whose interval is that of its logit.
    """
    number, names = pd.factorize(np.asarray(groups))
    n_groups, parts = len(names), min(len(names), MOST_PARTS)
    found = value(np.ones((1, len(number))))
    if n_groups < 2:
        unknown = np.full(1, np.nan)
        return Intervals(found, unknown, unknown, unknown, n_groups, "none")
    without = value(number % parts != np.arange(parts)[:, None])  # (parts,)
    error = np.sqrt((parts - 1) / parts * ((without - without.mean()) ** 2).sum(keepdims=True))
    if n_groups < FEWEST_GROUPS:
        unknown = np.full(1, np.nan)
        return Intervals(found, unknown, unknown, error, n_groups, "none")
    margin = t_quantile(1 - TAIL, degrees(n_groups)) * error
    low, high = _of_logit(found, margin) if is_share and 0 < found[0] < 1 else (found - margin, found + margin)
    low, high = widened(found, low, high, error, n_groups)
    return Intervals(found, low.clip(lowest, highest), high.clip(lowest, highest), error, n_groups, "t")


def _of_logit(share: np.ndarray, margin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of a share (1,) whose interval would be symmetric with this margin (1,)."""
    logit, margin = np.log(share / (1 - share)), margin / (share * (1 - share))
    low, high = (1 / (1 + np.exp(-(logit + sign * margin))) for sign in (-1, 1))
    return low, high


def degrees(groups: int) -> int:
    """Return the degrees of freedom of the jackknife over a number of groups."""
    return min(groups, MOST_PARTS) - 1
