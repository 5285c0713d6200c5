"""A network that is to be trained beside others, and one that was."""

from dataclasses import dataclass

import numpy as np
import torch

from emopipe.fusion.options import FusionOptions

State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Member:
    """One network to train."""

    options: FusionOptions
    seed: int
    learn: np.ndarray
    """Clips that it learns from, by number; each has at least one stream."""
    stop: np.ndarray
    """Clips whose loss says when to stop, where the options ask for that."""
    steps: int
    """Steps an epoch."""


@dataclass(frozen=True)
class Trained:
    """A network that was trained."""

    member: Member
    state: State
    """Its state dict, on the CPU."""
    epochs: int
    """After how many epochs this was its state."""
