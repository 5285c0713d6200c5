"""AdamW over stacked parameters, where each network has its own learning rate and weight decay."""

from collections.abc import Mapping

import torch

from emopipe.training.optimizer import has_weight_decay

BETAS, EPSILON = (0.9, 0.999), 1e-8


class StackedAdamW:
    """AdamW (Loshchilov and Hutter, arXiv 1711.05101) of M networks; torch's AdamW has one learning rate for all."""

    def __init__(self, parameters: Mapping[str, torch.Tensor], lr: torch.Tensor, weight_decay: torch.Tensor) -> None:
        """`parameters`: name -> (M, ...) leaves, which `step` changes in place; `lr` and `weight_decay`: (M,)."""
        self._parameters = list(parameters.values())
        self._first = [torch.zeros_like(p) for p in self._parameters]
        self._second = [torch.zeros_like(p) for p in self._parameters]
        self._lr, self._decay, self._steps = lr, weight_decay, 0

    @torch.no_grad()
    def step(self, share: float) -> None:
        """Take one step at `share` of each network's peak learning rate, then clear the gradients."""
        self._steps += 1
        correction = 1 - BETAS[0] ** self._steps, 1 - BETAS[1] ** self._steps
        for p, first, second in zip(self._parameters, self._first, self._second, strict=True):
            lr = (self._lr * share).view(-1, *[1] * (p.ndim - 1))
            # 1. weight decay; the first axis counts the networks
            if has_weight_decay(p.ndim - 1):
                p.mul_(1 - lr * self._decay.view_as(lr))
            # 2. running means of the gradient and of its square
            first.lerp_(p.grad, 1 - BETAS[0])
            second.mul_(BETAS[1]).addcmul_(p.grad, p.grad, value=1 - BETAS[1])
            # 3. step
            size = (second / correction[1]).sqrt_().add_(EPSILON)
            p.sub_(first.div(size).mul_(lr / correction[0]))
            p.grad = None
