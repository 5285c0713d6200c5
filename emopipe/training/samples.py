"""What training needs of a corpus' clips: batches of faces or of stretches of sound, held in memory."""

from typing import Protocol

import numpy as np
import torch


class Samples(Protocol):
    """Samples of several clips; `clip` (n,) says whose each is, as a number into `clips`."""

    clips: list[str]
    clip: np.ndarray

    def batch(self, rows: np.ndarray, rng: torch.Generator | None) -> torch.Tensor:
        """The samples at `rows` as a network takes them in; with a generator, augmented."""
        ...


def uniform(rng: torch.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    """Evenly distributed numbers of the given shape."""
    return low + (high - low) * torch.rand(*shape, generator=rng)
