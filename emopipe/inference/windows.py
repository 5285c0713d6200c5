"""Windows over the time of a long file: each becomes a clip of its own, whose frames are searched for faces once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emopipe.cache.clip_rows import RowsInMemory
from emopipe.cache.status import NO_AUDIO, NO_VIDEO, OK
from emopipe.faces.detection import Detections
from emopipe.media import rows
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions, Media

WINDOWS_AT_ONCE = 64
"""How many windows go through the networks together at most."""
PART_SECONDS = 20.0
"""Seconds of a file that are decoded at a time."""
UNLIMITED_FRAMES, UNLIMITED_SECONDS = 2**31 - 1, 1e9
"""In place of the limits of a decode preset, which are for clips; only a part of a file is in memory at a time."""


@dataclass(frozen=True)
class Grid:
    """Windows of `length` seconds that begin every `step` seconds."""

    length: float
    step: float

    def window(self, number: int) -> tuple[float, float]:
        """Return begin and end of a window in seconds."""
        return number * self.step, number * self.step + self.length

    def options(self, given: DecodeOptions) -> DecodeOptions:
        """Return options that sample a whole file as densely as `given` samples a clip of the window's length."""
        limits = {"max_frames": UNLIMITED_FRAMES, "max_audio_seconds": UNLIMITED_SECONDS}
        if given.policy == "count":
            limits |= {"policy": "fps", "fps": given.count / self.length, "count": None}
        return given.model_copy(update=limits)


Windows = list[tuple[float, float]]


class Timeline:
    """The frames and the sound of a file that its unfinished windows need, for one decode preset."""

    def __init__(self) -> None:
        """Begin a file."""
        self._times: list[float] = []
        self._jpegs: list[np.ndarray] = []
        self._found: dict[str, list[Detections]] = {}
        self._audio, self._audio_start = np.empty(0, np.int16), 0.0
        self.end = 0.0
        """The time at which the last frame or sample ends, in seconds."""
        self.heard = 0.0
        """Seconds of sound that have been added."""

    def add(self, part: Media, detect: Mapping[str, Callable[[Sequence[np.ndarray]], Iterable[Detections]]]) -> None:
        """Append a part, and search its frames for faces by the detector of each preset."""
        jpegs = [np.frombuffer(jpeg, np.uint8) for jpeg in part.jpegs]
        self._times += part.times.tolist()
        self._jpegs += jpegs
        for preset, find in detect.items():
            self._found.setdefault(preset, []).extend(find(jpegs))
        if len(jpegs):
            spacing = float(np.median(np.diff(self._times))) if len(self._times) > 1 else 0.0
            self.end = max(self.end, self._times[-1] + spacing)
        if len(part.audio):
            if not len(self._audio):
                self._audio_start = part.audio_start
            self._audio = np.concatenate([self._audio, part.audio])
            self.heard += len(part.audio) / AUDIO_RATE
            self.end = max(self.end, self._audio_start + len(self._audio) / AUDIO_RATE)

    def drop(self, before: float) -> None:
        """Forget what ended before a time."""
        gone = int(np.searchsorted(self._times, before))
        del self._times[:gone], self._jpegs[:gone]
        for found in self._found.values():
            del found[:gone]
        samples = min(len(self._audio), max(0, int((before - self._audio_start) * AUDIO_RATE)))
        self._audio, self._audio_start = self._audio[samples:], self._audio_start + samples / AUDIO_RATE

    def media(self, windows: Windows) -> RowsInMemory:
        """Return windows as decoded clips."""
        return RowsInMemory([self._row(str(n), *window) for n, window in enumerate(windows)], rows.FIELDS)

    def _row(self, clip: str, begin: float, end: float) -> rows.Row:
        frames = self._frames(begin, end)
        first, last = (max(0, round((time - self._audio_start) * AUDIO_RATE)) for time in (begin, end))
        audio = self._audio[first:last]
        audio = audio if audio.any() else audio[:0]
        status = OK if len(audio) else NO_AUDIO
        status = status if len(frames) else NO_VIDEO
        start = max(begin, self._audio_start) - begin  # a window is a clip of its own, whose times start at 0
        jpegs = [self._jpegs[n].tobytes() for n in frames]
        times = np.array([self._times[n] for n in frames]) - begin
        return rows.row(clip, "", Media(status, "", jpegs, times, audio, start))

    def times(self, window: tuple[float, float]) -> list[float]:
        """Return the times of a window's frames, in seconds since the start of the file."""
        return [self._times[n] for n in self._frames(*window)]

    def found(self, preset: str, window: tuple[float, float]) -> list[Detections]:
        """Return the faces of a window's frames."""
        return [self._found[preset][n] for n in self._frames(*window)]

    def _frames(self, begin: float, end: float) -> range:
        return range(*np.searchsorted(self._times, [begin, end]).tolist())


def ready(grid: Grid, first: int, end: float, *, is_last: bool) -> Windows:
    """Return the windows from number `first` on that end by the time `end`.

    Args:
        grid: The windows.
        first: The first window that has not been taken yet.
        end: The time up to which the file has been read.
        is_last: Whether the file ends there. The rest, if it is longer than half a step, is then a shorter window.
    """
    found, number = [], first
    while grid.window(number)[1] <= end + 1e-6:
        found.append(grid.window(number))
        number += 1
    covered = grid.window(number - 1)[1] if number else 0.0
    if is_last and end > covered and (number == 0 or end - covered > grid.step / 2):
        found.append((grid.window(number)[0], end))
    return found
