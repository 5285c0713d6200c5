"""The loss of answers in every label space: what early stopping, candidates and ensembles make as small as possible."""

import numpy as np

from emopipe.core.labels import PROBABILITY_FLOOR, LabelSpace
from emopipe.scoring.metrics import cross_entropies, log_losses


def losses(values: np.ndarray, targets: np.ndarray, space: LabelSpace) -> np.ndarray:
    """Return the loss (..., N) of each answer; NaN for a clip whose target is unknown, but for `single`.

    single: the negative log-likelihood of the class. votes: the cross-entropy of the shares of the votes. multi: the
    mean over the classes of the binary cross-entropy. All three are in nats. dimensions: the mean over the dimensions
    of the squared error, in units of half their range.

    Args:
        values: (..., N, K) probabilities, or the values of dimensions (`LabelSpace.columns`).
        targets: (N, K) what the answers should be (`LabelSpace.targets`); of `single`, no row may be NaN.
        space: The label space.
    """
    if space.kind == "single":
        return log_losses(values, targets.argmax(-1))
    if space.kind == "votes":
        return cross_entropies(values, targets)
    if space.kind == "multi":
        present, absent = np.log(values.clip(PROBABILITY_FLOOR)), np.log((1 - values).clip(PROBABILITY_FLOOR))
        return -(targets * present + (1 - targets) * absent).mean(-1)
    return np.square((values - targets) / half_range(space)).mean(-1)


def half_range(space: LabelSpace) -> float:
    """Return half of the range of dimensions: the unit of their loss, and of what networks answer."""
    return (space.high - space.low) / 2
