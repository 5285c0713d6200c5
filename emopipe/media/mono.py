"""Turns frames of sound of any rate, sample format and channels into 16-bit mono at 16 kHz.

All channels are resampled as floating-point numbers; then they are mixed; at last the mix is rounded. Known layouts are
mixed as libswresample does it for integers: its weights, with the sum 1. Unknown layouts are mixed evenly.

Where channels cancel each other, the louder one is taken instead of the mix. This is decided for each quarter of a
second: `BLOCK` samples, counted from the first one that has these channels. The sound passes from one to the other
within `FADE` samples, so that nothing clicks, and the louder channel stays until another is clearly louder.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

import av
import numpy as np

from emopipe.media.decoded import AUDIO_RATE
from emopipe.media.samples import planes_of

BLOCK = AUDIO_RATE // 4
"""Samples for which it is decided at a time whether channels cancel each other."""
FADE = AUDIO_RATE // 50
"""Samples within which the mix passes into a channel, or the other way round."""
CANCELLED = 0.2
"""Channels cancel each other if the mix is quieter than this share of what the loudest channel gives to an even mix;
for stereo, 20 dB below the louder channel."""
CLEARLY = 2.0
"""How much louder something must be to replace what is taken."""
QUIET = 3e-4
"""Blocks with a lower level (-70 dBFS) decide nothing."""
MOST_CHANNELS = 64
"""libswresample resamples no more at once."""


def shape_of(frame: av.AudioFrame) -> tuple[int, str, int, str]:
    """Return what frames have in common that one converter can convert: rate, sample format and channels."""
    return frame.sample_rate, frame.format.name, frame.layout.nb_channels, frame.layout.name


class MonoConverter:
    """Converts frames of one shape."""

    def __init__(self, frame: av.AudioFrame) -> None:
        """Take the shape of a frame; nothing is converted yet."""
        channels = frame.layout.nb_channels
        edges = [*range(0, channels, MOST_CHANNELS), channels]
        self._resamplers = [_Resampler(frame, begin, end) for begin, end in pairwise(edges)]
        self._rest = np.empty((channels, 0), np.float32)  # resampled, and shorter than a block
        self._mixer = _Mixer(_weights(frame.layout.name, channels)) if channels > 1 else None

    def convert(self, frame: av.AudioFrame) -> Iterator[np.ndarray]:
        """Yield the blocks (BLOCK,) int16 that are complete after a frame."""
        for resampler in self._resamplers:
            resampler.push(frame)
        if self._rest.shape[1] + self._resamplers[0].ready >= BLOCK:
            yield from self._blocks()

    def end(self) -> Iterator[np.ndarray]:
        """Yield the blocks int16 that are left after the last frame; the last one may be shorter."""
        for resampler in self._resamplers:
            resampler.push(None)
        yield from self._blocks()
        if self._rest.size:
            yield self._mixed(self._rest)

    @property
    def cancelled_seconds(self) -> float:
        """For how long a channel was taken instead of the mix."""
        return self._mixer.replaced / AUDIO_RATE if self._mixer else 0.0

    def _blocks(self) -> Iterator[np.ndarray]:
        """Yield the blocks that are complete."""
        ready = np.concatenate([resampler.take() for resampler in self._resamplers])
        x = np.concatenate([self._rest, ready], 1)
        end = x.shape[1] // BLOCK * BLOCK
        self._rest = x[:, end:].copy()
        for begin in range(0, end, BLOCK):
            yield self._mixed(x[:, begin : begin + BLOCK])

    def _mixed(self, x: np.ndarray) -> np.ndarray:
        """Return a block (channels, n) as 16-bit integers (n,); samples beyond -1..1 are clipped."""
        mono = self._mixer.mix(x) if self._mixer else x[0]
        return np.rint(mono * 32768).clip(-32768, 32767).astype(np.int16)


class _Resampler:
    """Resamples the channels `begin` to `end` of frames."""

    def __init__(self, frame: av.AudioFrame, begin: int, end: int) -> None:
        self._begin, self._end = begin, end
        self._is_part = end - begin < frame.layout.nb_channels
        packed = "dbl" if frame.format.bytes == 8 else "flt"
        # PyAV gives the samples of at most seven planes.
        self._resampler = av.AudioResampler(packed + "p" * (end - begin < 8), rate=AUDIO_RATE)
        self._done: list[av.AudioFrame] = []
        self.ready = 0
        """Number of samples that can be taken."""

    def push(self, frame: av.AudioFrame | None) -> None:
        """Resample a frame; None: what is left after the last one."""
        if self._is_part and frame is not None:
            frame = self._part_of(frame)
        done = [block for block in self._resampler.resample(frame) if block is not None]
        self._done += done
        self.ready += sum(block.samples for block in done)

    def take(self) -> np.ndarray:
        """Return the samples (channels, n) that are ready."""
        channels = self._end - self._begin
        blocks = [planes_of(block) for block in self._done]
        self._done, self.ready = [], 0
        if not blocks:
            return np.empty((channels, 0), np.float32)
        joined = [np.concatenate(plane) for plane in zip(*blocks, strict=True)]
        return np.stack(joined) if len(joined) == channels else joined[0].reshape(-1, channels).T

    def _part_of(self, frame: av.AudioFrame) -> av.AudioFrame:
        """Return a frame with some channels of a packed one."""
        x = frame.to_ndarray().reshape(frame.samples, -1)[:, self._begin : self._end]
        part = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(x).reshape(1, -1), frame.format.name, f"{x.shape[1]} channels"
        )
        part.sample_rate, part.time_base = frame.sample_rate, frame.time_base
        return part


class _Mixer:
    """Mixes two channels or more, block by block."""

    def __init__(self, weights: tuple[float, ...]) -> None:
        self._weights = weights
        self._taken: int | None = None  # the channel that is taken instead of the mix
        self._begins = True
        self.replaced = 0
        """Number of samples for which a channel was taken."""

    def mix(self, x: np.ndarray) -> np.ndarray:
        """Return the mix (n,) of a block (channels, n), or its louder channel."""
        mixed = np.zeros_like(x[0])
        for channel, weight in zip(x, self._weights, strict=True):
            if weight:
                mixed += channel * x.dtype.type(weight)
        taken = self._choose(x, mixed)
        found = mixed if taken is None else x[taken]
        if taken != self._taken and not self._begins:
            before = mixed if self._taken is None else x[self._taken]
            rise = np.linspace(0, 1, min(FADE, len(mixed)), dtype=x.dtype)
            found = found.copy()
            found[: len(rise)] = before[: len(rise)] + rise * (found - before)[: len(rise)]
        self._taken, self._begins = taken, False
        self.replaced += len(mixed) * (taken is not None)
        return found

    def _choose(self, x: np.ndarray, mixed: np.ndarray) -> int | None:
        """Return the channel to take instead of the mix, or None."""
        levels = np.sqrt(np.mean(np.square(x, dtype=np.float64), 1))
        loudest = int(levels.argmax())
        is_rest = len(mixed) < BLOCK and not self._begins  # a few samples say nothing
        if levels[loudest] < QUIET or is_rest:
            return self._taken
        limit = CANCELLED * levels[loudest] / len(x) * (1.0 if self._taken is None else CLEARLY)
        if np.sqrt(np.mean(np.square(mixed, dtype=np.float64))) > limit:
            return None
        if self._taken is not None and CLEARLY * levels[self._taken] >= levels[loudest]:
            return self._taken
        return loudest


@lru_cache(maxsize=64)
def _weights(layout: str, channels: int) -> tuple[float, ...]:
    """Return the weight of each channel of a layout in the mix; their sum is 1."""
    even = (1 / channels,) * channels
    if channels < 3 or layout.endswith(" channels"):  # the name of a layout that nobody knows
        return even
    # The weights of libswresample are its answer to a frame whose sample number k is 1 in channel k alone.
    impulses = av.AudioFrame.from_ndarray(np.eye(channels).reshape(1, -1), "dbl", layout)
    impulses.sample_rate = AUDIO_RATE
    mixer = av.AudioResampler("dbl", "mono", AUDIO_RATE, options={"rematrix_maxval": 1.0})
    try:
        answers = [*mixer.resample(impulses), *mixer.resample(None)]
    except av.FFmpegError:  # it mixes no layout of this kind
        return even
    weights = np.concatenate([answer.to_ndarray()[0] for answer in answers])
    return tuple(weights.tolist()) if weights.any() else even
