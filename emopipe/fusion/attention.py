"""Attention within a modality: pools a clip's vectors (B, T, D) under a mask (B, T) to one vector (B, D').

Every module is called as `forward(x, mask, time) -> (pooled, weights)`; MultiHeadAttention alone reads the times. The
weights (B, T) are zero where masked and sum to one. A clip without vectors gets zero weights everywhere and a finite
pooled vector.
"""

import torch
import torch.nn.functional as F
from torch import nn

from emopipe.fusion.batched_ops import inner_product, weighted_sum
from emopipe.fusion.rng import Dropout
from emopipe.fusion.transformer import Block, TimeEncoding


class Attention(nn.Module):
    """Base class: sets masked vectors to zero (they may hold NaN), then pools."""

    out_dim: int
    """Dimension of the pooled vector."""

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, time: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pool x (B, T, D) under mask (B, T) bool -> pooled (B, out_dim), weights (B, T).

        `time` (B, T): seconds since the start of the clip, for attention that depends on it.
        """
        time = None if time is None else time.masked_fill(~mask, 0.0)
        return self.pool(x.masked_fill(~mask[..., None], 0.0), mask, time)

    def pool(
        self, x: torch.Tensor, mask: torch.Tensor, time: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pool x and times that are finite everywhere; faster than `forward`, which reads x once more."""
        raise NotImplementedError


class MeanPooling(Attention):
    """The mean of a clip's vectors."""

    def __init__(self, dim: int) -> None:
        """Vectors of dimension `dim`, pooled to `out_dim = dim`."""
        super().__init__()
        self.out_dim = dim

    def pool(
        self, x: torch.Tensor, mask: torch.Tensor, time: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """x (B, T, D), mask (B, T) -> pooled (B, D), weights (B, T)."""
        weights = masked_softmax(torch.zeros_like(mask, dtype=x.dtype), mask)
        return weighted_sum(weights, x), weights


class SelfAttention(Attention):
    """FAN's self-attention: the weight of a vector depends on that vector alone (Meng et al., arXiv 1907.00193).

    alpha_i = sigma(f_i^T q0),  f' = sum_i alpha_i f_i / sum_i alpha_i
    """

    def __init__(self, dim: int, *, dropout: float = 0.0) -> None:
        """Vectors of dimension `dim`, pooled to `out_dim = dim`; `dropout` acts on f_i where alpha_i is computed."""
        super().__init__()
        self.out_dim = dim
        self.q0 = nn.Linear(dim, 1, bias=False)
        self.dropout = Dropout(dropout) if dropout else nn.Identity()

    def pool(
        self, x: torch.Tensor, mask: torch.Tensor, time: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """x (B, T, D), mask (B, T) -> pooled (B, D), weights (B, T)."""
        # alpha_i / sum alpha is the softmax of log alpha_i, which stays exact for very small alpha_i
        weights = masked_softmax(self.log_alpha(x), mask)
        return weighted_sum(weights, x), weights

    def log_alpha(self, x: torch.Tensor) -> torch.Tensor:
        """Return log alpha (B, T)."""
        return F.logsigmoid(inner_product(self.dropout(x), self.q0.weight))


class RelationAttention(Attention):
    """FAN's relation-attention: a second weight compares each vector with the clip's self-attention summary.

        beta_i = sigma([f_i : f']^T q1),  f = sum_i alpha_i beta_i [f_i : f'] / sum_i alpha_i beta_i

    with alpha and f' of the self-attention. Numerator and denominator contain beta in evaluation as in training.
    """

    def __init__(self, dim: int, *, dropout: float = 0.0) -> None:
        """Vectors of dimension `dim`, pooled to `out_dim = 2 * dim`.

        `dropout` acts on f_i where alpha_i is computed, and on [f_i : f'] where beta_i is, as in the authors' code
        (github.com/Open-Debin/Emotion-FAN).
        """
        super().__init__()
        self.out_dim = 2 * dim
        self.first = SelfAttention(dim, dropout=dropout)
        self.q1 = nn.Linear(2 * dim, 1, bias=False)
        self.dropout = Dropout(dropout) if dropout else None

    def pool(
        self, x: torch.Tensor, mask: torch.Tensor, time: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """x (B, T, D), mask (B, T) -> pooled (B, 2 D), weights (B, T)."""
        # 1. alpha and f'
        log_alpha = self.first.log_alpha(x)  # (B, T)
        summary = weighted_sum(masked_softmax(log_alpha, mask), x)  # (B, D)
        # 2. beta_i of [f_i : f']
        log_beta = F.logsigmoid(self._relation(x, summary))  # (B, T)
        # 3. pool by alpha_i beta_i; the weights sum to one, so f' stays as it is (zeros for a clip without vectors)
        weights = masked_softmax(log_alpha + log_beta, mask)
        return torch.cat([weighted_sum(weights, x), summary], 1), weights

    def _relation(self, x: torch.Tensor, summary: torch.Tensor) -> torch.Tensor:
        """Return [f_i : f']^T q1 (B, T) for f_i (B, T, D) and f' (B, D)."""
        if self.dropout and self.training:
            pairs = torch.cat([x, summary[:, None].expand(x.shape)], 2)  # (B, T, 2 D)
            return inner_product(self.dropout(pairs), self.q1.weight)
        # Without dropout, one half of q1 acts on f_i and the other on f', so that no pair has to be stored.
        q1_own, q1_summary = self.q1.weight.split(x.shape[-1], 1)  # (1, D) each
        return inner_product(x, q1_own) + F.linear(summary, q1_summary)


class PatchAttention(Attention):
    """Attention over the patches of a spectrogram (Zhang et al., arXiv 1806.01506).

        e_i = u^T tanh(W a_i + b),  alpha = softmax(lambda e),  c = sum_i alpha_i a_i

    with lambda = 0.3, which spreads the weights over more patches.
    """

    def __init__(self, dim: int, *, hidden: int = 64, sharpness: float = 0.3) -> None:
        """Vectors of dimension `dim`, pooled to `out_dim = dim`; W has `hidden` rows, `sharpness` is lambda."""
        super().__init__()
        self.out_dim, self.sharpness = dim, sharpness
        self.inner = nn.Linear(dim, hidden)  # W, b
        self.score = nn.Linear(hidden, 1, bias=False)  # u

    def pool(
        self, x: torch.Tensor, mask: torch.Tensor, time: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """x (B, T, D), mask (B, T) -> pooled (B, D), weights (B, T)."""
        scores = self.score(torch.tanh(self.inner(x))).squeeze(-1)  # (B, T)
        weights = masked_softmax(self.sharpness * scores, mask)
        return weighted_sum(weights, x), weights


class TransformerAttention(Attention):
    """This project's reading of the transformer attention of Zhou et al. (arXiv 2012.13912).

        f'_i = W f_i,  alpha_i = softmax_i(w^T f'_i),  f = sum_i alpha_i f'_i

    The paper says that W reduces the dimension, and that the weights come from an inner product of f'_i that is
    exponentiated and normalized. It does not say with what the inner product is taken, nor any dimension. A trained
    vector w and `hidden` are this project's choices. There are no queries and keys, and no positions.
    """

    def __init__(self, dim: int, *, hidden: int = 64) -> None:
        """Vectors of dimension `dim`, reduced to `hidden` and pooled to `out_dim = hidden`."""
        super().__init__()
        self.out_dim = hidden
        self.reduce = nn.Linear(dim, hidden, bias=False)  # W
        self.score = nn.Linear(hidden, 1, bias=False)  # w

    def pool(
        self, x: torch.Tensor, mask: torch.Tensor, time: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """x (B, T, D), mask (B, T) -> pooled (B, hidden), weights (B, T)."""
        # 1. alpha_i = softmax_i(w^T W f_i); w^T W comes first, so that no vector has to be reduced for its weight
        direction = self.score.weight @ self.reduce.weight  # (1, D)
        weights = masked_softmax(inner_product(x, direction), mask)  # (B, T)
        # 2. f = sum_i alpha_i W f_i = W sum_i alpha_i f_i: one reduction for each clip
        return self.reduce(weighted_sum(weights, x)), weights


class MultiHeadAttention(Attention):
    """A small transformer encoder over a clip's vectors, followed by softmax pooling.

    Pre-norm blocks (Vaswani et al., arXiv 1706.03762; Xiong et al., arXiv 2002.04745) with a sinusoidal encoding of
    the vectors' times. This is the only attention here that depends on when the vectors occur; their order in x does
    not matter.
    """

    def __init__(self, dim: int, *, hidden: int = 64, heads: int = 4, layers: int = 1, dropout: float = 0.1) -> None:
        """Vectors of dimension `dim`, reduced to `hidden` and pooled to `out_dim = hidden`."""
        super().__init__()
        self.out_dim = hidden
        self.reduce = nn.Linear(dim, hidden)
        self.encoding = TimeEncoding(hidden)
        self.blocks = nn.ModuleList([Block(hidden, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(hidden)
        self.score = nn.Linear(hidden, 1, bias=False)

    def pool(
        self, x: torch.Tensor, mask: torch.Tensor, time: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """x (B, T, D), mask (B, T), time (B, T) in seconds -> pooled (B, hidden), weights (B, T)."""
        # 1. reduce, and add the time
        tokens = self.reduce(x)  # (B, T, hidden)
        tokens = tokens + self.encoding(time, mask).to(tokens)
        # 2. every vector attends to every other
        for block in self.blocks:
            tokens = block(tokens, tokens, mask)
        tokens = self.norm(tokens)
        # 3. pool
        weights = masked_softmax(self.score(tokens).squeeze(-1), mask)  # (B, T)
        return weighted_sum(weights, tokens), weights


def masked_softmax(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the softmax over the last axis, with zeros where masked; a row that is masked everywhere is all zeros."""
    scores = scores.masked_fill(~mask, -torch.inf)
    top = scores.amax(-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).min)  # finite where all is masked
    weights = (scores - top).exp() * mask
    return weights / weights.sum(-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).tiny)
