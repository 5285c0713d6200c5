"""Combine models. Weights are fitted on out-of-fold predictions, never on the clips that are reported.

Targets are class numbers (N,) where each clip has one class (`single`), else what answers should be (N, K): shares of
votes, ones and zeros, or numbers. Geometric means, stacking and temperatures are for probabilities that sum to 1.
"""

from collections.abc import Sequence

import numpy as np

from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.scoring.combining import Stacking, WeightedMean, stacking_inputs
from emopipe.scoring.descent import lowest_loss_weights
from emopipe.scoring.greedy import Selection, greedy_weights
from emopipe.scoring.metrics import PROBABILITY_FLOOR, cross_entropies, log_losses
from emopipe.scoring.pooling import Mean, MemberPredictions, of_target, softmax
from emopipe.scoring.primary import score_of


def fit(
    method: str,
    members: MemberPredictions,
    targets: np.ndarray,
    mean: Mean = "arithmetic",
    selection: Selection | None = None,
    space: LabelSpace = BASIC7,
) -> tuple[WeightedMean | Stacking, np.ndarray]:
    """Fit a combination on out-of-fold predictions.

    Args:
        method: mean, weighted, greedy or stacking (`EnsembleOptions.method`).
        members: The members' out-of-fold predictions of N clips.
        targets: (N,) class numbers, or (N, K) what answers should be.
        mean: How members are combined; stacking does not use it.
        selection: Options of the method greedy.
        space: The label space.

    Returns:
        The combination, and the members' weights (M,), which sum to one. For stacking, a weight is the member's share
        of the absolute coefficients.
    """
    if method == "stacking":
        return _fit_stacking(members, targets)
    if method == "greedy":
        weights = greedy_weights(members, targets, mean, selection, space)
    elif method == "weighted" and mean == "geometric":
        weights = _pool_weights(members, targets)
    elif method == "weighted":
        is_single = space.kind == "single"
        weights = _mixture_weights(members, targets) if is_single else lowest_loss_weights(members, targets, space)
    else:
        weights = _equal_weights(members)
    return WeightedMean(weights, mean), weights


def _equal_weights(members: MemberPredictions) -> np.ndarray:
    return np.full(len(members.probs), 1 / len(members.probs))


def _mixture_weights(members: MemberPredictions, targets: np.ndarray, rounds: int = 500) -> np.ndarray:
    """Return the most likely weights of a mixture, by expectation-maximization."""
    weights = _equal_weights(members)
    of_target = members.probs[:, np.arange(len(targets)), targets].clip(PROBABILITY_FLOOR) * members.covered  # (M, N)
    of_target = of_target[:, of_target.any(0)]
    for _ in range(rounds if of_target.shape[1] else 0):
        share = weights[:, None] * of_target
        weights = (share / share.sum(0).clip(PROBABILITY_FLOOR)).mean(1)
    return weights / weights.sum()


def _pool_weights(members: MemberPredictions, targets: np.ndarray) -> np.ndarray:
    """Return the most likely weights of a geometric mean, by L-BFGS-B; if all cover all clips, the loss is convex."""
    from scipy.optimize import minimize  # slow to import, and few need it

    covered_by_any = members.covered.any(0)
    if not covered_by_any.any():
        return _equal_weights(members)
    members, targets = members.select(covered_by_any), targets[covered_by_any]
    log_p = np.log(members.probs.clip(PROBABILITY_FLOOR))  # (M, N, K)
    log_p_of_target = of_target(log_p, targets)  # (M, N)

    def loss(unscaled: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the loss of weights (M,), which need not sum to one, and its gradient (M,)."""
        weight = unscaled[:, None] * members.covered
        total = weight.sum(0)  # (N,)
        share = weight / total  # (M, N)
        logits = np.einsum("mn,mnk->nk", share, log_p)
        p = softmax(logits)
        by_share = np.einsum("nk,mnk->mn", p, log_p) - log_p_of_target  # derivatives by the shares
        by_weight = members.covered * (by_share - (share * by_share).sum(0)) / total
        chosen = of_target(logits, targets) - np.log(np.exp(logits).sum(1))
        return float(-chosen.mean()), by_weight.mean(1)

    # A bound above zero keeps a weight for clips that one member alone covers.
    found = minimize(
        loss, np.ones(len(log_p)), jac=True, bounds=[(PROBABILITY_FLOOR, None)] * len(log_p), method="L-BFGS-B"
    ).x
    found = np.where(found > PROBABILITY_FLOOR, found, 0.0)
    return found / found.sum()


def _fit_stacking(members: MemberPredictions, targets: np.ndarray) -> tuple[WeightedMean | Stacking, np.ndarray]:
    """Fit multinomial logistic regression; a class without any clip gets probability zero.

    A clip with votes counts once for each class that has votes, by its share.
    """
    from sklearn.linear_model import LogisticRegression  # slow to import, and few need it

    equal, inputs, counts = _equal_weights(members), stacking_inputs(members), None
    if targets.ndim > 1:
        clip, shown = np.nonzero(targets)
        inputs, counts, targets = inputs[clip], targets[clip, shown], shown
    if len(set(targets.tolist())) < 2:
        return WeightedMean(equal), equal
    regression = LogisticRegression(C=0.05, max_iter=2000).fit(inputs, targets, sample_weight=counts)
    strength = np.abs(regression.coef_).reshape(len(regression.coef_), len(members.probs), -1).sum((0, 2))
    return Stacking(regression), strength / strength.sum() if strength.sum() > 0 else equal


def best_members(
    members: MemberPredictions, targets: np.ndarray, top: int | None, space: LabelSpace = BASIC7
) -> Sequence[int]:
    """Return the numbers of the `top` members with the best primary score, in ascending order; None returns all."""
    scores = np.array([score_of(p, targets, space) for p in members.probs])
    order = np.argsort(-scores, kind="stable")
    return sorted(order[:top].tolist())


def fit_temperature(p: np.ndarray, targets: np.ndarray) -> float:
    """Return the T in [0.1, 10] for which softmax(log p / T) of p (N, K) is most likely for the classes, or shares."""
    from scipy.optimize import minimize_scalar  # slow to import, and few need it

    if not len(p):
        return 1.0
    logits, loss = np.log(p.clip(PROBABILITY_FLOOR)), log_losses if targets.ndim == 1 else cross_entropies
    found = minimize_scalar(lambda t: loss(softmax(logits / np.exp(t)), targets).mean(), bounds=np.log([0.1, 10]))
    return float(np.exp(found.x))


def apply_temperature(p: np.ndarray, t: float) -> np.ndarray:
    """Return softmax(log p / t) of probabilities p (..., K)."""
    return softmax(np.log(p.clip(PROBABILITY_FLOOR)) / t)
