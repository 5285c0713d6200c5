"""Samples video frames from any container and codec that ffmpeg reads, by PyAV.

Frames are streamed: for a clip of any length, one decoded frame is in memory at a time, and sampled ones as JPEG.
"""

import itertools
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import av
import numpy as np
from av.container import InputContainer

from emopipe.cache.status import join, reason
from emopipe.media import files, structure
from emopipe.media.decoded import DecodeOptions
from emopipe.media.shown import Display, Displays, to_jpeg
from emopipe.media.sparse import DECODE, skips
from emopipe.media.survey import USABLE_FROM, Survey, frame_rate, survey
from emopipe.media.tracks import choose_video

Picture = TypeVar("Picture")

WHOLE_FROM = 0.95
"""It is reported if less than this share of a stream decodes."""

Shown = tuple[av.VideoFrame, Display]


@dataclass
class SampledFrames:
    """The sampled frames of a file, decoded while they are iterated over: one decoded frame is in memory at a time.

    Iterate once, over (seconds, JPEG); afterwards, `fault` and `is_usable` are known. Nothing is yielded if the file
    has no usable video stream.
    """

    file: int
    """An open file."""
    options: DecodeOptions
    survey: Survey
    """What the file's packets say: see `surveyed`."""
    fault: str = ""
    """A reason, or ""."""
    is_usable: bool = False
    """Whether enough of the stream decodes. If not, the frames that were yielded should not be used."""
    choose: Callable[[np.ndarray, DecodeOptions], np.ndarray] | None = None
    """Chooses the times of the frames to keep, in order, in place of `sample`. What follows the last is not decoded, so
    that nothing is known of it."""

    def __iter__(self) -> Iterator[tuple[float, bytes]]:
        self.fault = self.survey.fault or self._too_little()
        if self.fault:
            return
        targets = (self.choose or sample)(self.survey.decodable, self.options)
        n_exact = 0
        if (plan := self._skips(targets)) is not None:
            for kept in self._exact(targets, plan):
                yield kept
                n_exact += 1
        if not self.is_usable:  # anything unexpected: the whole stream says what it is, and gives the same first frames
            yield from itertools.islice(self._all(targets), n_exact, None)

    def _skips(self, targets: np.ndarray) -> list[str] | None:
        """Return what the decoder may skip of each packet; None if all has to be decoded."""
        survey = self.survey
        return None if survey.lead else skips(survey.in_order, survey.starts, targets)

    def _exact(self, targets: np.ndarray, plan: list[str]) -> Iterator[tuple[float, bytes]]:
        """Decode what the frames at the targets need, and yield these.

        This ends early, and `is_usable` stays false, if anything is not as it should be.
        """
        coming = targets.tolist()[::-1]
        with files.container(self.file) as container:
            frames = _Frames(self.file, container, container.streams[self.survey.stream], self.survey, plan)
            if frames.has_doubtful_times:
                return
            try:
                for time, (frame, display) in frames:
                    if frames.is_in_doubt or frame.is_corrupt or (coming and time > coming[-1]):
                        return
                    if coming and time == coming[-1]:
                        if not (jpeg := self._to_jpeg(frames, frame, display)):
                            return
                        yield coming.pop(), jpeg
                    if self.choose and not coming:
                        break
            except MemoryError:
                raise
            except Exception:  # decoding the whole stream will say why
                return
        if not (coming or frames.is_in_doubt):
            self.is_usable, self.fault = True, join("" if self.choose else self.survey.video.note, self.survey.which)

    def _all(self, targets: np.ndarray) -> Iterator[tuple[float, bytes]]:
        """Yield the frames nearest to the targets, and measure how much of the stream decodes."""
        with files.container(self.file) as container:
            stream = container.streams[self.survey.stream]
            has_size = stream.width * stream.height > 0
            frames = _Frames(self.file, container, stream, self.survey)
            try:
                for time, frame in nearest(_until(frames, targets) if self.choose else frames, targets):
                    if jpeg := self._to_jpeg(frames, *frame):
                        yield time, jpeg
            finally:  # what was decoded before an error counts
                self._measure(frames, has_size=has_size)

    def _to_jpeg(self, frames: "_Frames", frame: av.VideoFrame, display: Display) -> bytes:
        """Return a frame as JPEG; nothing if it cannot be converted, as with a format that comes in the middle."""
        try:
            return to_jpeg(frame, display, self.options)
        except MemoryError:
            raise
        except Exception as error:
            frames.fault = frames.fault or reason("damaged_video", error=files.describe(error))
            return b""

    def _too_little(self) -> str:
        """Return the reason why decoding is not possible or not worth while; "" if it is."""
        if self.survey.stream is None:
            return self.survey.which
        if not self.survey.video.is_usable and not self.choose:
            return join(self.survey.video.note, self.survey.which)
        return "" if len(self.survey.times) else join(reason("no_video_packets"), self.survey.which)

    def _measure(self, frames: "_Frames", *, has_size: bool) -> None:
        """Compare what was decoded with what the packets promise."""
        if not len(frames.times):
            too_large = reason("no_frame_size", megapixels=files.MOST_PIXELS // 10**6)
            why = (frames.fault, frames.error) if has_size else (too_large,)
            self.fault = join(reason("no_frame_decodes", frames=len(self.survey.times)), *why, self.survey.which)
            return
        if self.choose:
            self.is_usable, self.fault = True, join(frames.fault, self.survey.which)
            return
        share, lost = _decoded(frames, self.survey.decodable)
        self.is_usable = self.survey.video.share * share >= USABLE_FROM
        notes = [self.survey.video.note, frames.fault, frames.error if lost else ""]
        lost_start = min(frames.times) - self.survey.times[0]
        if self.survey.lead and lost_start > 0:
            notes.append(reason("lost_start", seconds=round(lost_start, 2)))
        if share < WHOLE_FROM:
            notes.append(reason("lost_frames", percent=round(100 * share)))
        self.fault = join(*notes, self.survey.which)


def surveyed(file: int, options: DecodeOptions) -> Survey:
    """Return what the packets of an open file say; `options` may choose among its tracks."""
    return survey(file, lambda container: choose_video(container, file, options))


def read_video(file: int, options: DecodeOptions, survey: Survey) -> tuple[list[bytes], np.ndarray, str]:
    """Return the sampled frames of an open file as JPEG, their times (T,) in seconds, and a reason or ""."""
    frames = SampledFrames(file, options, survey)
    kept, broken = [], ""
    try:
        for time, jpeg in frames:
            kept.append((time, jpeg))
    except MemoryError:
        raise
    except Exception as error:  # what was read before stays
        broken = reason("broken_stream", error=files.describe(error))
    fault = join(frames.fault, broken)
    if not frames.is_usable:
        return [], np.empty(0), fault
    return [jpeg for _, jpeg in kept], np.array([time for time, _ in kept]), fault


def sample(times: np.ndarray, options: DecodeOptions) -> np.ndarray:
    """Return the times (T,) that the policy asks for, chosen from the sorted times of the frames (frames,)."""
    if options.policy == "all":
        wanted = len(times)
    elif options.policy == "count":
        wanted = min(options.count, len(times))
    else:
        interval = np.median(np.diff(times)) if len(times) > 1 else 0.0
        wanted = min(len(times), max(1, round((times[-1] - times[0] + interval) * options.fps)))
    wanted = min(wanted, options.max_frames)
    if wanted == len(times):
        return times
    parts = (np.arange(wanted) + 0.5) / wanted
    return times[np.minimum((parts * len(times)).astype(int), len(times) - 1)]


class _Frames:
    """Iterates over (seconds, (frame, display)) of a video stream; keeps all times and the first fault.

    Before the first keyframe, some decoders give nothing, others grey pictures with the changes since a frame that is
    not there. Such pictures are not frames, and errors there are not damage.
    """

    def __init__(
        self,
        file: int,
        container: InputContainer,
        stream: av.VideoStream,
        survey: Survey,
        plan: Sequence[str] = (),
    ) -> None:
        """Prepare to decode; `plan` says what may be skipped of each packet, see `sparse.skips`."""
        stream.thread_type = "NONE"  # jobs run side by side already, and one thread decodes reproducibly
        stream.codec_context.options.update(max_pixels=str(files.MOST_PIXELS))  # frames may grow in the middle
        if plan:  # what is guessed in place of damaged pixels depends on frames that are skipped
            stream.codec_context.options.update(err_detect="explode")
        stream.codec_context.copy_opaque = True
        self._container, self._stream, self._survey, self._plan = container, stream, survey, plan
        self._displays = Displays(stream, lambda: structure.states_aspect(file, container.format.name))
        self._has_begun = survey.lead == 0
        self.fault = ""
        """The first error of the demuxer, or of a conversion; a reason."""
        self.error = ""
        """The first error of a packet, a reason. It is none of the stream if no frame is lost, as with layers."""
        self.times = array("d")
        """The time of each frame in seconds, in the order in which they are decoded."""
        self.after_errors: list[int] = []
        """Numbers of the frames before which packets could not be decoded."""

    @property
    def has_doubtful_times(self) -> bool:
        """Whether the decoder gives frames in another order than that of the file, but times are as if it did not."""
        return self._stream.codec_context.has_b_frames and bool((np.diff(self._survey.in_order) > 0).all())

    @property
    def is_in_doubt(self) -> bool:
        """Whether there was a fault so far, or the last frame is not later than the one before it."""
        return bool(self.error or self.fault) or (len(self.times) > 1 and self.times[-1] <= self.times[-2])

    def __iter__(self) -> Iterator[tuple[float, Shown]]:
        rate = frame_rate(self._stream)
        for frame in self._decode():
            packet = None if frame.opaque is None else frame.opaque[0]
            self._has_begun = self._has_begun or frame.key_frame or packet is None or packet >= self._survey.lead
            if self._has_begun:
                time = frame.time
                time = (self._survey.lead + len(self.times)) / rate if time is None else time - self._survey.origin
                self.times.append(time)
                yield time, (frame, self._displays.of(frame, packet))

    def _decode(self) -> Iterator[av.VideoFrame]:
        packets = self._container.demux(self._stream)
        for number in itertools.count():
            try:
                packet = next(packets)
            except (StopIteration, av.EOFError):
                return
            except MemoryError:
                raise
            except av.FFmpegError as error:
                self.fault = self.fault or reason("damaged_video", error=files.describe(error))
                return
            packet.opaque = (number,)
            if self._plan:
                self._stream.codec_context.skip_frame = self._plan[number] if number < len(self._plan) else DECODE
            try:
                frames = packet.decode()
            except av.EOFError:
                return
            except MemoryError:
                raise
            except av.FFmpegError as error:
                self._note(number, reason("damaged_video", error=files.describe(error)))
                continue
            self._displays.note(number)
            yield from frames

    def _note(self, packet: int, error: str) -> None:
        if packet >= self._survey.lead:
            self.error = self.error or error
            self.after_errors.append(len(self.times))


def _decoded(frames: _Frames, packets: np.ndarray) -> tuple[float, bool]:
    """Measure how much of a stream was decoded, by the times of frames and packets: their numbers may differ.

    What is missing before the first keyframe does not count: a stream that begins between two was not cut off there.

    Args:
        frames: Those that were decoded, at least one.
        packets: (packets,) sorted times of the packets, from the first keyframe on.

    Returns:
        The share of the stream's length, and whether any frame is missing.
    """
    times = np.array(frames.times)
    step = _typical_step(np.sort(times) if len(times) > 1 else packets)
    length = packets[-1] - packets[0] + _typical_step(packets)
    before = np.array(sorted({n for n in frames.after_errors if 0 < n < len(times)}), int)
    gaps = np.maximum(times[before] - times[before - 1] - step, 0).sum()
    decoded = times.max() - times.min() + step - gaps
    by_time = decoded / length if length > 0 else 1.0
    by_count = len(times) / len(packets)
    return float(min(1.0, max(by_count, by_time))), by_count < 1 and length - decoded > step / 2


def _typical_step(times: np.ndarray) -> float:
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def _until(frames: _Frames, targets: np.ndarray) -> Iterator[tuple[float, Shown]]:
    """Yield the frames up to the first one that is not before the last target."""
    last = targets[-1] if len(targets) else -np.inf
    for time, frame in frames:
        yield time, frame
        if time >= last:
            return


def nearest(frames: Iterable[tuple[float, Picture]], targets: np.ndarray) -> Iterator[tuple[float, Picture]]:
    """Yield the frame nearest to each target time, each frame at most once."""
    waiting = list(targets[::-1])
    previous: tuple[float, Picture] | None = None
    previous_kept = False
    for time, frame in frames:
        keep_this = False
        while waiting and time >= waiting[-1]:
            target = waiting.pop()
            if previous is not None and target - previous[0] < time - target:
                if not previous_kept:
                    yield previous
                previous_kept = True
            else:
                keep_this = True
        if keep_this:
            yield time, frame
        previous, previous_kept = (time, frame), keep_this
    if waiting and previous is not None and not previous_kept:
        yield previous
