"""The optimizer, and the schedule of its learning rate."""

import math

import torch
from torch import nn

from emopipe.training.phase_options import PhaseOptions


def build_optimizer(model: nn.Module, options: PhaseOptions) -> torch.optim.Optimizer:
    """Return SGD with Nesterov momentum, or AdamW, for all parameters that require gradients.

    Matrices and filters have weight decay. Biases and the parameters of normalisation layers, which have one axis, have
    no weight decay.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if options.optimiser == "sgd":
        return torch.optim.SGD(groups, options.lr, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, options.lr)


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
