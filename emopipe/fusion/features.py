"""Reading merged features: the whole set at once, from which any clips are taken as a padded batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from emopipe.cache.store import Reader
from emopipe.core.log import LOGGER


@dataclass(frozen=True)
class Features:
    """One backbone's vectors of N clips, end to end; what is masked is left out."""

    x: torch.Tensor
    """(sum of lengths, D) float32."""
    start: torch.Tensor
    """(N,) where each clip's vectors begin."""
    length: torch.Tensor
    """(N,) how many each clip has; 0 where it has none."""

    def batch(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The clips `rows` (...) padded to the longest of them: vectors (..., T, D), mask (..., T) bool.

        What stands at masked places is any vector: whoever reads them goes by the mask.
        """
        length = self.length[rows]  # (...)
        place = torch.arange(self._longest(length), device=length.device)
        return self._take(rows, place.expand(*rows.shape, -1), place < length[..., None])

    def sample(self, rows: torch.Tensor, draws: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As `batch`, but of clips with more than n vectors one from each of n equal parts.

        Args:
            rows: (...) clips.
            draws: (..., n) numbers in [0, 1) that say where in its part each vector is.
        """
        length, count = self.length[rows], draws.shape[-1]
        part = torch.arange(min(count, self._longest(length)), device=length.device)
        drawn = (length[..., None] * (part + draws[..., : len(part)]) / count).long()
        drawn = torch.minimum(drawn, length[..., None] - 1)  # a draw just below 1 rounds up
        place = torch.where((length > count)[..., None], drawn, part)
        return self._take(rows, place, part < length[..., None])

    def scatter(self, rows: torch.Tensor, draws: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """As `batch`, but of clips with more than `count` vectors so many from anywhere, in their order.

        Args:
            rows: (...) clips.
            draws: (..., P) numbers; a clip's vectors with the lowest draws are taken. Where it has more than P
                vectors, they share the draws in turn.
            count: How many vectors to take.
        """
        length = self.length[rows]
        place = torch.arange(self._longest(length), device=length.device)
        rank = draws[..., place % draws.shape[-1]].masked_fill(place >= length[..., None], torch.inf)
        taken = rank.topk(min(count, len(place)), largest=False).indices
        taken = taken.masked_fill(taken >= length[..., None], len(place)).sort(-1).values  # what is there comes first
        return self._take(rows, taken, taken < length[..., None])

    def _longest(self, length: torch.Tensor) -> int:
        return max(1, int(length.max())) if length.numel() else 1

    def _take(self, rows: torch.Tensor, place: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        index = (self.start[rows][..., None] + place).where(mask, 0)
        if not len(self.x):
            return self.x.new_zeros(*index.shape, self.x.shape[1]), mask
        return self.x[index], mask

    @property
    def present(self) -> torch.Tensor:
        """(N,) bool: the clip has at least one vector."""
        return self.length > 0

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        return type(self)(*(tensor.to(device) for tensor in (self.x, self.start, self.length)))


def concatenate(views: Sequence[Features]) -> Features:
    """V times N clips as one set: clip n of view v is row v * N + n."""
    shifts = np.cumsum([0, *(len(view.x) for view in views)])
    return Features(
        torch.cat([view.x for view in views]),
        torch.cat([view.start + int(shift) for view, shift in zip(views, shifts, strict=False)]),
        torch.cat([view.length for view in views]),
    )


def load(path: Path, clips: Sequence[str], made_by: str | None = None) -> Features:
    """The vectors of `clips`, in that order; a clip that the file has nothing for has none.

    Vectors with a number that is not finite are left out, as if masked, and told of.

    Raises:
        CacheError: The file is damaged, or another recipe than `made_by` (its digest) made it.
    """
    with Reader(path, made_by) as reader:
        (x, offsets), (mask, _) = reader.flat("x"), reader.flat("mask")
        number = {clip: row for row, clip in enumerate(reader.clips)}
    finite = np.isfinite(x).all(1)
    if broken := int((mask & ~finite).sum()):
        LOGGER.warning(f"{path}: {broken} of {int(mask.sum())} vectors hold numbers that are not finite; left out.")
    mask = mask & finite
    spans = [slice(*offsets[number[clip] : number[clip] + 2]) if clip in number else slice(0) for clip in clips]
    kept = [np.flatnonzero(mask[span]) + (span.start or 0) for span in spans]
    order = np.concatenate([np.empty(0, np.int64), *kept])
    length = torch.tensor([len(places) for places in kept], dtype=torch.int64)
    return Features(torch.from_numpy(x[order]), length.cumsum(0) - length, length)
