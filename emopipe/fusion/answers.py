"""What networks answer: from the K numbers of their last layer to probabilities, or to values of dimensions."""

import torch

from emopipe.core.labels import LabelSpace
from emopipe.scoring.losses import half_range


def answers(logits: torch.Tensor, space: LabelSpace) -> torch.Tensor:
    """Return the numbers (..., K) of answers (`LabelSpace.columns`) for the outputs (..., K) of a network.

    single and votes: the softmax. multi: the logistic function of each. dimensions: a network answers in units of half
    the range around its middle; values are moved to the range if they are outside.
    """
    if space.has_one_class:
        return logits.softmax(-1)
    if space.kind == "multi":
        return logits.sigmoid()
    return (middle(space) + half_range(space) * logits).clamp(space.low, space.high)


def in_units(values: torch.Tensor, space: LabelSpace) -> torch.Tensor:
    """Return values of dimensions in the units of networks: half the range, around its middle."""
    return (values - middle(space)) / half_range(space)


def middle(space: LabelSpace) -> float:
    """Return the middle of the range of dimensions."""
    return (space.low + space.high) / 2
