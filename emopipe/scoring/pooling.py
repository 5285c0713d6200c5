"""Combine the probabilities of several members into one: the arithmetic and the geometric mean, with weights."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from emopipe.scoring.metrics import PROBABILITY_FLOOR

Mean = Literal["arithmetic", "geometric"]
"""Which mean of probabilities: sum of w p, or the product of p ^ w divided by its sum over classes."""


@dataclass(frozen=True)
class MemberPredictions:
    """The predictions of M members for N clips."""

    probs: np.ndarray
    """(M, N, K) probabilities."""
    covered: np.ndarray
    """(M, N) bool: whether the clip has any features that the member uses."""

    def select(self, rows: np.ndarray) -> "MemberPredictions":
        """Return the predictions for some clips."""
        return MemberPredictions(self.probs[:, rows], self.covered[:, rows])

    def of(self, numbers: np.ndarray) -> "MemberPredictions":
        """Return the predictions of some members."""
        return MemberPredictions(self.probs[numbers], self.covered[numbers])


def weighted_mean(members: MemberPredictions, weights: np.ndarray, mean: Mean = "arithmetic") -> np.ndarray:
    """Return the weighted mean (N, K) over the members that cover the clip; over all members if none covers it.

    The weighted geometric mean is a log-linear pool (Genest and Zidek, Statistical Science 1986, section 3).
    """
    weight = weights[:, None] * members.covered  # (M, N)
    weight = np.where(weight.sum(0) > 0, weight, np.maximum(weights, PROBABILITY_FLOOR)[:, None])
    if mean == "arithmetic":
        return np.einsum("mn,mnk->nk", weight, members.probs) / weight.sum(0)[:, None]
    return softmax(np.einsum("mn,mnk->nk", weight / weight.sum(0), np.log(members.probs.clip(PROBABILITY_FLOOR))))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the softmax over the last axis."""
    scaled = np.exp(logits - logits.max(-1, keepdims=True))
    return scaled / scaled.sum(-1, keepdims=True)


def of_target(values: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the values (..., N) of classes (N,), as numbers, of values (..., N, K); of shares (N, K), their means."""
    return values[..., np.arange(len(targets)), targets] if targets.ndim == 1 else (values * targets).sum(-1)
