"""A long file in parts: frames and sound of some seconds at a time, in one pass and with bounded memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

import cv2
import numpy as np

from emopipe.cache import status
from emopipe.media import files
from emopipe.media.audio import SoundBlocks
from emopipe.media.clip import sound_fault, verdict
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions, Media
from emopipe.media.video import SampledFrames, surveyed

Item = TypeVar("Item")

LONGEST_GAP_SECONDS = 3600.0
"""A file whose frames pause for longer ends there: its time stamps are most probably wrong."""


def read_parts(path: Path, options: DecodeOptions, seconds: float) -> Iterator[Media]:
    """Yield the frames and the sound of a file in parts: the first `seconds`, the next `seconds`, and so on.

    Use `emopipe.media.sandbox.PartReader` for files that you do not trust.

    Args:
        path: The file.
        options: How frames are sampled, over the whole file, and how much sound is read.
        seconds: The length of a part.

    Yields:
        Parts with the status `PART`, whose times count from the start of the file; and at last one without content that
        has the status and the reason of the whole file.

    Raises:
        MediaError: The system refuses to read the file.
        MemoryError: A part needs more memory than there is.
    """
    # Two descriptors, so that frames and sound are read side by side, whichever way the file interleaves them.
    with files.opened(path) as for_frames, files.opened(path) as for_sound:
        survey = surveyed(for_frames, options)
        frames, sound = SampledFrames(for_frames, options, survey), SoundBlocks(for_sound, options)
        upcoming, wave = Upcoming(iter(frames)), _Wave(sound, is_usable=survey.sound.is_usable)
        n_frames, end = 0, seconds
        while not (upcoming.is_over and wave.is_over):
            if wave.is_over and upcoming.next_time > end + LONGEST_GAP_SECONDS:
                upcoming.fault = status.reason("long_gap", begin=round(end), seconds=round(upcoming.next_time - end))
                break
            kept = upcoming.before(end)
            start, samples = wave.before(end)
            yield Media(status.PART, "", [jpeg for _, jpeg in kept], np.array([t for t, _ in kept]), samples, start)
            n_frames += len(kept)
            end += seconds
        has_frames = n_frames > 0 and (frames.is_usable or not upcoming.is_over)
        faults = status.join(frames.fault, upcoming.fault), sound_fault(survey, wave.why)
        yield Media(*verdict(has_frames, faults[0], wave.is_heard, faults[1]))


class Safe(Generic[Item]):
    """An iterator over a stream that may be broken: an error ends it and becomes a fault."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self.fault = ""

    def next(self) -> Item | None:
        """Return the next item; None if there are no more."""
        try:
            return next(self._items, None)
        except MemoryError:
            raise
        except Exception as error:
            if isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem:
                raise MemoryError from error
            self.fault = status.reason("broken_stream", error=files.describe(error))
            return None


class Upcoming:
    """Frames in the order of their times, of which the next one is known."""

    def __init__(self, frames: Iterator[tuple[float, bytes]]) -> None:
        self._frames = Safe(frames)
        self._next = self._frames.next()
        self.fault = self._frames.fault
        """The fault that ended the frames, or ""."""

    @property
    def is_over(self) -> bool:
        """Whether there are no more frames."""
        return self._next is None

    @property
    def next_time(self) -> float:
        """The time of the next frame, in seconds."""
        return self._next[0]

    def before(self, end: float) -> list[tuple[float, bytes]]:
        """Return the frames whose time is less than `end`."""
        found = []
        while self._next is not None and self._next[0] < end:
            found.append(self._next)
            self._next = self._frames.next()
            self.fault = self._frames.fault
        return found


class _Wave:
    """Sound, taken piece by piece; the next samples are known."""

    def __init__(self, sound: SoundBlocks, *, is_usable: bool) -> None:
        self._sound, self._is_usable, self._blocks = sound, is_usable, iter(sound if is_usable else ())
        self._left = np.empty(0, np.int16)
        self.taken, self.is_heard, self._has_ended = 0, False, False
        self._read(1)

    @property
    def is_over(self) -> bool:
        """Whether there are no more samples."""
        return self._has_ended and not len(self._left)

    @property
    def why(self) -> str:
        """The reason to give for the sound as a whole, at its end; "" if it was not to be read."""
        return self._sound.why(has_samples=self.taken > 0, is_heard=self.is_heard) if self._is_usable else ""

    def before(self, end: float) -> tuple[float, np.ndarray]:
        """Return the time of the first sample that was not taken yet, and the samples (n,) int16 until `end`."""
        begin = (self._sound.start or 0.0) + self.taken / AUDIO_RATE
        count = max(0, round((end - begin) * AUDIO_RATE))
        self._read(count + 1)
        samples, self._left = self._left[:count].copy(), self._left[count:].copy()
        self.taken += len(samples)
        self.is_heard |= bool(samples.any())
        return begin, samples

    def _read(self, count: int) -> None:
        """Read until so many samples are left to take, or the sound ends."""
        blocks, held = [self._left], len(self._left)
        while held < count and not self._has_ended:
            block = next(self._blocks, None)
            if block is None:
                self._has_ended = True
            else:
                blocks.append(block)
                held += len(block)
        self._left = np.concatenate(blocks)
