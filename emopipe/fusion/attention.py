"""Attention within a modality: from a clip's vectors (B, T, D) and their mask (B, T) to one vector (B, D').

Every module here is called as `forward(x, mask) -> (pooled, weights)`: weights (B, T) are zero where masked and sum to
one; a clip without any vector gets weights of zero throughout and a finite vector.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from emopipe.fusion.transformer import Block, place_encoding


def masked_softmax(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Softmax over the last axis of what the mask lets through; a row without anything gets all zeros."""
    scores = scores.masked_fill(~mask, -torch.inf)
    top = scores.amax(-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).min)  # finite where all is masked
    weights = (scores - top).exp() * mask
    return weights / weights.sum(-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).tiny)


def emptied(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """x (B, T, D) with zeros at masked places, whatever stood there, even NaN."""
    return x.masked_fill(~mask[..., None], 0.0)


class _WeightedSum(torch.autograd.Function):
    """sum_t weights (B, T) x (B, T, D) -> (B, D), whose batched form never copies an x that networks share.

    torch.vmap's own rule would make one copy of x a network.
    """

    @staticmethod
    def forward(weights: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bt,btd->bd", weights, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, torch.Tensor], output: torch.Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        weights, x = ctx.saved_tensors
        to_weights = torch.einsum("bd,btd->bt", grad, x) if ctx.needs_input_grad[0] else None
        to_x = weights[..., None] * grad[:, None] if ctx.needs_input_grad[1] else None
        return to_weights, to_x

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, int | None], weights: torch.Tensor, x: torch.Tensor
    ) -> tuple[torch.Tensor, int]:
        first, second = in_dims
        if first is not None and second is None:
            networks_inside = weights.movedim(first, 1)  # (B, M, T)
            return torch.bmm(networks_inside, x), 1  # (B, M, D)
        weights = weights.movedim(first, 0) if first is not None else weights.expand(info.batch_size, *weights.shape)
        x = x.movedim(second, 0)
        return torch.einsum("mbt,mbtd->mbd", weights, x), 0


def weighted_sum(weights: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """sum_t weights (B, T) x (B, T, D) -> (B, D)."""
    return _WeightedSum.apply(weights, x)


def along(x: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """Inner products of x (B, T, D) with one direction (1, D) -> (B, T); as a matrix product, x is never copied."""
    return (x.flatten(0, 1) @ direction.flatten()).unflatten(0, x.shape[:2])


class Attention(nn.Module):
    """What all attentions share: whatever stands at masked places, even NaN, is cleared before they pool."""

    out_dim: int
    """Dimension of the pooled vector."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pool x (B, T, D) under mask (B, T) bool -> pooled (B, out_dim), weights (B, T)."""
        return self.pool(emptied(x, mask), mask)

    def pool(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The same for x that is finite throughout, which saves a pass over it."""
        raise NotImplementedError


class MeanPooling(Attention):
    """The mean of the vectors that are there."""

    def __init__(self, dim: int) -> None:
        """Vectors of `dim`, pooled to `out_dim = dim`."""
        super().__init__()
        self.out_dim = dim

    def pool(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x (B, T, D), mask (B, T) -> pooled (B, D), weights (B, T)."""
        weights = masked_softmax(torch.zeros_like(mask, dtype=x.dtype), mask)
        return weighted_sum(weights, x), weights


class SelfAttention(Attention):
    """FAN's self-attention: each vector is weighed by itself (Meng et al., ICIP 2019, arXiv 1907.00193).

    alpha_i = sigma(f_i^T q0),  f' = sum_i alpha_i f_i / sum_i alpha_i
    """

    def __init__(self, dim: int) -> None:
        """Vectors of `dim`, pooled to `out_dim = dim`."""
        super().__init__()
        self.out_dim = dim
        self.q0 = nn.Linear(dim, 1, bias=False)

    def pool(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x (B, T, D), mask (B, T) -> pooled (B, D), weights (B, T)."""
        # alpha_i / sum alpha is the softmax of log alpha_i, which is exact for however small an alpha
        weights = masked_softmax(self.log_alpha(x), mask)
        return weighted_sum(weights, x), weights

    def log_alpha(self, x: torch.Tensor) -> torch.Tensor:
        """log alpha (B, T)."""
        return F.logsigmoid(along(x, self.q0.weight))


class RelationAttention(Attention):
    """FAN's relation-attention: each vector is weighed again, beside the clip's own first summary.

        beta_i = sigma([f_i : f']^T q1),  f = sum_i alpha_i beta_i [f_i : f'] / sum_i alpha_i beta_i

    with alpha and f' of the self-attention; beta stands above and below the line in evaluation as in training.
    """

    def __init__(self, dim: int) -> None:
        """Vectors of `dim`, pooled to `out_dim = 2 * dim`."""
        super().__init__()
        self.out_dim = 2 * dim
        self.first = SelfAttention(dim)
        self.q1 = nn.Linear(2 * dim, 1, bias=False)

    def pool(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x (B, T, D), mask (B, T) -> pooled (B, 2 D), weights (B, T)."""
        # 1. alpha and f'
        log_alpha = self.first.log_alpha(x)  # (B, T)
        summary = weighted_sum(masked_softmax(log_alpha, mask), x)  # (B, D)
        # 2. beta_i of [f_i : f']: the halves of q1 act on f_i and on f' apart
        own, shared = self.q1.weight.split(x.shape[-1], 1)  # (1, D) each
        log_beta = F.logsigmoid(along(x, own) + F.linear(summary, shared))  # (B, T)
        # 3. weighed by alpha_i beta_i; weights sum to one, so f' comes out as it is (as zeros where there is nothing)
        weights = masked_softmax(log_alpha + log_beta, mask)
        return torch.cat([weighted_sum(weights, x), summary], 1), weights


class PatchAttention(Attention):
    """The audio companion's attention over the patches of a spectrogram (Zhang et al., arXiv 1806.01506).

        e_i = u^T tanh(W a_i + b),  alpha = softmax(lambda e),  c = sum_i alpha_i a_i

    with lambda = 0.3, which keeps the weights from settling on few patches.
    """

    def __init__(self, dim: int, *, hidden: int = 64, sharpness: float = 0.3) -> None:
        """Vectors of `dim`, pooled to `out_dim = dim`; `hidden` rows of W, `sharpness` is lambda."""
        super().__init__()
        self.out_dim, self.sharpness = dim, sharpness
        self.inner = nn.Linear(dim, hidden)  # W, b
        self.score = nn.Linear(hidden, 1, bias=False)  # u

    def pool(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x (B, T, D), mask (B, T) -> pooled (B, D), weights (B, T)."""
        scores = self.score(torch.tanh(self.inner(x))).squeeze(-1)  # (B, T)
        weights = masked_softmax(self.sharpness * scores, mask)
        return weighted_sum(weights, x), weights


class TransformerAttention(Attention):
    """The paper's transformer attention: reduce, score by an inner product, exponentiate, normalise.

        f'_i = W f_i,  alpha_i = softmax_i(w^T f'_i),  f = sum_i alpha_i f'_i

    after Zhou et al. (arXiv 2012.13912), which leaves the dimensions open: they are this project's choice.
    """

    def __init__(self, dim: int, *, hidden: int = 64) -> None:
        """Vectors of `dim`, reduced to `hidden` and pooled to `out_dim = hidden`."""
        super().__init__()
        self.out_dim = hidden
        self.reduce = nn.Linear(dim, hidden, bias=False)  # W
        self.score = nn.Linear(hidden, 1, bias=False)  # w

    def pool(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x (B, T, D), mask (B, T) -> pooled (B, hidden), weights (B, T)."""
        # 1. alpha_i = softmax_i(w^T W f_i), with w^T W first: no vector needs to be reduced for its weight
        direction = self.score.weight @ self.reduce.weight  # (1, D)
        weights = masked_softmax(along(x, direction), mask)  # (B, T)
        # 2. f = sum_i alpha_i W f_i = W sum_i alpha_i f_i: one reduction a clip
        return self.reduce(weighted_sum(weights, x)), weights


class MultiHeadAttention(Attention):
    """A small transformer encoder over a clip's vectors in their order, then a softmax pooling of what comes out.

    Pre-norm blocks (Vaswani et al., arXiv 1706.03762; Xiong et al., arXiv 2002.04745) with a sinusoidal encoding of
    how far into the clip a vector is: the one module here for which order matters.
    """

    def __init__(self, dim: int, *, hidden: int = 64, heads: int = 4, layers: int = 1, dropout: float = 0.1) -> None:
        """Vectors of `dim`, reduced to `hidden` and pooled to `out_dim = hidden`."""
        super().__init__()
        self.out_dim = hidden
        self.reduce = nn.Linear(dim, hidden)
        self.blocks = nn.ModuleList([Block(hidden, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(hidden)
        self.score = nn.Linear(hidden, 1, bias=False)

    def pool(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x (B, T, D), mask (B, T) -> pooled (B, hidden), weights (B, T)."""
        # 1. reduce, and say where in the clip
        tokens = self.reduce(x)  # (B, T, hidden)
        tokens = tokens + place_encoding(mask, tokens.shape[2]).to(tokens)
        # 2. every vector looks at every other
        for block in self.blocks:
            tokens = block(tokens, tokens, mask)
        tokens = self.norm(tokens)
        # 3. pool
        weights = masked_softmax(self.score(tokens).squeeze(-1), mask)  # (B, T)
        return weighted_sum(weights, tokens), weights
