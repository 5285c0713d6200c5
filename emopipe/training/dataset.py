"""The interface between the trainer and the labelled stills or speech of one phase."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch


class Dataset(Protocol):
    """Labelled samples, numbered from 0, in memory or on disk."""

    targets: np.ndarray
    """(n, classes) float32; each row sums to 1."""
    split: np.ndarray
    """(n,) `train`, `val` or, for a sample that is not used, ""."""
    subject: np.ndarray
    """(n,) the person in the sample; "" where unknown."""
    clip: np.ndarray
    """(n,) int: the number of the clip that each sample is from; in scores, the samples of a clip are averaged."""

    def batch(self, rows: np.ndarray, rng: torch.Generator, device: torch.device) -> torch.Tensor:
        """Return the augmented samples at `rows` (n,) as a batch for the network."""
        ...

    def eval_batches(self, rows: np.ndarray, device: torch.device) -> Iterator["EvalBatch"]:
        """Yield the samples at `rows` (n,), without augmentation, in batches and in that order."""
        ...


@dataclass(frozen=True)
class EvalBatch:
    """Some samples for evaluation."""

    views: list[torch.Tensor]
    """Views of the same samples, each a batch for the network. The probabilities of the views are averaged."""
