"""Parts of a file, each a clip of its own: read in one pass, with memory for those alone that are under way."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emopipe.cache import status
from emopipe.media import files
from emopipe.media.audio import SoundBlocks
from emopipe.media.clip import DAMAGED, verdict
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions, Media, Span
from emopipe.media.parts import Safe, Upcoming
from emopipe.media.video import SampledFrames, nearest, sample, surveyed

if TYPE_CHECKING:  # the process that decodes starts sooner without it
    import pandas as pd

EARLY_SECONDS = 0.0005
"""A frame so little before a boundary lies behind it: Matroska rounds times to milliseconds."""
TOLERANCE_SECONDS = 0.1
"""A part may end so much later than its file, or a frame's duration later."""
LEAST_SHARE = 0.5
"""A part of which less than this share can be decoded is undecodable."""
UNLIMITED_SECONDS = 1e9


def in_order(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return a clip table in the order of decoding: parts of one file follow one another, by their end.

    A table without parts stays as it is.
    """
    spans = spans_of(table)
    if not any(spans):
        return table
    first = {path: number for number, path in reversed([*enumerate(table["path"])])}
    keys = [
        (first[path] if span else number, span.end if span else 0.0, span.start if span else 0.0)
        for number, (path, span) in enumerate(zip(table["path"], spans, strict=True))
    ]
    return table.iloc[sorted(range(len(table)), key=lambda number: (keys[number], number))]


def spans_of(table: "pd.DataFrame") -> list[Span | None]:
    """Return the part of its file that each clip of a table is; None: the whole file."""
    if not {"start", "end"} <= set(table):
        return [None] * len(table)
    return [
        Span(float(start or 0), float(end or "inf")) if start or end else None
        for start, end in zip(table["start"], table["end"], strict=True)
    ]


def read_spans(path: Path, options: DecodeOptions, spans: Sequence[Span]) -> Iterator[Media]:
    """Yield parts of a file as `read_clip` would yield files that were cut there; times count from a part's start.

    Use `emopipe.media.sandbox.ClipReader` for files that you do not trust.

    Args:
        path: The file.
        options: How the frames of each part are sampled, and how much of its sound is kept.
        spans: The parts, in the order of their ends.

    Raises:
        MediaError: The system refuses to read the file.
        MemoryError: The parts that are under way at one time need more memory than there is.
    """
    is_checked = False
    # Two descriptors, so that frames and sound are read side by side, whichever way the file interleaves them.
    with files.opened(path) as for_frames, files.opened(path) as for_sound:
        if not os.fstat(for_frames).st_size:
            yield from [Media(status.UNDECODABLE, status.reason("empty_file"))] * len(spans)
            return
        clips = [_Clip(span) for span in spans]
        frames, sound = _Frames(for_frames, options, clips), _Sound(for_sound, options, clips)
        for clip in clips:
            frames.until(clip.span.end)
            sound.until(clip.span.end)
            media = _media(clip, frames, sound)
            is_bad = media.status == status.UNDECODABLE or DAMAGED & {*status.codes(media.reason)}
            if is_bad and not is_checked:
                with files.opened(path) as again:
                    files.refuse_failing_disk(again, path)
                is_checked = True
            clip.close()
            yield media


@dataclass
class _Clip:
    """What has been read of a part."""

    span: Span
    targets: np.ndarray = field(default_factory=lambda: np.empty(0))
    """(T,) the times of the frames to keep, in seconds since the start of the file."""
    frames: list[tuple[float, bytes]] = field(default_factory=list)
    blocks: list[np.ndarray] = field(default_factory=list)
    fault: str = ""
    """Faults of the sound while the part was under way."""
    is_over: bool = False

    def close(self) -> None:
        """Forget the frames and the sound."""
        self.frames, self.blocks, self.is_over = [], [], True


class _UnderWay:
    """The parts that have begun and are not over."""

    def __init__(self, clips: Sequence[_Clip]) -> None:
        self._coming = sorted(clips, key=lambda clip: -clip.span.start)
        self._clips: list[_Clip] = []

    def at(self, time: float) -> list[_Clip]:
        """Return the parts that are under way; `time` never decreases."""
        while self._coming and self._coming[-1].span.start <= time:
            self._clips.append(self._coming.pop())
        self._clips = [clip for clip in self._clips if not clip.is_over]
        return self._clips


class _Frames:
    """Hands the sampled frames of a file to the parts that they belong to."""

    def __init__(self, file: int, options: DecodeOptions, clips: Sequence[_Clip]) -> None:
        self._clips, self._under_way = clips, _UnderWay(clips)
        self.end = self.interval = 0.0
        """When the last frame ends, and how long a frame lasts, in seconds."""
        self._survey = surveyed(file, options)
        self._sampled = SampledFrames(file, options, self._survey, choose=self._choose)
        self._upcoming = Upcoming(iter(self._sampled))

    @property
    def fault(self) -> str:
        """A fault that ended the frames, or ""."""
        return status.join(self._sampled.fault, self._upcoming.fault) if self._upcoming.is_over else ""

    @property
    def which(self) -> str:
        """A reason that gives which of several tracks the frames are of, or ""."""
        return self._survey.which

    def until(self, end: float) -> None:
        """Read the frames before `end`."""
        for time, jpeg in self._upcoming.before(end - EARLY_SECONDS):
            for clip in self._under_way.at(time + EARLY_SECONDS):
                if time < clip.span.end - EARLY_SECONDS:
                    clip.frames.append((time, jpeg))

    def _choose(self, times: np.ndarray, options: DecodeOptions) -> np.ndarray:
        """Return the times of the frames that any part needs, chosen from the sorted times of all frames."""
        if not len(times):
            return times
        self.interval = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        self.end = float(times[-1]) + self.interval
        for clip in self._clips:
            edges = np.array([clip.span.start, clip.span.end]) - EARLY_SECONDS
            first, last = np.searchsorted(times, edges).tolist()
            if last > first:
                clip.targets = sample(times[first:last], options)
        return np.unique(np.concatenate([clip.targets for clip in self._clips]))


class _Sound:
    """Hands the sound of a file to the parts that it belongs to."""

    def __init__(self, file: int, options: DecodeOptions, clips: Sequence[_Clip]) -> None:
        self._most = int(options.max_audio_seconds * AUDIO_RATE)
        self._sound = SoundBlocks(file, options.model_copy(update={"max_audio_seconds": UNLIMITED_SECONDS}))
        self._blocks = Safe(iter(self._sound))
        self._under_way, self._known, self._is_over = _UnderWay(clips), "", False
        self.taken = 0
        """How many samples were read."""

    @property
    def begin(self) -> float:
        """The time of the first sample, in seconds."""
        return self._sound.start or 0.0

    @property
    def end(self) -> float:
        """The time until which the sound was read, in seconds; 0 if there is none."""
        return self.begin + self.taken / AUDIO_RATE if self.taken else 0.0

    @property
    def fault(self) -> str:
        """A fault that ended the sound, or ""."""
        return status.join(self._sound.fault, self._blocks.fault) if self._is_over else ""

    def until(self, end: float) -> None:
        """Read the sound until `end`."""
        while not self._is_over and (not self.taken or self.end < end):
            block = self._blocks.next()
            self._is_over = block is None
            first, self.taken = self.taken, self.taken + (0 if block is None else len(block))
            for clip in self._under_way.at(self.end):
                begin, last = self._samples(clip.span)
                if block is not None and begin < self.taken and first < (stop := min(last, begin + self._most)):
                    clip.blocks.append(block[max(0, begin - first) : stop - first])
                if self._sound.fault != self._known:
                    clip.fault = status.join(clip.fault, self._sound.fault)
            self._known = self._sound.fault

    def of(self, clip: _Clip) -> tuple[np.ndarray, float, str]:
        """Return the samples (n,) int16 of a part, the time of the first since the part's start, and a reason or ""."""
        samples = np.concatenate(clip.blocks) if clip.blocks else np.empty(0, np.int16)
        if not samples.any():
            why = status.reason("no_sound_in_part") if self.taken else status.reason("no_sound_decodes")
            why = status.reason("silent") if len(samples) else self.fault or why
            return np.empty(0, np.int16), 0.0, status.join(clip.fault, why)
        begin, last = self._samples(clip.span)
        is_limited = min(last, self.taken) - begin > self._most
        limit = status.reason("sound_limited", seconds=self._most / AUDIO_RATE) if is_limited else ""
        notes = self._sound.notes  # of the file so far, such as which of its tracks this is
        return samples, max(0.0, self.begin - clip.span.start), status.join(clip.fault, limit, notes)

    def _samples(self, span: Span) -> tuple[int, int]:
        """Return the first sample of a part, and that after its last one."""
        begin, end = ((time - self.begin) * AUDIO_RATE for time in (span.start, min(span.end, UNLIMITED_SECONDS)))
        return max(0, round(begin)), max(0, round(end))


def _media(clip: _Clip, frames: _Frames, sound: _Sound) -> Media:
    """Return a part as a decoded clip."""
    span, kept = clip.span, list(nearest(clip.frames, clip.targets))
    audio, audio_start, audio_fault = sound.of(clip)
    # 1. How much of the part there is.
    length = max(frames.end, sound.end)
    is_short = span.start >= length or length + max(TOLERANCE_SECONDS, frames.interval) < span.end < math.inf
    beyond, share = "", 1.0
    if is_short and length:
        until = f"{span.end:g} s" if math.isfinite(span.end) else "the end"
        beyond = status.reason("part_beyond_end", start=span.start, until=until, length=round(length, 2))
        share = max(0.0, (length - span.start) / (span.end - span.start)) if span.start < length else 0.0
    # 2. Its status. What is wrong with frames elsewhere in the file does not matter.
    video_fault = frames.which if kept else frames.fault or status.reason("no_frames_in_part")
    outcome, why = verdict(bool(kept), video_fault, len(audio) > 0, audio_fault)
    if outcome == status.UNDECODABLE or share < LEAST_SHARE:
        return Media(status.UNDECODABLE, status.join(beyond, why))
    jpegs, times = [jpeg for _, jpeg in kept], np.array([time for time, _ in kept])
    return Media(outcome, status.join(beyond, why), jpegs, np.maximum(times - span.start, 0.0), audio, audio_start)
