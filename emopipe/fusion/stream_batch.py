"""What a network reads of one stream, for a batch of clips."""

from collections.abc import Mapping
from typing import NamedTuple

import torch


class StreamBatch(NamedTuple):
    """One stream of B clips, padded to T vectors; a batch of several networks has one more axis in front."""

    x: torch.Tensor
    """(B, T, D) vectors; arbitrary finite numbers where masked."""
    mask: torch.Tensor
    """(B, T) bool: whether there is a vector."""
    time: torch.Tensor
    """(B, T) seconds since the start of the clip; (B, T, 0) if times are not known."""
    statistics: torch.Tensor
    """(B, S) statistics of each clip's vectors; arbitrary finite numbers for a clip without vectors."""
    evidence: torch.Tensor
    """(B, K) what the backbone's own head says of each clip, log p - log prior, 0 for a clip without vectors; (B, 0) if
    the network does not read it."""

    @property
    def present(self) -> torch.Tensor:
        """(B,) bool: whether the clip has a vector."""
        return self.mask.any(-1)


Streams = Mapping[str, StreamBatch]
"""Stream -> what the network reads of it."""
