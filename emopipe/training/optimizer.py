"""How weights move while a backbone learns: the optimiser, and the learning rate from step to step."""

import math

import torch
from torch import nn

from emopipe.training.phase_options import PhaseOptions


def optimizer(model: nn.Module, options: PhaseOptions) -> torch.optim.Optimizer:
    """SGD with Nesterov's momentum or AdamW; weight decay is for matrices and filters alone.

    Scales and offsets, which have one axis, have nothing to shrink to.
    """
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in learned if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if options.optimiser == "sgd":
        return torch.optim.SGD(groups, options.lr, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, options.lr)


def rate(step: int, warm: float, total: int) -> float:
    """Share of the highest learning rate: up along a line in the first `warm` steps, down along a cosine to `total`.

    >>> [round(rate(step, 2, 6), 2) for step in range(7)]
    [0.33, 0.67, 1.0, 0.85, 0.5, 0.15, 0.0]
    """
    # Python's own floats throughout: a checkpoint that holds NumPy's is refused when it is read.
    if step < warm:
        return (step + 1) / (warm + 1)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1.0, total - warm))))
