"""Decodes folders of frames as clips. Each image is decoded as a still image is, and only those that are sampled."""

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from emopipe.cache import status
from emopipe.core.errors import MediaError
from emopipe.media import files
from emopipe.media.clip import read_clip
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions, Media, Span
from emopipe.media.ends import end_of
from emopipe.media.frame_folders import DEFAULT_RATE, HIGHEST_RATE, FrameFolder, Frames, frames_of
from emopipe.media.pairs import joined
from emopipe.media.survey import USABLE_FROM
from emopipe.media.video import WHOLE_FROM, nearest, read_video, sample, surveyed

ALL_SOUND = 1e9
"""Seconds: no limit. Limits hold for what is kept of a folder, not for its whole sound."""


@dataclass
class _Sampled:
    """The sampled frames of a folder, decoded while they are iterated over, as `SampledFrames` of a video.

    Iterate once, over (seconds, JPEG); afterwards, `fault` and `is_usable` are known.
    """

    folder: Path
    frames: Frames
    times: np.ndarray
    """(frames,) the time of each frame in seconds."""
    options: DecodeOptions
    fault: str = ""
    is_usable: bool = False
    _error: str = field(default="", init=False)

    def __iter__(self) -> Iterator[tuple[float, bytes]]:
        targets, n_exact = sample(self.times, self.options), 0
        wanted = np.searchsorted(self.times, targets)
        for number in wanted.tolist():
            jpeg = self._jpeg(number)
            if not jpeg:
                break
            yield float(self.times[number]), jpeg
            n_exact += 1
        if n_exact == len(targets):
            self.is_usable = True
        else:  # a frame is damaged: all frames say how much of the clip there is, and give the same first frames
            yield from itertools.islice(nearest(self._readable(), targets), n_exact, None)
        self.fault = status.join(self._missing(), self.fault)

    def _readable(self) -> Iterator[tuple[float, bytes]]:
        """Yield all frames that decode, and measure how many these are."""
        count = 0
        for number, time in enumerate(self.times.tolist()):
            if jpeg := self._jpeg(number):
                count += 1
                yield time, jpeg
        share = count / len(self.times)
        self.is_usable = share >= USABLE_FROM
        lost = status.reason("lost_frames", percent=round(100 * share)) if share < WHOLE_FROM else ""
        none = "" if count else status.reason("no_frame_decodes", frames=len(self.times))
        self.fault = status.join(none or lost, self._error)

    def _missing(self) -> str:
        """Return a reason if many numbers are missing. The rest is used: a corpus may keep the frames with a face."""
        expected = round(self.frames.places[-1]) + 1
        missing = expected - len(self.frames.names)
        return (
            status.reason("missing_frames", missing=missing, expected=expected)
            if missing > (1 - WHOLE_FROM) * expected
            else ""
        )

    def _jpeg(self, number: int) -> bytes:
        """Return a frame as JPEG; nothing if it does not decode. An image that the system refuses to read is an error.

        Raises:
            MediaError: The system refuses to read the image.
        """
        path = self.folder / self.frames.names[number]
        options = self.options.model_copy(update={"policy": "count", "count": 1, "fps": None, "video_track": None})
        with files.opened(path) as file:
            if not os.fstat(file).st_size:
                fault, jpegs = status.reason("empty_file"), []
            else:
                jpegs, _, fault = read_video(file, options, surveyed(file, options))
            if fault or not jpegs:
                files.refuse_failing_disk(file, path)
        if not jpegs:
            error = "; ".join([path.name, status.text(fault)])
            self._error = self._error or status.reason("damaged_video", error=error)
        return jpegs[0] if jpegs else b""


def read_folder(
    path: Path, options: DecodeOptions, how: FrameFolder, spans: Sequence[Span | None] = (None,)
) -> Iterator[Media]:
    """Yield parts of a folder of frames as decoded clips; None: the whole folder.

    The numbers of the frames are their times: the first frame is at 0 s, as is the begin of the sound. Without a rate,
    the frames are as long as the sound.

    Raises:
        MediaError: The system refuses to read the folder, or a file.
        MemoryError: The clip needs more memory than there is.
    """
    frames = _listed(path)
    if frames is None:
        yield from [Media(status.UNDECODABLE, status.reason("not_frames"))] * len(spans)
        return
    times = np.array(frames.places) / _rate(frames, how)
    for span in spans:
        inside = Span() if span is None else span
        yield joined(_frames(path, frames, times, options, inside), _sound(how, options, span))


def read_folder_in_parts(path: Path, options: DecodeOptions, seconds: float, how: FrameFolder) -> Iterator[Media]:
    """Yield the frames and the sound of a folder in parts, as `emopipe.media.parts.read_parts` does.

    Raises:
        MediaError: The system refuses to read the folder, or a file.
    """
    for media in read_folder(path, options, how):
        end = max([0.0, *media.times[-1:].tolist(), media.audio_start + len(media.audio) / AUDIO_RATE])
        for number in range(int(end // seconds) + 1 if media.status != status.UNDECODABLE else 0):
            yield _between(media, number * seconds, (number + 1) * seconds)
        yield Media(media.status, media.reason)


def _between(media: Media, begin: float, end: float) -> Media:
    """Return what of a clip is between two times, which count from its start."""
    first, last = np.searchsorted(media.times, [begin, end]).tolist()
    edges = [max(0, round((time - media.audio_start) * AUDIO_RATE)) for time in (begin, end)]
    sound = media.audio[edges[0] : edges[1]]
    start = media.audio_start + edges[0] / AUDIO_RATE
    return Media(status.PART, "", media.jpegs[first:last], media.times[first:last], sound, start)


def _listed(path: Path) -> Frames | None:
    try:
        return frames_of(path)
    except OSError as error:
        raise MediaError(path, error.strerror or str(error)) from error


def _rate(frames: Frames, how: FrameFolder) -> float:
    """Return the frames a second: as given, or those that make the frames as long as the sound."""
    if how.rate:
        return how.rate
    if not how.sound:
        return DEFAULT_RATE
    with files.opened(Path(how.sound)) as file:
        seconds = end_of(file)
    count = frames.places[-1] + 1
    return count / seconds if seconds * HIGHEST_RATE > count else DEFAULT_RATE


def _frames(path: Path, frames: Frames, times: np.ndarray, options: DecodeOptions, span: Span) -> Media:
    """Return the frames of a part, without sound; times count from its start."""
    first, last = np.searchsorted(times, [span.start, span.end]).tolist()
    if first == last:
        return Media(status.UNDECODABLE, status.reason("no_frames_in_part"))
    inside = Frames(frames.names[first:last], frames.numbers[first:last])
    sampled = _Sampled(path, inside, times[first:last], options)
    kept = list(sampled)
    if not sampled.is_usable:
        return Media(status.UNDECODABLE, sampled.fault)
    found = np.array([time for time, _ in kept]) - span.start
    return Media(status.NO_AUDIO, sampled.fault, [jpeg for _, jpeg in kept], found)


def _sound(how: FrameFolder, options: DecodeOptions, span: Span | None) -> Media:
    """Return the sound of a folder, or that of a part of it."""
    if not how.sound:
        return Media(status.UNDECODABLE, status.reason("no_audio_stream"))
    if span is None:
        return read_clip(Path(how.sound), options)
    whole = read_clip(Path(how.sound), options.model_copy(update={"max_audio_seconds": ALL_SOUND}))
    part = _between(whole, span.start, min(span.end, span.start + options.max_audio_seconds, ALL_SOUND))
    why = whole.reason if len(part.audio) else status.join(whole.reason, status.reason("no_sound_in_part"))
    outcome = status.NO_VIDEO if len(part.audio) else status.UNDECODABLE
    return Media(outcome, why, [], np.empty(0), part.audio, max(0.0, part.audio_start - span.start))
