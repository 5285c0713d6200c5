"""The batches of a training. A thread prepares the next batch while the network trains on this one."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from emopipe.core.ahead import ahead, thread_pool

AHEAD = 1
"""Number of batches that wait, beside the one that the network trains on. Each takes memory of the device."""


class Batch(NamedTuple):
    """What one step of the optimizer reads, on the device, after augmentation and mixup."""

    x: torch.Tensor
    """(n, ...) samples, in the network's memory format."""
    target: torch.Tensor
    """(n, K) float32, the targets of the classes."""
    imitated: torch.Tensor
    """(n, D) float32, the targets of the imitation; D is 0 without one."""


def prepared_ahead(prepare: Callable[[np.ndarray], Batch], steps: Sequence[np.ndarray]) -> Iterator[Batch]:
    """Yield the batch of each step, in order.

    One thread prepares them, one after the other and in this order. So the random numbers of a batch do not depend on
    when it is prepared.

    Args:
        prepare: Returns the batch of some rows (n,).
        steps: The rows of each step.

    Raises:
        Exception: As `prepare`, when the batch is asked for. Later batches are not prepared then.
    """
    tasks = ((None, functools.partial(prepare, rows)) for rows in steps)
    with thread_pool(1) as pool:
        for _, prepared in ahead(tasks, pool, AHEAD):
            yield prepared()
