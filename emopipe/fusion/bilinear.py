"""Factorized bilinear pooling of two modalities' vectors."""

import torch
import torch.nn.functional as F
from torch import nn


class FactorizedBilinearPooling(nn.Module):
    """z_j = a^T U_j V_j^T v for j = 1..out, each bilinear form of rank `factor`.

        z = SumPool_k(dropout(U^T a o V^T v)),  z / ||z||_2

    after Yu et al. (MFB, arXiv 1708.01471) and Zhang et al. (arXiv 1901.04889). The signed square root is MFB's; the
    paper does not say whether it takes one.
    """

    def __init__(
        self, dim_a: int, dim_v: int, out: int, factor: int, dropout: float = 0.1, *, signed_sqrt: bool = True
    ) -> None:
        """Vectors of `dim_a` and `dim_v` to one of `out`."""
        super().__init__()
        self.out, self.factor, self.signed_sqrt = out, factor, signed_sqrt
        self.project_a = nn.Linear(dim_a, out * factor, bias=False)  # U
        self.project_v = nn.Linear(dim_v, out * factor, bias=False)  # V
        self.dropout = nn.Dropout(dropout)

    def forward(self, a: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """a (B, dim_a), v (B, dim_v) -> (B, out), of length one."""
        # 1. product of the projections, dropout
        product = self.dropout(self.project_a(a) * self.project_v(v))  # (B, out * factor)
        # 2. sum over the factors of each output
        z = product.view(-1, self.out, self.factor).sum(-1)  # (B, out)
        # 3. signed square root; the offset keeps its slope finite at zero
        if self.signed_sqrt:
            z = torch.sign(z) * ((z.abs() + 1e-12).sqrt() - 1e-6)
        # 4. length one
        return F.normalize(z, dim=-1)
