"""A transformer block for self-attention within a modality and for cross-attention between modalities."""

import math

import torch
from torch import nn

from emopipe.fusion.rng import Dropout

POSITIONS = 16
"""Number of positions that a clip is divided into for its positional encoding."""


class Block(nn.Module):
    """Pre-norm attention and a feed-forward layer, each with a residual connection."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        """Tokens of dimension `dim`; the feed-forward layer has twice that dimension."""
        super().__init__()
        self.norm_tokens, self.norm_context, self.norm_between = (nn.LayerNorm(dim) for _ in range(3))
        self.attention = MultiHeadDotProductAttention(dim, heads)
        self.wide, self.narrow = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)
        self.drop_attention, self.drop_wide = Dropout(dropout), Dropout(dropout)

    def forward(self, tokens: torch.Tensor, context: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Tokens (B, T, D) attend to context (B, S, D) under a mask (B, S) bool -> (B, T, D)."""
        attended = self.attention(self.norm_tokens(tokens), self.norm_context(context), mask)
        tokens = tokens + self.drop_attention(attended)
        wide = nn.functional.gelu(self.wide(self.norm_between(tokens)))
        return tokens + self.narrow(self.drop_wide(wide))


class MultiHeadDotProductAttention(nn.Module):
    """Scaled dot-product attention with several heads; the output is zero where all keys are masked.

    torch's `scaled_dot_product_attention` rounds in another order, so its results are not bitwise equal to these.
    """

    def __init__(self, dim: int, heads: int) -> None:
        """Tokens of dimension `dim`, which must be a multiple of `heads`."""
        super().__init__()
        if dim % heads:
            raise ValueError(f"{heads} heads do not divide {dim} dimensions. Choose hidden as a multiple of {heads}.")
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, tokens: torch.Tensor, context: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Tokens (B, T, D) attend to context (B, S, D) under a mask (B, S) bool -> (B, T, D)."""
        split = (*tokens.shape[:1], -1, self.heads, tokens.shape[-1] // self.heads)
        # 1. split the heads
        q, k, v = (
            layer(x).reshape(split)  # (B, T or S, heads, D / heads)
            for layer, x in ((self.query, tokens), (self.key, context), (self.value, context))
        )
        # 2. softmax(q k^T / sqrt(d)) over the keys that are not masked
        scores = torch.einsum("bthd,bshd->bhts", q, k) / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(~mask[:, None, None], torch.finfo(scores.dtype).min)
        weights = scores.softmax(-1) * mask[:, None, None]
        # 3. join the heads
        return self.out(torch.einsum("bhts,bshd->bthd", weights, v).flatten(2))


class PositionalEncoding(nn.Module):
    """An encoding of the relative position of each vector in its clip.

    The position is relative to the clip's length and has POSITIONS steps, because training may sample only a few of a
    clip's vectors, and because streams have different rates.
    """

    def __init__(self, dim: int) -> None:
        """Encodings of dimension `dim`; their table is not part of the state dict."""
        super().__init__()
        self.register_buffer("table", sinusoidal_encoding(POSITIONS, dim), persistent=False)

    def forward(self, mask: torch.Tensor) -> torch.Tensor:
        """Return the encodings (B, T, dim) for a mask (B, T) bool."""
        number = (mask.cumsum(1) - 1).clamp_min(0)  # (B, T)
        position = number * POSITIONS // mask.sum(1, keepdim=True).clamp_min(1)
        return self.table[position]


def sinusoidal_encoding(length: int, dim: int) -> torch.Tensor:
    """Return the encoding (length, dim) of positions 0 to length - 1 (Vaswani et al., arXiv 1706.03762, 3.5)."""
    position = torch.arange(length, dtype=torch.float64)[:, None]
    rate = torch.exp(torch.arange(0, dim, 2) * (-math.log(1e4) / dim))
    angle = position * rate  # (length, ceil(dim / 2))
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :dim]
