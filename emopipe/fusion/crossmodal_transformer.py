"""Cross-modal transformer: before a stream is pooled, its vectors attend to the vectors of all other streams."""

from collections.abc import Mapping

import torch
from torch import nn

from emopipe.fusion.stream_batch import Streams
from emopipe.fusion.transformer import Block, TimeEncoding


class CrossModalTransformer(nn.Module):
    """One transformer block for each stream: queries come from the stream, keys and values from all other streams.

    After the multimodal transformer of Tsai et al. (arXiv 1906.00295), with the times of the vectors as positions. If a
    clip has none of the other streams, the block sees the stream's own vectors only.
    """

    def __init__(self, dims: Mapping[str, int], hidden: int, heads: int, dropout: float) -> None:
        """`dims`: stream -> D_s; all streams are reduced to dimension `hidden`."""
        super().__init__()
        self.reduce = nn.ModuleDict({stream: nn.Linear(dim, hidden) for stream, dim in dims.items()})
        self.encoding = TimeEncoding(hidden)
        self.block = nn.ModuleDict({stream: Block(hidden, heads, dropout) for stream in dims})

    def forward(self, streams: Streams) -> dict[str, torch.Tensor]:
        """Return stream -> (B, T_s, hidden); vectors and times must be finite where they are masked, too."""
        # 1. reduce all streams to one dimension, and add the time, by which streams of different rates meet
        tokens = {}
        for stream, given in streams.items():
            reduced = self.reduce[stream](given.x)  # (B, T_s, hidden)
            tokens[stream] = reduced + self.encoding(given.time, given.mask).to(reduced)
        # 2. each stream attends to the others
        crossed = {}
        for stream, own in tokens.items():
            others = [other for other in tokens if other != stream]
            context = torch.cat([tokens[other] for other in others], 1)  # (B, sum T, hidden)
            mask = torch.cat([streams[other].mask for other in others], 1)  # (B, sum T)
            crossed[stream] = self.block[stream](own, context, mask)
        return crossed
