"""The log-Mel spectrogram of sound that comes piece by piece, with few columns, whatever its length."""

import numpy as np

from emopipe.media.decoded import AUDIO_RATE
from emopipe.media.spectrogram import LogMelOptions, log_mel

OPTIONS = LogMelOptions(level="full_scale", range_db=120.0)
"""One reference for all pieces; figures choose the part of the range that they show."""
MOST_COLUMNS = 2000
"""With more columns, each two become one, their mean."""
CONTEXT = -(-OPTIONS.n_fft // 2 // OPTIONS.hop)
"""A column needs the samples of so many columns before and after it."""


class SoundPicture:
    """A spectrogram that grows; columns without sound hold NaN."""

    def __init__(self) -> None:
        """Begin a file."""
        self.start = 0.0
        """The time of the first column in seconds."""
        self._columns = np.empty((OPTIONS.n_mels, 0), np.float32)
        self._rest = self._columns  # fewer than make one column of the picture
        self._hops = 1
        self._next: int | None = None  # the sample that is expected next
        self._waiting, self._known = np.empty(0, np.float32), 0

    @property
    def seconds(self) -> float:
        """The length of a column of the picture."""
        return self._hops * OPTIONS.hop / AUDIO_RATE

    def add(self, samples: np.ndarray, start: float) -> None:
        """Take a piece (n,) int16 whose first sample is at `start` seconds; what was there before is omitted."""
        first = round(start * AUDIO_RATE)
        if self._next is None and len(samples):
            self._next, self.start = first, start
        if self._next is None or first + len(samples) <= self._next:
            return
        if first > self._next:
            self._end_stretch()
            self._store(np.full((OPTIONS.n_mels, round((first - self._next) / OPTIONS.hop)), np.nan, np.float32))
            self._next = first
        new = samples[self._next - first :].astype(np.float32) / 32768
        self._waiting = np.concatenate([self._waiting, new])
        self._next += len(new)
        self._compute(len(self._waiting) // OPTIONS.hop + 1 - CONTEXT)

    def picture(self) -> np.ndarray:
        """Return the columns (n_mels, n) float32 in dB below full scale; call it at the end."""
        self._end_stretch()
        columns = self._columns
        if self._rest.shape[1]:
            columns = np.concatenate([columns, _means(self._rest, self._rest.shape[1])], 1)
            self._rest = self._rest[:, :0]
        self._columns = columns
        return columns * 20 - OPTIONS.range_db

    def _end_stretch(self) -> None:
        self._compute(len(self._waiting) // OPTIONS.hop)
        self._waiting, self._known = np.empty(0, np.float32), 0

    def _compute(self, stop: int) -> None:
        """Compute the columns up to `stop` of the samples that wait, but for those that are known already."""
        if stop <= self._known:
            return
        self._store(log_mel(self._waiting, OPTIONS)[0][:, self._known : stop])
        dropped = max(0, stop - CONTEXT)
        self._waiting, self._known = self._waiting[dropped * OPTIONS.hop :], stop - dropped

    def _store(self, columns: np.ndarray) -> None:
        rest = np.concatenate([self._rest, columns], 1)
        whole = rest.shape[1] // self._hops * self._hops
        self._columns = np.concatenate([self._columns, _means(rest[:, :whole], self._hops)], 1)
        self._rest = rest[:, whole:]
        while self._columns.shape[1] > MOST_COLUMNS:
            even = self._columns.shape[1] // 2 * 2
            odd_one = np.repeat(self._columns[:, even:], self._hops, axis=1)
            self._columns, self._hops = _means(self._columns[:, :even], 2), 2 * self._hops
            self._rest = np.concatenate([odd_one, self._rest], 1)


def _means(columns: np.ndarray, count: int) -> np.ndarray:
    """Return the means (F, n) of each `count` columns of (F, n * count) that are not NaN; NaN if all are."""
    groups = columns.reshape(len(columns), -1, count)
    known = np.isfinite(groups)
    total = np.where(known, groups, 0).sum(2)
    return np.where(known.any(2), total / np.maximum(known.sum(2), 1), np.nan).astype(np.float32)
