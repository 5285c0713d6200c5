"""Accuracy, UAR and macro F1 as functions of counts that add up over clips, which makes their intervals fast."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from emopipe.core.labels import CLASSES
from emopipe.scoring.intervals import Intervals, intervals

SCORES = ("accuracy", "uar", "macro_f1")
"""The scores, in the order of their last axis."""


def counts(labels: ArrayLike, predicted: ArrayLike, classes: Sequence[str] = CLASSES) -> np.ndarray:
    """Return what each clip adds: (N, 3 K) correct, labelled and predicted clips of each class.

    Args:
        labels: (N,) names of classes.
        predicted: (N,) names of classes.
        classes: All K of them.
    """
    names = np.array(classes)
    label, answer = (np.asarray(each)[:, None] == names for each in (labels, predicted))  # (N, K) each
    return np.concatenate([label & answer, label, answer], axis=1).astype(float)


def scores(summed: np.ndarray) -> np.ndarray:
    """Return accuracy, UAR and macro F1 (..., 3) of sums of counts (..., 3 K).

    UAR and macro F1 are means over the classes that occur among the labels.
    """
    correct, labelled, predicted = np.split(summed, 3, axis=-1)
    occurs = labelled > 0
    n_classes = np.maximum(occurs.sum(-1), 1)
    recall = np.divide(correct, labelled, out=np.zeros_like(correct), where=occurs)
    f1 = np.divide(2 * correct, labelled + predicted, out=np.zeros_like(correct), where=occurs)
    accuracy = correct.sum(-1) / np.maximum(labelled.sum(-1), 1)
    return np.stack([accuracy, recall.sum(-1) / n_classes, f1.sum(-1) / n_classes], axis=-1)


def score_intervals(
    labels: ArrayLike, predicted: ArrayLike, groups: np.ndarray, classes: Sequence[str] = CLASSES
) -> Intervals:
    """Return accuracy, UAR and macro F1 of predictions (N,) with intervals over groups (N,)."""
    return intervals(counts(labels, predicted, classes), groups, scores)


def difference_intervals(
    labels: ArrayLike, first: ArrayLike, second: ArrayLike, groups: np.ndarray, classes: Sequence[str] = CLASSES
) -> Intervals:
    """Return by how much the first predictions (N,) are better than the second in each score, with paired intervals."""
    both = np.concatenate([counts(labels, first, classes), counts(labels, second, classes)], axis=1)

    def difference(summed: np.ndarray) -> np.ndarray:
        of_first, of_second = np.split(summed, 2, axis=-1)
        return scores(of_first) - scores(of_second)

    return intervals(both, groups, difference, lowest=-1.0)
