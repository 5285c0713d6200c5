"""Combine models. Weights are fitted on out-of-fold predictions, never on the clips that are reported."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from emopipe.scoring.metrics import PROBABILITY_FLOOR, log_losses

Combine = Callable[["MemberPredictions"], np.ndarray]
"""Members' predictions -> the ensemble's probabilities (N, K)."""


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


def fit(method: str, members: MemberPredictions, targets: np.ndarray) -> tuple[Combine, np.ndarray]:
    """Fit a combination on out-of-fold predictions.

    Args:
        method: mean, weighted, greedy or stacking (`EnsembleOptions.method`).
        members: The members' out-of-fold predictions of N clips.
        targets: (N,) class numbers.

    Returns:
        The combination, and the members' weights (M,). For stacking, a weight is the member's share of the absolute
        coefficients.
    """
    if method == "stacking":
        return _fit_stacking(members, targets)
    weights = {"mean": _equal_weights, "weighted": _mixture_weights, "greedy": _greedy_weights}[method](
        members, targets
    )
    return (lambda predicted: weighted_mean(predicted, weights)), weights


def weighted_mean(members: MemberPredictions, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean (N, K) over the members that cover the clip; over all members if none covers it."""
    weight = weights[:, None] * members.covered  # (M, N)
    weight = np.where(weight.sum(0) > 0, weight, np.maximum(weights, PROBABILITY_FLOOR)[:, None])
    return np.einsum("mn,mnk->nk", weight, members.probs) / weight.sum(0)[:, None]


def _equal_weights(members: MemberPredictions, targets: np.ndarray) -> np.ndarray:
    return np.full(len(members.probs), 1 / len(members.probs))


def _mixture_weights(members: MemberPredictions, targets: np.ndarray, rounds: int = 500) -> np.ndarray:
    """Return the most likely weights of a mixture, by expectation-maximization."""
    weights = _equal_weights(members, targets)
    of_target = members.probs[:, np.arange(len(targets)), targets].clip(PROBABILITY_FLOOR) * members.covered  # (M, N)
    of_target = of_target[:, of_target.any(0)]
    for _ in range(rounds if of_target.shape[1] else 0):
        share = weights[:, None] * of_target
        weights = (share / share.sum(0).clip(PROBABILITY_FLOOR)).mean(1)
    return weights / weights.sum()


def _greedy_weights(members: MemberPredictions, targets: np.ndarray, rounds: int = 50) -> np.ndarray:
    """Return the weights by Caruana's greedy selection with replacement, from the round with the lowest loss."""
    of_target = members.probs[:, np.arange(len(targets)), targets]  # (M, N)
    counts, total, n_covering = np.zeros(len(of_target)), 0.0, 0.0
    best, lowest = _equal_weights(members, targets), np.inf
    for _ in range(rounds):
        # 1. the mean probability of each clip's class if one more member, any of the M, is selected
        totals, n_coverings = total + of_target * members.covered, n_covering + members.covered  # (M, N)
        p = np.divide(totals, n_coverings, out=np.tile(of_target.mean(0), (len(of_target), 1)), where=n_coverings > 0)
        # 2. select the member that gives the lowest loss
        losses = -np.log(p.clip(PROBABILITY_FLOOR)).mean(1)
        new = int(losses.argmin())
        counts[new] += 1
        total, n_covering = totals[new], n_coverings[new]
        # 3. keep the best selection
        if losses[new] < lowest - 1e-9:
            best, lowest = counts.copy(), losses[new]
    return best / best.sum()


def _fit_stacking(members: MemberPredictions, targets: np.ndarray) -> tuple[Combine, np.ndarray]:
    """Fit multinomial logistic regression; a class without any clip gets probability zero."""
    from sklearn.linear_model import LogisticRegression  # slow to import, and few need it

    equal = _equal_weights(members, targets)
    if len(set(targets.tolist())) < 2:
        return (lambda predicted: weighted_mean(predicted, equal)), equal
    regression = LogisticRegression(C=0.05, max_iter=2000).fit(_stacking_inputs(members), targets)

    def combine(predicted: MemberPredictions) -> np.ndarray:
        p = np.zeros(predicted.probs.shape[1:])
        if p.size:
            p[:, regression.classes_] = regression.predict_proba(_stacking_inputs(predicted))
        return p

    strength = np.abs(regression.coef_).reshape(len(regression.coef_), len(members.probs), -1).sum((0, 2))
    return combine, strength / strength.sum() if strength.sum() > 0 else equal


def _stacking_inputs(members: MemberPredictions) -> np.ndarray:
    """Return centered log probabilities (N, M K); zeros where a member does not cover the clip."""
    logits = np.log(members.probs.clip(1e-4))
    logits = (logits - logits.mean(-1, keepdims=True)) * members.covered[..., None]
    return logits.transpose(1, 0, 2).reshape(members.probs.shape[1], -1)


def best_members(members: MemberPredictions, targets: np.ndarray, top: int | None) -> Sequence[int]:
    """Return the numbers of the `top` members with the highest accuracy, in ascending order; None returns all."""
    accuracy = (members.probs.argmax(-1) == targets).mean(1)
    order = np.argsort(-accuracy, kind="stable")
    return sorted(order[:top].tolist())


def fit_temperature(p: np.ndarray, targets: np.ndarray) -> float:
    """Return the T in [0.1, 10] for which softmax(log p / T) of p (N, K) is most likely for the classes (N,)."""
    from scipy.optimize import minimize_scalar  # slow to import, and few need it

    if not len(p):
        return 1.0
    logits = np.log(p.clip(PROBABILITY_FLOOR))
    found = minimize_scalar(
        lambda t: log_losses(_softmax(logits / np.exp(t)), targets).mean(), bounds=np.log([0.1, 10])
    )
    return float(np.exp(found.x))


def apply_temperature(p: np.ndarray, t: float) -> np.ndarray:
    """Return softmax(log p / t) of probabilities p (..., K)."""
    return _softmax(np.log(p.clip(PROBABILITY_FLOOR)) / t)


def _softmax(logits: np.ndarray) -> np.ndarray:
    scaled = np.exp(logits - logits.max(-1, keepdims=True))
    return scaled / scaled.sum(-1, keepdims=True)
