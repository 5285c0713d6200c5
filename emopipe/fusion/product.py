"""Products and means of the streams' own heads: models with a parameter for each stream and for each class.

A stream's network that was trained to name emotions has a head, whose log-probabilities stand beside its vectors in the
cache (`logp`). The product is the log-linear pool of the streams (Genest and Zidek, Statistical Science 1(1), 1986):

    log p(class) = log prior + sum over the streams of e_s (log p_s - log prior_s) + const

Streams without vectors of a clip are omitted, and so each prior is counted once. With all e_s = 1, it is the answer of
streams that are independent given the class (naive Bayes). It needs numpy alone; `fit` needs scipy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emopipe.core.labels import PROBABILITY_FLOOR

PENALTY = 1.0
"""Weight of the penalty: half of it times the squares of the exponents' logarithms, and of the logarithms of how much
the prior of each class changes, for all clips together.

It is a normal distribution with a standard deviation of 1: an exponent of 2.7 or 0.37 costs as much as half a nat of
one clip. So a few hundred clips decide, but a stream that is correct on all of them gets no infinite exponent.
"""
LARGEST = 100.0
"""The largest exponent and the largest change of a prior; the smallest ones are its inverse."""


@dataclass(frozen=True)
class Heads:
    """What the heads of S streams say about N clips."""

    logp: np.ndarray
    """(S, N, K) float64 log-probabilities; any finite numbers for clips without vectors."""
    present: np.ndarray
    """(S, N) bool: whether the stream has vectors of the clip."""
    priors: np.ndarray
    """(S, K) the shares of the classes in what each head was trained on; 0 for classes that it does not know."""

    def select(self, clips: np.ndarray) -> "Heads":
        """Return the heads' answers for some of the clips."""
        return Heads(self.logp[:, clips], self.present[:, clips], self.priors)

    @property
    def evidence(self) -> np.ndarray:
        """(S, N, K): log p_s - log prior_s; 0 where a stream says nothing: no vectors, or a class it does not know."""
        logp = np.maximum(self.logp, np.log(PROBABILITY_FLOOR))
        known = self.priors > 0
        ratio = np.where(known[:, None], logp - np.log(np.where(known, self.priors, 1.0))[:, None], 0.0)
        return np.where(self.present[..., None], ratio, 0.0)


def over_frames(logp: np.ndarray, length: np.ndarray, pool: str) -> np.ndarray:
    """Return a stream's log-probabilities (N, K) float64 of N clips, from those of its frames.

    Args:
        logp: (sum of lengths, K) the frames' log-probabilities, one clip after the other.
        length: (N,) number of frames of each clip; with 0, all classes are equal.
        pool: `mean_p`: the mean of the frames' probabilities. `mean_logp`: the mean of their logarithms, normalised
            again; of a linear head, this is its answer for the mean vector.
    """
    clip = np.repeat(np.arange(len(length)), length)
    values = logp.astype(np.float64)
    if pool == "mean_p":
        values = np.exp(values)
    summed = np.zeros((len(length), logp.shape[1]))
    np.add.at(summed, clip, values)
    pooled = summed / np.maximum(length, 1)[:, None]
    if pool == "mean_p":
        pooled = np.log(np.where(length[:, None] > 0, pooled, 1.0).clip(np.finfo(float).tiny))
    return _log_softmax(pooled)


def over_views(of_views: Sequence[np.ndarray]) -> np.ndarray:
    """Return the logarithm (N, K) of the mean of the probabilities in several views, given as logarithms (N, K)."""
    return np.log(np.mean(np.exp(of_views), 0).clip(np.finfo(float).tiny))


def product(heads: Heads, exponents: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return the probabilities (N, K) of the log-linear pool.

    Args:
        heads: The streams' answers.
        exponents: (S,) e_s; 1 each is the untrained form.
        prior: (K,) the shares of the classes that the answer assumes, counted once. Classes with 0 get no probability.
    """
    return np.exp(_log_softmax(_logits(heads.evidence, exponents, prior)))


def mean(heads: Heads, prior: np.ndarray) -> np.ndarray:
    """Return the mean (N, K) of the probabilities of the present streams; classes with a prior of 0 get none."""
    weights = heads.present[..., None] / np.maximum(heads.present.sum(0), 1)[:, None]  # (S, N, 1)
    p = (weights * np.exp(heads.logp)).sum(0) * (prior > 0)
    p = np.where(heads.present.any(0)[:, None], p, prior)
    return p / p.sum(1, keepdims=True)


def fit(heads: Heads, prior: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the exponents (S,) and the prior (K,) of highest likelihood, with a weak penalty (PENALTY).

    The prior is fitted, because a network's own prior is known only roughly: label smoothing, mixup and the balance of
    classes in training make a network's answers less unequal than the shares of its training clips.

    Args:
        heads: The streams' answers for the clips to fit on.
        prior: (K,) to which the penalty draws the prior; above 0 for each class that the clips show. Classes with 0
            keep 0.
        targets: (N,) class numbers; or (N, K) shares of votes, whose expected log-likelihood is then the highest.
    """
    from scipy.optimize import minimize  # slow to import, and predictions do not need it

    evidence, known = heads.evidence, np.flatnonzero(prior > 0)  # evidence: (S, N, K)
    count, given = len(evidence), np.log(prior[known])
    of_target = _expected(evidence, targets).sum(1)  # (S,)
    targets_of_class = _counts(targets, len(prior))[known]  # (K',)

    def parts(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the exponents and the prior (not normalised) of the S + K' parameters."""
        fitted = np.zeros(len(prior))
        fitted[known] = np.exp(given + x[count:])
        return np.exp(x[:count]), fitted

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        # 1. the negative log likelihood, and the penalty on logarithms
        exponents, fitted = parts(x)
        logp = _log_softmax(_logits(evidence, exponents, fitted))
        value = -_expected(logp, targets).sum() + PENALTY / 2 * (x**2).sum()
        # 2. their gradient: what is expected minus what is observed
        p = np.exp(logp)
        of_exponents = (np.einsum("nk,snk->s", p, evidence) - of_target) * exponents
        of_prior = p.sum(0)[known] - targets_of_class
        return value, np.concatenate([of_exponents, of_prior]) + PENALTY * x

    limit = np.log(LARGEST)
    found = minimize(
        loss, np.zeros(count + len(known)), jac=True, method="L-BFGS-B", bounds=[(-limit, limit)] * (count + len(known))
    )
    exponents, fitted = parts(found.x)
    return exponents, fitted / fitted.sum()


def class_shares(targets: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the prior (K,) of clips with these targets: each class counts once more, so that none has 0.

    Args:
        targets: (N,) class numbers; or (N, K) shares of votes.
        classes: (K,) bool: the classes that may be predicted; the others get 0.
    """
    counts = _counts(targets, len(classes)) + 1.0
    return counts * classes / (counts * classes).sum()


def _expected(values: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return values (..., N, K) at class numbers (N,), or their means by shares (N, K): (..., N)."""
    if targets.ndim == 1:
        return values[..., np.arange(len(targets)), targets]
    return (targets * np.where(targets > 0, values, 0.0)).sum(-1)  # the value of a class without votes may be -inf


def _counts(targets: np.ndarray, classes: int) -> np.ndarray:
    """Return the number (K,) of clips of each class."""
    return np.bincount(targets, minlength=classes) if targets.ndim == 1 else targets.sum(0)


def _logits(evidence: np.ndarray, exponents: np.ndarray, prior: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):  # the logarithm of 0 is meant: such a class gets no probability
        return np.log(prior) + np.einsum("s,snk->nk", exponents, evidence)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
