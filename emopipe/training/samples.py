"""The interface between training and the clips of a corpus: batches of faces or segments of sound in memory."""

from typing import Protocol

import numpy as np
import torch


class Samples(Protocol):
    """Samples of several clips."""

    clips: list[str]
    """The clips that have samples."""
    clip: np.ndarray
    """(n,) the clip of each sample, as an index into `clips`."""

    def batch(self, rows: np.ndarray, rng: torch.Generator | None) -> torch.Tensor:
        """Return the samples at `rows` (n,) as a batch for the network; augmented if a generator is given."""
        ...


def uniform(rng: torch.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    """Return uniformly distributed numbers of the given shape."""
    return low + (high - low) * torch.rand(*shape, generator=rng)
