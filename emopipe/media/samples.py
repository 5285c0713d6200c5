"""Looks at the samples of a track as they are stored, before anything is resampled or rounded.

Samples that are not finite become 0. Floating-point numbers that are whole numbers, or lie far outside of -1..1, are
divided by the power of two that their integers have. What was found is told by reasons.
"""

from functools import lru_cache

import av
import numpy as np
from av.audio.frame import format_dtypes

from emopipe.cache.status import join, reason

FULL_SCALE = 0.999
"""Samples of at least this magnitude count as clipped. A sine of amplitude 1 spends 3 % of its time there."""
CLIPPED_SHARE = 0.05
"""The share of clipped samples from which on it is reported."""
LOUDEST = 8.0
"""Samples beyond 18 dB above full scale are cut before resampling, which would spread them over their neighbours."""
EXPONENTS = (7, 15, 23, 31, 63)
"""Integers of 8, 16, 24, 32 and 64 bits lie in -2**e..2**e."""

_FEW, _SOME = 1e-4, 1e-2  # shares of samples: what damage may be, and what it cannot be


def planes_of(frame: av.AudioFrame) -> list[np.ndarray]:
    """Return the samples (n,) of each channel of a planar frame, or all in one (n * channels,). Nothing is copied."""
    dtype = np.dtype(format_dtypes[frame.format.name])
    count = frame.samples if frame.format.is_planar else frame.samples * frame.layout.nb_channels
    return [np.frombuffer(plane, dtype, count) for plane in frame.planes]


class SampleChecks:
    """Counts what is wrong with the samples of a track, and mends them."""

    def __init__(self, exponent: int = 0) -> None:
        """Take the exponent of the power of two by which samples are divided (`Magnitudes.exponent`)."""
        self._exponent = exponent
        self._total = self._not_finite = self._clipped = 0

    def checked(self, frames: list[av.AudioFrame]) -> list[av.AudioFrame]:
        """Count the samples of frames of one format, and return the frames with finite samples in -LOUDEST..LOUDEST."""
        x = np.concatenate([plane for frame in frames for plane in planes_of(frame)])
        if not x.size:
            return frames
        self._total += x.size
        low, high = _limits(x.dtype)
        if not self._exponent and x.min() > low and x.max() < high:  # neither holds for nan
            return frames
        if x.dtype.kind == "f":
            return [self._mended(frame) for frame in frames]
        self._clipped += int(np.count_nonzero((x <= low) | (x >= high)))
        return frames

    def _mended(self, frame: av.AudioFrame) -> av.AudioFrame:
        """Return a frame of floating-point samples, mended; the frame itself if they are in order."""
        x = frame.to_ndarray()
        finite = np.isfinite(x)
        y = np.where(finite, x, 0) / x.dtype.type(2.0**self._exponent)
        self._not_finite += x.size - int(np.count_nonzero(finite))
        self._clipped += int(np.count_nonzero(np.abs(y) >= FULL_SCALE))
        y = y.clip(-LOUDEST, LOUDEST)
        if np.array_equal(x, y):
            return frame
        mended = av.AudioFrame.from_ndarray(y, frame.format.name, frame.layout)
        mended.sample_rate, mended.time_base = frame.sample_rate, frame.time_base
        return mended

    @property
    def reasons(self) -> str:
        """What was found, as reasons; "" if all is in order."""
        found = []
        if self._not_finite:
            found.append(reason("not_finite", samples=self._not_finite, total=self._total))
        if self._exponent:
            found.append(reason("not_in_unit_range", exponent=self._exponent))
        if self._total and self._clipped >= CLIPPED_SHARE * self._total:
            found.append(reason("clipped", percent=round(100 * self._clipped / self._total)))
        return join(*found)


class Magnitudes:
    """Counts samples of floating-point numbers by their magnitude, to see whether they are integers in disguise."""

    def __init__(self) -> None:
        """Begin a track."""
        self._counts = np.zeros(64, np.int64)  # [k]: samples whose magnitude is in 2**(k-1)..2**k; [0]: at most 1
        self._are_whole = True

    def add(self, x: np.ndarray) -> None:
        """Count samples (any shape); zeros and those that are not finite say nothing."""
        x = np.abs(x[np.isfinite(x) & (x != 0)])
        self._are_whole = self._are_whole and bool((x == np.rint(x)).all())
        fraction, exponent = np.frexp(x)  # x = fraction * 2**exponent, and the fraction is in 0.5..1
        self._counts += np.bincount((exponent - (fraction == 0.5)).clip(0, 63), minlength=64)

    @property
    def exponent(self) -> int:
        """The exponent of the power of two that is full scale; 0 for samples in -1..1, or a little beyond."""
        total = self._counts.sum()
        are_far = self._counts[4:].sum() >= max(1, _SOME * total)  # beyond 8, which is 18 dB above full scale
        are_integers = self._are_whole and self._counts[1:].any()
        if not are_far and not are_integers:
            return 0
        above = self._counts[::-1].cumsum()[::-1]  # [k]: samples whose magnitude is more than 2**(k-1)
        top = int(np.flatnonzero(above > _FEW * total).max())
        if top - 1 in EXPONENTS and above[top] < _SOME * total:  # peaks that a filter added
            top -= 1
        return next(exponent for exponent in EXPONENTS if exponent >= top)


@lru_cache
def _limits(dtype: np.dtype) -> tuple[float, float]:
    """Return the values from which on samples of a type count as clipped, below and above."""
    if dtype.kind == "f":
        return -FULL_SCALE, FULL_SCALE
    info = np.iinfo(dtype)
    middle = (info.max + info.min + 1) // 2  # 128 for unsigned bytes, else 0
    return middle - FULL_SCALE * (middle - info.min), middle + FULL_SCALE * (info.max - middle)
