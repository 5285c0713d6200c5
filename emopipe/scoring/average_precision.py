"""Average precision of classes, of many weighted samples at once, which makes the jackknife fast."""

from collections.abc import Callable

import numpy as np


def average_precisions(p: np.ndarray, present: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the average precision (B, K) of each class in B weighted samples; NaN for classes without a positive clip.

    It is the sum over thresholds of the precision times the gain in recall, without interpolation; clips with equal
    probabilities pass a threshold together. scikit-learn's `average_precision_score` gives the same.

    Args:
        p: (N, K) a probability for each class.
        present: (N, K) 1 or True where the clip shows the class, else 0.
        weights: (B, N) how often each clip counts in each sample.
    """
    return np.stack([of(weights) for of in map(_ranked, p.T, present.T)], axis=-1)


def macro_average_precision(p: np.ndarray, present: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of weights (B, N) that gives the mean average precision (B,) of the classes that occur.

    Classes without a positive clip do not count; NaN if there is none. Arguments are those of `average_precisions`.
    """
    of_classes = [_ranked(*each) for each in zip(p.T, present.T, strict=True) if each[1].any()]

    def of_samples(weights: np.ndarray) -> np.ndarray:
        total, known = np.zeros(len(weights)), np.zeros(len(weights))
        for of in of_classes:
            found = of(weights)
            occurs = ~np.isnan(found)
            total, known = total + np.where(occurs, found, 0), known + occurs
        return np.divide(total, known, out=np.full(len(weights), np.nan), where=known > 0)

    return of_samples


def _ranked(p: np.ndarray, present: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of weights (B, N) that gives the average precision (B,) of a class; p and present are (N,)."""
    order = np.argsort(-p, kind="stable")
    # Of clips with equal probabilities, the sums after the last one count.
    last = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1) if len(p) else np.zeros(0, int)
    positive = present[order].astype(float)

    def of_samples(weights: np.ndarray) -> np.ndarray:
        if not len(last):
            return np.full(len(weights), np.nan)
        ranked = weights[:, order].astype(float)
        taken, found = ranked.cumsum(1)[:, last], (ranked * positive).cumsum(1)[:, last]
        precision = np.divide(found, taken, out=np.zeros_like(found), where=taken > 0)
        gains = np.diff(found, axis=1, prepend=0)
        total = found[:, -1]
        return np.divide((precision * gains).sum(1), total, out=np.full(len(total), np.nan), where=total > 0)

    return of_samples
