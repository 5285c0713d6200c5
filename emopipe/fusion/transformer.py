"""The standard transformer block, for queries that look at the same tokens or at another modality's."""

import math

import torch
from torch import nn

from emopipe.fusion.rng import Dropout

PLACES = 16
"""Steps in which a vector's place in its clip is told."""


def time_encoding(length: int, dim: int) -> torch.Tensor:
    """Sinusoidal encoding (length, dim) of places 0 to length - 1 (Vaswani et al., arXiv 1706.03762, section 3.5)."""
    place = torch.arange(length, dtype=torch.float64)[:, None]
    rate = torch.exp(torch.arange(0, dim, 2) * (-math.log(1e4) / dim))
    angle = place * rate  # (length, ceil(dim / 2))
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :dim]


def place_encoding(mask: torch.Tensor, dim: int) -> torch.Tensor:
    """Encoding (B, T, dim) of how far into its clip each vector of a mask (B, T) is, in PLACES steps.

    A share of the clip rather than a number: training may draw a few of a clip's vectors, and streams differ in rate.
    """
    number = (mask.cumsum(1) - 1).clamp_min(0)  # (B, T)
    place = number * PLACES // mask.sum(1, keepdim=True).clamp_min(1)
    return time_encoding(PLACES, dim).to(mask.device)[place]


class MultiHead(nn.Module):
    """Scaled dot-product attention in several heads; masked keys are not looked at, and if all are, zeros come out."""

    def __init__(self, dim: int, heads: int) -> None:
        """Tokens of `dim`, which `heads` divides."""
        super().__init__()
        if dim % heads:
            raise ValueError(f"{heads} heads do not divide {dim} dimensions; choose hidden as a multiple of {heads}.")
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, tokens: torch.Tensor, context: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """tokens (B, T, D) look at context (B, S, D) under mask (B, S) -> (B, T, D)."""
        split = (*tokens.shape[:1], -1, self.heads, tokens.shape[-1] // self.heads)
        # 1. heads apart
        q, k, v = (
            layer(x).reshape(split)  # (B, T or S, heads, D / heads)
            for layer, x in ((self.query, tokens), (self.key, context), (self.value, context))
        )
        # 2. softmax(q k^T / sqrt(d)) over the keys that are there
        scores = torch.einsum("bthd,bshd->bhts", q, k) / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(~mask[:, None, None], torch.finfo(scores.dtype).min)
        weights = scores.softmax(-1) * mask[:, None, None]
        # 3. heads together
        return self.out(torch.einsum("bhts,bshd->bthd", weights, v).flatten(2))


class Block(nn.Module):
    """Pre-norm attention and feed-forward layer, each added to what it reads."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        """Tokens of `dim`; the feed-forward layer is twice as wide."""
        super().__init__()
        self.norm_tokens, self.norm_context, self.norm_between = (nn.LayerNorm(dim) for _ in range(3))
        self.attention = MultiHead(dim, heads)
        self.wide, self.narrow = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)
        self.drop_attention, self.drop_wide = Dropout(dropout), Dropout(dropout)

    def forward(self, tokens: torch.Tensor, context: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """tokens (B, T, D) look at context (B, S, D) under mask (B, S) -> (B, T, D)."""
        looked = self.attention(self.norm_tokens(tokens), self.norm_context(context), mask)
        tokens = tokens + self.drop_attention(looked)
        wide = nn.functional.gelu(self.wide(self.norm_between(tokens)))
        return tokens + self.narrow(self.drop_wide(wide))
