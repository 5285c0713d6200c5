"""Merged features in memory: `load` reads a file once, then any clips can be taken as a padded batch."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import torch

from emopipe.cache.store import Reader
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER
from emopipe.fusion.rng import distinct_bits
from emopipe.fusion.stream_batch import StreamBatch

LOGP = "logp"
"""The field of a features file with the log-probabilities of the backbone's own head."""


@dataclass(frozen=True)
class ClipFeatures:
    """The vectors of one clip as a features file holds them, masked ones included."""

    x: np.ndarray
    """(T, D) float32; NaN where masked."""
    mask: np.ndarray
    """(T,) bool: whether there is a vector."""
    time: np.ndarray
    """(T,) seconds since the start of the clip."""
    logp: np.ndarray | None = None
    """(T, C) float32: the log-probabilities of the network's own emotion head, in the order of its C classes; NaN where
    masked. None if the network has no head."""


@dataclass(frozen=True)
class Features:
    """The vectors of N clips from one backbone, in the order of the clips; masked vectors are omitted."""

    x: torch.Tensor
    """(sum of lengths, D) float32."""
    start: torch.Tensor
    """(N,) index of each clip's first vector."""
    length: torch.Tensor
    """(N,) number of vectors of each clip; may be 0."""
    logp: torch.Tensor | None = None
    """(sum of lengths, C) log-probabilities of the backbone's own head, one column for each of `head_classes`; None if
    it has none."""
    time: torch.Tensor | None = None
    """(sum of lengths,) float64 seconds since the start of the clip. None if unknown: models with a positional encoding
    refuse such features."""
    prior: tuple[float, ...] = ()
    """The shares of `head_classes` in what the head was trained on; () if unknown or without a head."""
    statistics: torch.Tensor | None = None
    """(N, S) statistics of each clip's vectors, which models read beside them (`fusion.inputs`); None: none."""
    evidence: torch.Tensor | None = None
    """(N, K) what the backbone's own head says of each clip on the K classes of the run, log p - log prior
    (`fusion.inputs`); None: not read."""
    blocks: int = 1
    """Number of equally long parts of a vector, such as layers; models read their weighted sum (`fusion.blocks`)."""
    head_classes: tuple[str, ...] = CLASSES
    """The C classes of the backbone's own head."""

    @classmethod
    def from_clips(cls, clips: Sequence[ClipFeatures]) -> Self:
        """Return the vectors of one or more clips that are neither masked nor infinite, as `load` does of a file."""
        kept = [clip.mask & np.isfinite(clip.x).all(1) for clip in clips]
        length = torch.tensor([int(taken.sum()) for taken in kept], dtype=torch.int64)

        def together(arrays: Sequence[np.ndarray], dtype: str) -> torch.Tensor:
            chosen = [array[taken] for array, taken in zip(arrays, kept, strict=True)]
            return torch.from_numpy(np.ascontiguousarray(np.concatenate(chosen), dtype))

        return cls(
            together([clip.x for clip in clips], "f4"),
            length.cumsum(0) - length,
            length,
            together([clip.logp for clip in clips], "f4") if all(clip.logp is not None for clip in clips) else None,
            time=together([clip.time for clip in clips], "f8"),
        )

    @property
    def present(self) -> torch.Tensor:
        """(N,) bool: whether the clip has a vector."""
        return self.length > 0

    def to(self, device: torch.device) -> Self:
        """Return a copy on a device."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return type(self)(**{n: v.to(device) if isinstance(v, torch.Tensor) else v for n, v in values.items()})

    def batch(self, rows: torch.Tensor) -> StreamBatch:
        """Return all vectors of the clips `rows` (...), padded to the longest, with their times and statistics.

        Masked positions hold arbitrary finite vectors.
        """
        length = self.length[rows]  # (...)
        position = torch.arange(self._longest(length), device=length.device)
        return self._take(rows, position.expand(*rows.shape, -1), position < length[..., None])

    def sample_segments(self, rows: torch.Tensor, draws: torch.Tensor) -> StreamBatch:
        """Like `batch`, but a clip with more than n vectors is divided into n equal segments, one vector from each.

        What is taken of a clip depends on its draws alone, not on the other clips.

        Args:
            rows: (...) clips.
            draws: (..., n) random numbers in [0, 1): the vector's relative position in its segment.
        """
        length, count = self.length[rows], draws.shape[-1]
        segment = torch.arange(min(count, self._longest(length)), device=length.device)
        drawn = (length[..., None] * (segment + draws[..., : len(segment)]) / count).long()
        drawn = torch.minimum(drawn, length[..., None] - 1)  # a draw just below 1 rounds up
        position = torch.where((length > count)[..., None], drawn, segment)
        return self._take(rows, position, segment < length[..., None])

    def sample_random(self, rows: torch.Tensor, keys: torch.Tensor, count: int) -> StreamBatch:
        """Like `batch`, but of a clip with more than `count` vectors, `count` random ones are taken, in their order.

        What is taken of a clip depends on its key and its length alone, not on the other clips.

        Args:
            rows: (...) clips.
            keys: (...) int32 key of each clip (`emopipe.fusion.rng`).
            count: Number of vectors to take.
        """
        length = self.length[rows]
        position = torch.arange(self._longest(length), device=length.device)
        # The numbers of a clip are all different, so there are no ties, which `topk` would resolve by the padding.
        numbers = distinct_bits(keys, len(position)).long()
        rank = numbers.masked_fill(position >= length[..., None], torch.iinfo(torch.int64).max)
        taken = rank.topk(min(count, len(position)), largest=False).indices
        taken = taken.masked_fill(taken >= length[..., None], len(position)).sort(-1).values  # padding comes last
        return self._take(rows, taken, taken < length[..., None])

    def _longest(self, length: torch.Tensor) -> int:
        return max(1, int(length.max())) if length.numel() else 1

    def _take(self, rows: torch.Tensor, position: torch.Tensor, mask: torch.Tensor) -> StreamBatch:
        index = (self.start[rows][..., None] + position).where(mask, 0)
        time = self.x.new_zeros(*index.shape, 0) if self.time is None else _rows(self.time, index)
        of_clips = (
            self.x.new_zeros(*rows.shape, 0) if values is None else values[rows]
            for values in (self.statistics, self.evidence)
        )
        return StreamBatch(_rows(self.x, index), mask, time, *of_clips)


def _rows(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return values[index]; zeros if there are no values, when all of the index is masked."""
    return values[index] if len(values) else values.new_zeros(*index.shape, *values.shape[1:])


def concatenate(views: Sequence[Features]) -> Features:
    """Return V views of N clips as one: clip n of view v is row v * N + n."""
    shifts = np.cumsum([0, *(len(view.x) for view in views)])

    def together(name: str) -> torch.Tensor | None:
        parts = [getattr(view, name) for view in views]
        return None if any(part is None for part in parts) else torch.cat(parts)

    starts = torch.cat([view.start + int(shift) for view, shift in zip(views, shifts, strict=False)])
    return Features(
        start=starts,
        prior=views[0].prior,
        blocks=views[0].blocks,
        head_classes=views[0].head_classes,
        **{name: together(name) for name in ("x", "length", "logp", "time", "statistics", "evidence")},
    )


def load(path: Path, clips: Sequence[str], made_by: str | None = None) -> Features:
    """Read the vectors of clips from a file of merged features, and omit vectors that are not finite.

    Args:
        path: The file.
        clips: Ids of the clips, in the order of the result; a clip that the file lacks gets no vectors.
        made_by: Digest of the recipe that must have made the file; None accepts any.

    Raises:
        CacheError: The file is damaged, or another recipe made it.
    """
    with Reader(path, made_by) as reader:
        (mask, offsets), (time, _) = (reader.flat(name) for name in ("mask", "time"))
        logp = reader.flat(LOGP)[0] if LOGP in reader.fields else None
        prior = tuple(json.loads(reader.attributes.get("head_prior", "[]"))) if logp is not None else ()
        blocks = int(reader.attributes.get("blocks", 1))
        head_classes = tuple(json.loads(reader.attributes.get("head_classes") or "null") or CLASSES)
        number = {clip: row for row, clip in enumerate(reader.clips)}
        spans = [slice(*offsets[number[clip] : number[clip] + 2]) if clip in number else slice(0) for clip in clips]
        kept = [np.flatnonzero(mask[span]) + (span.start or 0) for span in spans]
        order = np.concatenate([np.empty(0, np.int64), *kept])
        x = _vectors(reader, order)
    lengths = np.array([len(positions) for positions in kept], np.int64)
    finite = np.isfinite(x).all(1)
    if not finite.all():
        LOGGER.warning(
            f"{path}: {int((~finite).sum())} of {len(x)} vectors of these clips hold numbers that are not finite. They "
            "are omitted."
        )
        lengths = np.bincount(np.repeat(np.arange(len(clips)), lengths)[finite], minlength=len(clips))
        x, order = x[finite], order[finite]
    length = torch.from_numpy(lengths)
    return Features(
        torch.from_numpy(x),
        length.cumsum(0) - length,
        length,
        None if logp is None else torch.from_numpy(logp[order]),
        prior=prior,
        time=torch.from_numpy(time[order]),
        blocks=blocks,
        head_classes=head_classes,
    )


def _vectors(reader: Reader, order: np.ndarray) -> np.ndarray:
    """Return the rows `order` (n,) of all vectors, (n, D) float32. The file is read in parts, without a second copy."""
    place = np.argsort(order, kind="stable")
    wanted = order[place]  # ascending
    x = np.empty((len(order), *reader.fields["x"].row), np.float32)
    first = 0
    for part, _, _ in reader.blocks("x"):
        here = slice(*np.searchsorted(wanted, [first, first + len(part)]))
        x[place[here]] = part[wanted[here] - first]
        first += len(part)
    return x
