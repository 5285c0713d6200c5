"""Weights that give the arithmetic mean of members the lowest loss, where clips have several classes or numbers."""

import numpy as np

from emopipe.core.labels import PROBABILITY_FLOOR, LabelSpace
from emopipe.scoring.losses import half_range, losses
from emopipe.scoring.pooling import MemberPredictions


def lowest_loss_weights(members: MemberPredictions, targets: np.ndarray, space: LabelSpace) -> np.ndarray:
    """Return the weights (M,), which sum to one, by L-BFGS-B; if all members cover all clips, the loss is convex.

    Args:
        members: The members' out-of-fold predictions of N clips.
        targets: (N, K) what answers should be.
        space: The label space; not `single`, for which `ensembling` has a faster way.
    """
    from scipy.optimize import minimize  # slow to import, and few need it

    covered_by_any = members.covered.any(0)
    if not covered_by_any.any():
        return np.full(len(members.probs), 1 / len(members.probs))
    members, targets = members.select(covered_by_any), targets[covered_by_any]

    def loss(unscaled: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the loss of weights (M,), which need not sum to one, and its gradient (M,)."""
        weight = unscaled[:, None] * members.covered
        total = weight.sum(0)  # (N,)
        share = weight / total  # (M, N)
        mean = np.einsum("mn,mnk->nk", share, members.probs)
        by_share = np.einsum("nk,mnk->mn", _slopes(mean, targets, space), members.probs)
        by_weight = members.covered * (by_share - (share * by_share).sum(0)) / total
        return float(losses(mean, targets, space).mean()), by_weight.mean(1)

    # A bound above zero keeps a weight for clips that one member alone covers.
    bounds = [(PROBABILITY_FLOOR, None)] * len(members.probs)
    found = minimize(loss, np.ones(len(members.probs)), jac=True, bounds=bounds, method="L-BFGS-B").x
    found = np.where(found > PROBABILITY_FLOOR, found, 0.0)
    return found / found.sum()


def _slopes(values: np.ndarray, targets: np.ndarray, space: LabelSpace) -> np.ndarray:
    """Return the derivatives (N, K) of the clips' losses by the values (N, K)."""
    if space.kind == "dimensions":
        return 2 * (values - targets) / half_range(space) ** 2 / len(space)

    def of_logarithm(p: np.ndarray) -> np.ndarray:
        return np.where(p > PROBABILITY_FLOOR, 1 / p.clip(PROBABILITY_FLOOR), 0.0)

    if space.kind == "votes":
        return -targets * of_logarithm(values)
    return ((1 - targets) * of_logarithm(1 - values) - targets * of_logarithm(values)) / len(space)
