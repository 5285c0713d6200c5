"""Factorized bilinear pooling of the vectors of two modalities, plain and with weights for each clip."""

import torch
import torch.nn.functional as F
from torch import nn

from emopipe.fusion.attention import masked_softmax
from emopipe.fusion.rng import Dropout


class FactorizedBilinearPooling(nn.Module):
    """z_j = a^T U_j V_j^T v for j = 1..out, where each bilinear form has rank `factor`.

        z = SumPool_k(dropout(U^T a o V^T v)),  z / ||z||_2

    after Yu et al. (MFB, arXiv 1708.01471) and Zhang et al. (arXiv 1901.04889). The signed square root comes from MFB;
    the paper does not say whether it uses one. Together with attention within each modality (`SelfAttention` for faces,
    `PatchAttention` for audio), this is the attention-guided pooling of Zhang et al.
    """

    def __init__(
        self, dim_a: int, dim_v: int, out: int, factor: int, dropout: float = 0.1, *, signed_sqrt: bool = True
    ) -> None:
        """Vectors of dimensions `dim_a` and `dim_v`, pooled to one of dimension `out`."""
        super().__init__()
        self.out, self.factor, self.signed_sqrt = out, factor, signed_sqrt
        self.project_a = nn.Linear(dim_a, out * factor, bias=False)  # U
        self.project_v = nn.Linear(dim_v, out * factor, bias=False)  # V
        self.dropout = Dropout(dropout)

    def forward(self, a: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """a (B, dim_a), v (B, dim_v) -> (B, out), of length one."""
        # 1. product of the projections, dropout
        product = self.dropout(self.project_a(a) * self.project_v(v))  # (B, out * factor)
        # 2. sum over the factors of each output
        z = product.unflatten(-1, (self.out, self.factor)).sum(-1)  # (B, out)
        # 3. signed square root; the offset keeps the gradient finite at zero
        if self.signed_sqrt:
            z = torch.sign(z) * ((z.abs() + 1e-12).sqrt() - 1e-6)
        # 4. normalize to length one
        return F.normalize(z, dim=-1)


class AdaptiveBilinearPooling(nn.Module):
    """Bilinear pooling, concatenated with both modalities, which are weighted for each clip.

        (w_a, w_v) = softmax(s_a^T a, s_v^T v),  z = [FBP(a, v) : w_a P_a a : w_v P_v v]

    Zhou et al. (arXiv 2111.08910) weight the modalities by the pooled vectors. This project chose where the weights
    act: FBP has length one, so weights on its arguments would cancel out. A missing modality has weight zero.
    """

    def __init__(
        self, dim_a: int, dim_v: int, out: int, factor: int, dropout: float = 0.1, *, signed_sqrt: bool = True
    ) -> None:
        """Vectors of dimensions `dim_a` and `dim_v`, pooled to one of dimension `3 * out`."""
        super().__init__()
        self.pooling = FactorizedBilinearPooling(dim_a, dim_v, out, factor, dropout, signed_sqrt=signed_sqrt)
        self.score_a, self.score_v = nn.Linear(dim_a, 1), nn.Linear(dim_v, 1)
        self.project_a, self.project_v = nn.Linear(dim_a, out), nn.Linear(dim_v, out)

    def forward(self, a: torch.Tensor, v: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """a (B, dim_a), v (B, dim_v), present (B, 2) bool: which of the two a clip has -> (B, 3 out)."""
        # 1. weights of the modalities that are present
        weights = masked_softmax(torch.cat([self.score_a(a), self.score_v(v)], 1), present)  # (B, 2)
        # 2. each modality alone, normalized to length one like the pooled vector
        alone = torch.stack([F.normalize(self.project_a(a), dim=-1), F.normalize(self.project_v(v), dim=-1)], 1)
        # 3. concatenate
        return torch.cat([self.pooling(a, v), (alone * weights[..., None]).flatten(1)], 1)
