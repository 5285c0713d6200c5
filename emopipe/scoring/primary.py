"""The score that models are compared by, in every label space: its value, interval, and paired differences and tests.

| kind          | score    | interval over groups               | test of a difference                               |
|---------------|----------|------------------------------------|----------------------------------------------------|
| single, votes | accuracy | t or bootstrap (`intervals`)       | sign flips by group, or McNemar by clip            |
| multi         | macro AP | t, of the logit (`jackknife`)      | t, by the paired jackknife over groups, or by clip |
| dimensions    | CCC      | t or bootstrap (`intervals`)       | t, by the paired jackknife over groups, or by clip |

All tables of predictions here are those of `metrics.scored`, and of the same clips where there are two.
"""

import math

import numpy as np
import pandas as pd

from emopipe.core.labels import LabelSpace
from emopipe.scoring.average_precision import macro_average_precision
from emopipe.scoring.concordance import ROUNDING, mean_and_each, moments
from emopipe.scoring.intervals import Intervals, intervals, t_quantile
from emopipe.scoring.jackknife import Weighted, degrees, jackknife
from emopipe.scoring.paired_tests import FEWEST_TO_FLIP, POWER, detectable, paired_test
from emopipe.scoring.scores import difference_intervals, score_intervals

BY_GROUP, BY_CLIP = "paired jackknife over groups", "paired jackknife by clip, groups ignored"
"""Names of the tests, of several classes and of dimensions."""


def primary_value(part: pd.DataFrame, space: LabelSpace) -> float:
    """Return the primary score of predictions; NaN if there is nothing to score."""
    if not len(part):
        return math.nan
    if space.has_one_class:
        return float((part["label"] == part["pred"]).mean())
    return score_of(part[space.columns].to_numpy(float), space.targets(part), space)


def score_of(values: np.ndarray, targets: np.ndarray, space: LabelSpace) -> float:
    """Return the primary score of answers (N, K), of all classes of the space or of some.

    Args:
        values: (N, K) probabilities, or the values of dimensions.
        targets: (N,) class numbers, or (N, K) what the answers should be.
        space: The label space.
    """
    if space.kind == "votes":  # a clip whose most votes are for several classes is not scored
        highest = targets == targets.max(1, keepdims=True)
        has_class = highest.sum(1) == 1
        return float(highest[has_class, values[has_class].argmax(1)].mean()) if has_class.any() else math.nan
    if space.has_one_class:
        return float((values.argmax(-1) == targets).mean())
    if space.kind == "multi":
        return float(macro_average_precision(values, targets)(np.ones((1, len(targets))))[0])
    return float(mean_and_each(moments(values, targets).sum(0))[0])


def primary_intervals(part: pd.DataFrame, space: LabelSpace, groups: np.ndarray) -> Intervals:
    """Return scores of predictions with intervals over groups (N,); the primary score is the first.

    Of one class, they are accuracy, UAR and macro F1. Of several classes: macro AP. Of dimensions: the mean CCC, then
    the CCC of each.
    """
    if space.has_one_class:
        return score_intervals(part["label"], part["pred"], groups, space.names)
    if space.kind == "multi":
        return jackknife(groups, _of_weights(part, space), is_share=True)
    return intervals(_moments(part, space), groups, mean_and_each, lowest=-1.0)


def primary_differences(part: pd.DataFrame, other: pd.DataFrame, space: LabelSpace, groups: np.ndarray) -> Intervals:
    """Return by how much `part` is better than `other` in the scores of `primary_intervals`, with paired intervals."""
    if space.has_one_class:
        return difference_intervals(part["label"], part["pred"], other["pred"], groups, space.names)
    if space.kind == "multi":
        return jackknife(groups, _difference(part, other, space), lowest=-1.0)
    both = np.concatenate([_moments(part, space), _moments(other, space)], axis=1)

    def difference(summed: np.ndarray) -> np.ndarray:
        of_first, of_second = np.split(summed, 2, axis=-1)
        return mean_and_each(of_first) - mean_and_each(of_second)

    return intervals(both, groups, difference, lowest=-2.0, highest=2.0)


def primary_test(
    part: pd.DataFrame, other: pd.DataFrame, space: LabelSpace, groups: np.ndarray, unit: str
) -> tuple[float, str]:
    """Return the two-sided p of a difference in the primary score, and the name of the test.

    Args:
        part: The predictions of one model.
        other: Those of the other model.
        space: The label space.
        groups: (N,) the group of each clip.
        unit: What groups are: subject, group or clip.
    """
    if space.has_one_class:
        return paired_test(*_correct(part, other), groups, unit)
    found, test = _by_jackknife(part, other, space, groups, unit)
    difference, error = float(found.value[0]), float(found.error[0])
    if math.isnan(error) or abs(difference) < ROUNDING:
        return (math.nan if math.isnan(error) else 1.0), test
    if error < ROUNDING:  # all groups differ equally: the p of their signs
        return 2.0 ** (1 - found.groups), test
    from scipy.stats import t  # slow to import, and few need it

    return 2 * float(t.sf(abs(difference) / error, degrees(found.groups))), test


def primary_detectable(
    part: pd.DataFrame, other: pd.DataFrame, space: LabelSpace, groups: np.ndarray, unit: str, found: Intervals
) -> float:
    """Return the difference that the test at 5 % finds with probability POWER; NaN if that cannot be known.

    Args are those of `primary_test`, and what `primary_differences` found.
    """
    if space.has_one_class:
        test = paired_test(*_correct(part, other), groups, unit)[1]
        return detectable(found.error[0], found.groups, *_correct(part, other), test)
    tested, _ = _by_jackknife(part, other, space, groups, unit)
    if math.isnan(tested.error[0]):
        return math.nan
    free = degrees(tested.groups)
    return float((t_quantile(0.975, free) + t_quantile(POWER, free)) * tested.error[0])


def _by_jackknife(
    part: pd.DataFrame, other: pd.DataFrame, space: LabelSpace, groups: np.ndarray, unit: str
) -> tuple[Intervals, str]:
    """Return the difference with its error over groups, or by clip if groups are few, and the name of the test."""
    by_group = unit != "clip" and len(set(groups)) >= FEWEST_TO_FLIP
    drawn = groups if by_group else np.arange(len(part))
    found = jackknife(drawn, _difference(part, other, space), lowest=-2.0, highest=2.0)
    return found, BY_GROUP if by_group else BY_CLIP


def _difference(part: pd.DataFrame, other: pd.DataFrame, space: LabelSpace) -> Weighted:
    first, second = _of_weights(part, space), _of_weights(other, space)
    return lambda weights: first(weights) - second(weights)


def _of_weights(part: pd.DataFrame, space: LabelSpace) -> Weighted:
    """Return the primary score (B,) of several classes, or of dimensions, as a function of clips' weights (B, N)."""
    if space.kind == "multi":
        return macro_average_precision(part[space.columns].to_numpy(float), space.targets(part))
    of_clips = _moments(part, space)
    return lambda weights: mean_and_each(weights @ of_clips)[..., 0]


def _moments(part: pd.DataFrame, space: LabelSpace) -> np.ndarray:
    return moments(part[space.columns].to_numpy(float), space.targets(part))


def _correct(part: pd.DataFrame, other: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    first, second = ((each["label"] == each["pred"]).to_numpy() for each in (part, other))
    return first, second
