"""A transformer block for self-attention within a modality and for cross-attention between modalities."""

import math

import torch
from torch import nn

from emopipe.fusion.rng import Dropout

SHORTEST_SECONDS, LONGEST_SECONDS = 0.5, 60.0
"""The wavelengths of the positional encoding: from about twice the usual time between two vectors to a minute."""


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


class TimeEncoding(nn.Module):
    """A sinusoidal positional encoding of the time of each vector, in seconds.

        sin(2 pi t / lambda_i), cos(2 pi t / lambda_i)

    as Vaswani et al. (arXiv 1706.03762, 3.5) encode numbers of tokens. The wavelengths lambda_i are a geometric
    sequence from SHORTEST_SECONDS to LONGEST_SECONDS; the range is this project's choice. Vectors of several streams
    share the clock of their clip, so equal times have equal encodings whatever the rates of the streams. A vector keeps
    its encoding if training samples only a few of a clip's vectors.
    """

    def __init__(self, dim: int) -> None:
        """Encodings of dimension `dim`."""
        super().__init__()
        self.dim = dim

    def forward(self, time: torch.Tensor | None, mask: torch.Tensor) -> torch.Tensor:
        """Return the encodings (B, T, dim) float64 of times (B, T) in seconds, finite where masked, for a mask (B, T).

        Raises:
            ValueError: The times are not known.
        """
        if time is None or time.shape != mask.shape:
            raise ValueError(
                "A positional encoding needs the time of each vector in seconds, but the features have no times. Give "
                "`Features` with `time`, or use an attention other than multihead and a fusion other than crossmodal."
            )
        count = -(-self.dim // 2)
        octave = torch.arange(count, dtype=torch.float64, device=time.device) / max(1, count - 1)  # 0 to 1
        wavelength = SHORTEST_SECONDS * (LONGEST_SECONDS / SHORTEST_SECONDS) ** octave
        angle = time[..., None].double() * (2 * math.pi / wavelength)  # (B, T, ceil(dim / 2))
        return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)[..., : self.dim]
