"""Operations that stay cheap when many networks run as one batched program over the same vectors."""

from typing import Any

import torch


def inner_product(x: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """Return inner products (B, T) of x (B, T, D) with one vector (1, D); as a matrix product, x is never copied."""
    return (x.flatten(0, 1) @ direction.flatten()).unflatten(0, x.shape[:2])


def weighted_sum(weights: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return sum_t weights (B, T) x (B, T, D) -> (B, D)."""
    return _WeightedSum.apply(weights, x)


class _WeightedSum(torch.autograd.Function):
    """The weighted sum with its own rule for `torch.vmap`, because the default rule copies x for each network."""

    @staticmethod
    def forward(weights: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bt,btd->bd", weights, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, torch.Tensor], output: torch.Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        weights, x = ctx.saved_tensors
        grad_weights = torch.einsum("bd,btd->bt", grad, x) if ctx.needs_input_grad[0] else None
        grad_x = weights[..., None] * grad[:, None] if ctx.needs_input_grad[1] else None
        return grad_weights, grad_x

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, int | None], weights: torch.Tensor, x: torch.Tensor
    ) -> tuple[torch.Tensor, int]:
        weights_dim, x_dim = in_dims
        if weights_dim is not None and x_dim is None:  # M networks share x
            networks_inside = weights.movedim(weights_dim, 1)  # (B, M, T)
            return torch.bmm(networks_inside, x), 1  # (B, M, D)
        if weights_dim is None:
            weights = weights.expand(info.batch_size, *weights.shape)
        else:
            weights = weights.movedim(weights_dim, 0)
        x = x.movedim(x_dim, 0)
        return torch.einsum("mbt,mbtd->mbd", weights, x), 0
