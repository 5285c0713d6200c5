"""AdamW over stacked parameters, where each network has its own learning rate and weight decay.

Weight decay states what it does over a whole training. A matrix without gradients shrinks in step t to

    (1 - d) ^ (eta_t / sum eta)

of itself, with the decay d and the schedule's multiplier eta_t of the learning rate, so in all steps to 1 - d. This is
the decoupled decay of Loshchilov and Hutter (arXiv 1711.05101, algorithm 2), which multiplies the decay by eta_t and
not by the learning rate. torch's AdamW multiplies it by both, so that a decay of 0.05 shrinks matrices by 1.8 % in 720
steps at a peak of 0.001.
"""

from collections.abc import Mapping

import torch

from emopipe.training.optimizer import has_weight_decay

BETAS, EPSILON = (0.9, 0.999), 1e-8


class StackedAdamW:
    """AdamW of M networks; torch's AdamW has one learning rate for all."""

    def __init__(
        self, parameters: Mapping[str, torch.Tensor], lr: torch.Tensor, weight_decay: torch.Tensor, total: float
    ) -> None:
        """Start a training.

        Args:
            parameters: Name -> (M, ...) leaves, which `step` changes in place.
            lr: (M,) peak learning rates.
            weight_decay: (M,) shares in [0, 1) by which matrices without gradients shrink over the whole training.
            total: Sum of the shares of the peak learning rate over all steps of the training.
        """
        self._parameters = list(parameters.values())
        self._first = [torch.zeros_like(p) for p in self._parameters]
        self._second = [torch.zeros_like(p) for p in self._parameters]
        self._lr, self._kept, self._total, self._steps = lr, (1 - weight_decay).tolist(), total, 0

    @torch.no_grad()
    def step(self, share: float) -> None:
        """Take one step at `share` of each network's peak learning rate, then clear the gradients."""
        self._steps += 1
        # In Python: a power of a tensor may differ in the last bit with the number of networks beside it.
        kept = self._lr.new_tensor([kept ** (share / self._total) for kept in self._kept])
        correction = 1 - BETAS[0] ** self._steps, 1 - BETAS[1] ** self._steps
        for p, first, second in zip(self._parameters, self._first, self._second, strict=True):
            lr = (self._lr * share).view(-1, *[1] * (p.ndim - 1))
            # 1. weight decay; the first axis counts the networks
            if has_weight_decay(p.ndim - 1):
                p.mul_(kept.view_as(lr))
            # 2. running means of the gradient and of its square
            first.lerp_(p.grad, 1 - BETAS[0])
            second.mul_(BETAS[1]).addcmul_(p.grad, p.grad, value=1 - BETAS[1])
            # 3. step
            size = (second / correction[1]).sqrt_().add_(EPSILON)
            p.sub_(first.div(size).mul_(lr / correction[0]))
            p.grad = None
