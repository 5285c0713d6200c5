"""Cross-modal attention: before a stream is pooled, its vectors look at those of all other streams."""

from collections.abc import Mapping

import torch
from torch import nn

from emopipe.fusion.transformer import Block, place_encoding

Sequences = Mapping[str, tuple[torch.Tensor, torch.Tensor]]
"""Stream -> vectors (B, T_s, D_s) and mask (B, T_s)."""


class CrossModalAttention(nn.Module):
    """One transformer block a stream, whose queries are the stream's vectors and whose keys are all others'.

    After the multimodal transformer of Tsai et al. (arXiv 1906.00295). A stream whose partners are missing goes on
    with its own vectors alone.
    """

    def __init__(self, dims: Mapping[str, int], hidden: int, heads: int, dropout: float) -> None:
        """`dims`: stream -> D_s; all are reduced to `hidden`."""
        super().__init__()
        self.reduce = nn.ModuleDict({stream: nn.Linear(dim, hidden) for stream, dim in dims.items()})
        self.block = nn.ModuleDict({stream: Block(hidden, heads, dropout) for stream in dims})

    def forward(self, streams: Sequences) -> dict[str, torch.Tensor]:
        """Stream -> (B, T_s, hidden), for vectors that are finite where masked too."""
        # 1. one dimension for all, and where in the clip: as a share of its length, since rates differ
        tokens = {stream: self._tokens(stream, *streams[stream]) for stream in streams}
        # 2. each stream looks at the others
        crossed = {}
        for stream, own in tokens.items():
            others = [other for other in tokens if other != stream]
            context = torch.cat([tokens[other] for other in others], 1)  # (B, sum T, hidden)
            mask = torch.cat([streams[other][1] for other in others], 1)  # (B, sum T)
            crossed[stream] = self.block[stream](own, context, mask)
        return crossed

    def _tokens(self, stream: str, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        reduced = self.reduce[stream](x)  # (B, T, hidden)
        return reduced + place_encoding(mask, reduced.shape[-1]).to(reduced)
