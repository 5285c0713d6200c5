"""What one step of a chain learns from: samples with targets, in memory or on disk, and how they are seen."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch


class Lessons(Protocol):
    """Samples of labelled stills or speech, numbered from 0."""

    targets: np.ndarray
    """(n, classes) float32, each row sums to 1."""
    split: np.ndarray
    """(n,) `train`, `val` or, where a sample is not to be used, ""."""
    subject: np.ndarray
    """(n,) who it is; "" where unknown."""

    def batch(self, rows: np.ndarray, rng: torch.Generator, device: torch.device) -> torch.Tensor:
        """The samples at `rows`, varied, as a network takes them in."""
        ...

    def plain(self, rows: np.ndarray, device: torch.device) -> Iterator["Look"]:
        """The samples at `rows` as they are, in parts and in that order."""
        ...


@dataclass(frozen=True)
class Look:
    """Some samples as evaluation sees them."""

    views: list[torch.Tensor]
    """Each as a network takes them in; their probabilities are averaged."""
