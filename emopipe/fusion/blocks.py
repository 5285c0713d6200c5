"""The weighted sum over the blocks of a stream's vectors, such as the layers of a network, with learned weights.

Source: the weighted sum of hidden states in SUPERB (Yang et al., arXiv 2105.01051) and ELMo (Peters et al., arXiv
1802.05365, equation 1), without the latter's common factor, which the normalisation that follows would cancel.
"""

import torch
from torch import nn

from emopipe.fusion.batched_ops import weighted_sum
from emopipe.fusion.stream_batch import StreamBatch


class BlockSum(nn.Module):
    """x = sum_l w_l x_l with w = softmax(r a) over the L blocks x_l of a vector; a is trained, and starts at 0.

    The rate r lets the weights move as far as they have to in the few hundred small steps of a training, of which each
    moves a parameter by about lr.
    """

    RATE = 4.0

    def __init__(self, blocks: int) -> None:
        """`blocks`: L."""
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(blocks))

    @property
    def weights(self) -> torch.Tensor:
        """The weights (L,) of the blocks, which sum to 1."""
        return (self.RATE * self.logits).softmax(-1)

    def forward(self, stream: StreamBatch, dim: int) -> StreamBatch:
        """Return a stream with vectors (B, T, d) in place of (B, T, L d), and statistics (B, k d) for (B, k L d).

        The spread and the maximum of a clip are weighted sums of those of the blocks, too. `dim` is d.
        """
        return stream._replace(x=self._sum(stream.x, dim), statistics=self._sum(stream.statistics, dim))

    def _sum(self, values: torch.Tensor, dim: int) -> torch.Tensor:
        """(..., k L d) -> (..., k d)."""
        if not values.shape[-1]:  # no statistics are read
            return values
        parts = values.unflatten(-1, (-1, len(self.logits), dim))  # (..., k, L, d)
        lines = parts.movedim(-2, 0).flatten(1)[None]  # (1, L, ... k d)
        return weighted_sum(self.weights[None], lines).reshape(*values.shape[:-1], -1)
