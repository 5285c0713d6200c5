"""Combining models: what is fitted is fitted on out-of-fold predictions, never on the clips that are reported."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression

SMALLEST = 1e-9
"""Probabilities below this count as this where logarithms are taken."""

Combine = Callable[["Votes"], np.ndarray]
"""From the members' votes to probabilities (N, K)."""


@dataclass(frozen=True)
class Votes:
    """What M members say of N clips."""

    p: np.ndarray
    """(M, N, K) probabilities."""
    covered: np.ndarray
    """(M, N) bool: whether the member had anything to go by."""

    def at(self, rows: np.ndarray) -> "Votes":
        """The votes on some clips."""
        return Votes(self.p[:, rows], self.covered[:, rows])


def temperature(p: np.ndarray, targets: np.ndarray) -> float:
    """T that makes softmax(log p / T) of p (N, K) most likely for classes (N,); between 0.1 and 10."""
    if not len(p):
        return 1.0
    logits = np.log(p.clip(SMALLEST))
    found = minimize_scalar(lambda t: loss(_tempered(logits, np.exp(t)), targets), bounds=np.log([0.1, 10]))
    return float(np.exp(found.x))


def tempered(p: np.ndarray, t: float) -> np.ndarray:
    """Probabilities p (..., K) at temperature t."""
    return _tempered(np.log(p.clip(SMALLEST)), t)


def loss(p: np.ndarray, targets: np.ndarray) -> float:
    """Mean negative log-likelihood of classes (N,) under p (N, K)."""
    return float(-np.log(p[np.arange(len(targets)), targets].clip(SMALLEST)).mean())


def average(votes: Votes, weights: np.ndarray) -> np.ndarray:
    """Weighted mean (N, K) over the members that had anything to go by; over all, where none had."""
    weight = weights[:, None] * votes.covered  # (M, N)
    weight = np.where(weight.sum(0) > 0, weight, np.maximum(weights, SMALLEST)[:, None])
    return np.einsum("mn,mnk->nk", weight, votes.p) / weight.sum(0)[:, None]


def fit(method: str, votes: Votes, targets: np.ndarray) -> tuple[Combine, np.ndarray]:
    """Fit a combination on out-of-fold votes and classes (N,).

    Returns:
        The combination, and the members' weights (M,): for stacking, the shares of its coefficients' magnitudes.
    """
    if method == "stacking":
        return _stacking(votes, targets)
    weights = {"mean": _equal, "weighted": _most_likely, "greedy": _greedy}[method](votes, targets)
    return (lambda asked: average(asked, weights)), weights


def _equal(votes: Votes, targets: np.ndarray) -> np.ndarray:
    return np.full(len(votes.p), 1 / len(votes.p))


def _most_likely(votes: Votes, targets: np.ndarray, rounds: int = 500) -> np.ndarray:
    """Weights of a mixture by expectation-maximisation, which raises the likelihood in every round."""
    weights = _equal(votes, targets)
    right = votes.p[:, np.arange(len(targets)), targets].clip(SMALLEST) * votes.covered  # (M, N)
    right = right[:, right.any(0)]
    for _ in range(rounds if right.shape[1] else 0):
        share = weights[:, None] * right
        weights = (share / share.sum(0).clip(SMALLEST)).mean(1)
    return weights / weights.sum()


def _greedy(votes: Votes, targets: np.ndarray, rounds: int = 50) -> np.ndarray:
    """Caruana's selection with replacement; the bag with the least loss on the way."""
    right = votes.p[:, np.arange(len(targets)), targets]  # (M, N)
    counts, summed, known = np.zeros(len(right)), 0.0, 0.0
    best, least = _equal(votes, targets), np.inf
    for _ in range(rounds):
        # what each clip's class would get if each member joined the bag
        joined, by = summed + right * votes.covered, known + votes.covered  # (M, N)
        p = np.divide(joined, by, out=np.tile(right.mean(0), (len(right), 1)), where=by > 0)
        losses = -np.log(p.clip(SMALLEST)).mean(1)
        new = int(losses.argmin())
        counts[new] += 1
        summed, known = joined[new], by[new]
        if losses[new] < least - 1e-9:
            best, least = counts.copy(), losses[new]
    return best / best.sum()


def _stacking(votes: Votes, targets: np.ndarray) -> tuple[Combine, np.ndarray]:
    """Multinomial logistic regression; a class that never occurs keeps no probability."""
    if len(set(targets.tolist())) < 2:
        weights = _equal(votes, targets)
        return (lambda asked: average(asked, weights)), weights
    regression = LogisticRegression(C=0.05, max_iter=2000).fit(_inputs(votes), targets)

    def combine(asked: Votes) -> np.ndarray:
        p = np.zeros(asked.p.shape[1:])
        if p.size:
            p[:, regression.classes_] = regression.predict_proba(_inputs(asked))
        return p

    strength = np.abs(regression.coef_).reshape(len(regression.coef_), len(votes.p), -1).sum((0, 2))
    return combine, strength / strength.sum() if strength.sum() > 0 else _equal(votes, targets)


def _inputs(votes: Votes) -> np.ndarray:
    """Log probabilities (N, M K) relative to their mean; zeros where a member had nothing to go by."""
    logits = np.log(votes.p.clip(1e-4))
    logits = (logits - logits.mean(-1, keepdims=True)) * votes.covered[..., None]
    return logits.transpose(1, 0, 2).reshape(votes.p.shape[1], -1)


def best_members(votes: Votes, targets: np.ndarray, top: int | None) -> Sequence[int]:
    """Numbers of the members with the best accuracy, in their own order."""
    accuracy = (votes.p.argmax(-1) == targets).mean(1)
    order = np.argsort(-accuracy, kind="stable")
    return sorted(order[:top].tolist())


def _tempered(logits: np.ndarray, t: float) -> np.ndarray:
    scaled = logits / t
    scaled = np.exp(scaled - scaled.max(-1, keepdims=True))
    return scaled / scaled.sum(-1, keepdims=True)
