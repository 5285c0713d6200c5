"""Attention within a modality: from a clip's vectors (B, T, D) and their mask (B, T) to one vector (B, D')."""

import torch
from torch import nn


def masked_softmax(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Softmax over the last axis of what the mask lets through; a row without anything gets all zeros."""
    scores = scores.masked_fill(~mask, -torch.inf)
    top = scores.amax(-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).min)  # finite where all is masked
    weights = (scores - top).exp() * mask
    return weights / weights.sum(-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).tiny)


def weighted_sum(weights: torch.Tensor, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """sum_t weights (B, T) x (B, T, D) -> (B, D), whatever stands at masked places, even NaN."""
    return torch.einsum("bt,btd->bd", weights, x.masked_fill(~mask[..., None], 0.0))


class MeanPooling(nn.Module):
    """The mean of the vectors that are there."""

    def __init__(self, dim: int) -> None:
        """Vectors of `dim`, pooled to `out_dim = dim`."""
        super().__init__()
        self.out_dim = dim

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pool x (B, T, D) under mask (B, T) bool -> pooled (B, D), weights (B, T)."""
        weights = mask / mask.sum(1, keepdim=True).clamp_min(1)
        weights = weights.to(x.dtype)
        return weighted_sum(weights, x, mask), weights


class TransformerAttention(nn.Module):
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

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pool x (B, T, D) under mask (B, T) bool -> pooled (B, hidden), weights (B, T).

        Weights are zero where masked and sum to one; a clip without any vector gets zeros throughout.
        """
        # 1. f'_i = W f_i
        reduced = self.reduce(x.masked_fill(~mask[..., None], 0.0))  # (B, T, hidden)
        # 2. alpha_i = softmax_i(w^T f'_i)
        weights = masked_softmax(self.score(reduced).squeeze(-1), mask)  # (B, T)
        # 3. f = sum_i alpha_i f'_i
        return weighted_sum(weights, reduced, mask), weights
