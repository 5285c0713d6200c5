"""Reading merged features: one clip, or the whole set at once as padded arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emopipe.store import Reader


@dataclass(frozen=True)
class Features:
    """One backbone's vectors of N clips, padded to the longest."""

    x: np.ndarray
    """(N, T, D) float32; zeros where masked, which the mask keeps from being read as data."""
    mask: np.ndarray
    """(N, T) bool: a vector is there."""
    time: np.ndarray
    """(N, T) seconds."""

    @property
    def present(self) -> np.ndarray:
        """(N,) bool: the clip has at least one vector."""
        return self.mask.any(1)


def load(path: Path, clips: Sequence[str]) -> Features:
    """The vectors of `clips`, in that order; a clip that the file has nothing for is all masked.

    Raises:
        CacheError: The file is no whole cache file.
    """
    with Reader(path) as reader:
        (x, offsets), (mask, _), (time, _) = (reader.flat(name) for name in ("x", "mask", "time"))
        number = {clip: row for row, clip in enumerate(reader.clips)}
    spans = [(offsets[number[clip]], offsets[number[clip] + 1]) if clip in number else (0, 0) for clip in clips]
    longest = max([stop - start for start, stop in spans], default=0) or 1
    padded = Features(
        np.zeros((len(clips), longest, x.shape[1]), np.float32),
        np.zeros((len(clips), longest), bool),
        np.zeros((len(clips), longest)),
    )
    for row, (start, stop) in enumerate(spans):
        padded.mask[row, : stop - start] = mask[start:stop]
        padded.time[row, : stop - start] = time[start:stop]
        padded.x[row, : stop - start][mask[start:stop]] = x[start:stop][mask[start:stop]]
    return padded
