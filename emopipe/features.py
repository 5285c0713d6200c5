"""Reading merged features: the whole set at once, from which any clips are taken as a padded batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from emopipe.store import Reader


@dataclass(frozen=True)
class Features:
    """One backbone's vectors of N clips, end to end; what is masked is left out."""

    x: torch.Tensor
    """(sum of lengths, D) float32."""
    time: torch.Tensor
    """(sum of lengths,) seconds."""
    start: torch.Tensor
    """(N,) where each clip's vectors begin."""
    length: torch.Tensor
    """(N,) how many each clip has; 0 where it has none."""

    def batch(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The clips `rows` (B,) padded to the longest of them: vectors (B, T, D), mask (B, T) bool."""
        length = self.length[rows]
        longest = max([1, *length.tolist()])
        place = torch.arange(longest, device=length.device)
        mask = place < length[:, None]  # (B, T)
        index = (self.start[rows][:, None] + place).where(mask, 0)
        if not len(self.x):
            return self.x.new_zeros(*index.shape, self.x.shape[1]), mask
        return self.x[index] * mask[..., None], mask

    @property
    def present(self) -> torch.Tensor:
        """(N,) bool: the clip has at least one vector."""
        return self.length > 0

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        return type(self)(*(tensor.to(device) for tensor in (self.x, self.time, self.start, self.length)))


def load(path: Path, clips: Sequence[str]) -> Features:
    """The vectors of `clips`, in that order; a clip that the file has nothing for has none.

    Raises:
        CacheError: The file is no whole cache file.
    """
    with Reader(path) as reader:
        (x, offsets), (mask, _), (time, _) = (reader.flat(name) for name in ("x", "mask", "time"))
        number = {clip: row for row, clip in enumerate(reader.clips)}
    spans = [slice(*offsets[number[clip] : number[clip] + 2]) if clip in number else slice(0) for clip in clips]
    kept = [np.flatnonzero(mask[span]) + (span.start or 0) for span in spans]
    order = np.concatenate([np.empty(0, np.int64), *kept])
    length = torch.tensor([len(places) for places in kept], dtype=torch.int64)
    return Features(torch.from_numpy(x[order]), torch.from_numpy(time[order]), length.cumsum(0) - length, length)
