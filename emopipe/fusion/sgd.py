"""SGD with momentum over stacked parameters, where each network has its own learning rate and weight decay."""

from collections.abc import Mapping

import torch

from emopipe.training.optimizer import has_weight_decay

MOMENTUM = 0.9
"""Default momentum, as in FAN's code."""


class StackedSGD:
    """SGD with momentum of M networks, by torch's formula: v = momentum v + (grad + decay p), p = p - lr v.

    FAN (Meng et al., arXiv 1907.00193) is trained so by its authors' code (github.com/Open-Debin/Emotion-FAN,
    fan_afew_traintest.py). There, biases have weight decay as well; here, only matrices have, as everywhere.
    """

    def __init__(
        self, parameters: Mapping[str, torch.Tensor], lr: torch.Tensor, weight_decay: torch.Tensor, momentum: float
    ) -> None:
        """`parameters`: name -> (M, ...) leaves, which `step` changes in place; `lr` and `weight_decay`: (M,)."""
        self._parameters = list(parameters.values())
        self._velocity = [torch.zeros_like(p) for p in self._parameters]
        self._lr, self._decay, self._momentum = lr, weight_decay, momentum

    @torch.no_grad()
    def step(self, share: float) -> None:
        """Take one step at `share` of each network's learning rate, then clear the gradients."""
        for p, velocity in zip(self._parameters, self._velocity, strict=True):
            lr = (self._lr * share).view(-1, *[1] * (p.ndim - 1))
            # 1. weight decay; the first axis counts the networks
            grad = p.grad + self._decay.view_as(lr) * p if has_weight_decay(p.ndim - 1) else p.grad
            # 2. momentum, and step
            velocity.mul_(self._momentum).add_(grad)
            p.sub_(lr * velocity)
            p.grad = None
