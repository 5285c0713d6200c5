"""The optimizer, what has weight decay, and the schedule of the learning rate; fusion follows the same rules."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from emopipe.training.options import TrainingOptions


def build_optimizer(model: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """Return SGD with Nesterov momentum, or AdamW, for all parameters that require gradients."""
    groups = decay_groups((p for p in model.parameters() if p.requires_grad), options.weight_decay)
    if options.optimiser == "sgd":
        return torch.optim.SGD(groups, options.lr, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, options.lr)


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Return parameters as two groups for torch's optimizers: those with weight decay, and those without."""
    every = list(parameters)
    return [
        {"params": [p for p in every if has_weight_decay(p.ndim)], "weight_decay": weight_decay},
        {"params": [p for p in every if not has_weight_decay(p.ndim)], "weight_decay": 0.0},
    ]


def has_weight_decay(axes: int) -> bool:
    """Return whether a parameter with this number of axes has weight decay.

    Matrices and filters have. Biases, the parameters of normalisation layers, other vectors and scales have not.
    """
    return axes > 1


def cosine_warmup(step: int, warmup_steps: float, total_steps: int) -> float:
    """Return the learning rate of a step as a share of the peak: a linear warm-up, then a cosine down to 0.

    >>> [round(cosine_warmup(step, 2, 6), 2) for step in range(7)]
    [0.33, 0.67, 1.0, 0.85, 0.5, 0.15, 0.0]
    """
    # Python floats only: a checkpoint that holds NumPy floats cannot be loaded with weights_only.
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    share_done = (step - warmup_steps) / max(1.0, total_steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, share_done)))
