"""Samples video frames from any container and codec that ffmpeg reads, by PyAV.

Frames are streamed: for a clip of any length, one decoded frame is in memory at a time, and sampled ones as JPEG.
"""

import os
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import av
import cv2
import numpy as np
from av.container import InputContainer

from emopipe.cache.status import codes, join, reason
from emopipe.media import files
from emopipe.media.decoded import DecodeOptions, encode_jpeg
from emopipe.media.tracks import choose_video

Picture = TypeVar("Picture")

TRUNCATED_BELOW = 0.75
"""A video is truncated if it has less than this share of the frames, or of the time, that its header states."""
TELL_THEIR_LENGTH = (b"FLV", b"\x1aE\xdf\xa3")
"""First bytes of FLV and Matroska files: their headers state the duration, not the number of frames."""


@dataclass
class SampledFrames:
    """The sampled frames of a file, decoded while they are iterated over: one decoded frame is in memory at a time.

    Iterate once, over (seconds, JPEG); afterwards, `fault` is known. Nothing is yielded if the file
    has no usable video stream.
    """

    file: int
    """An open file."""
    options: DecodeOptions
    fault: str = ""
    """A reason, or ""."""
    which: str = ""
    """A reason that tells which of several tracks the frames are of, or ""; known with the first frame."""
    choose: Callable[[np.ndarray, DecodeOptions], np.ndarray] | None = None
    """Chooses the times of the frames to keep, in order, in place of `sample`. What follows the last is not decoded."""

    def __iter__(self) -> Iterator[tuple[float, bytes]]:
        plan = _plan(self.file, self.options, self.choose or sample)
        if isinstance(plan, str):
            self.fault = plan
            return
        self.which = plan.which
        with files.container(self.file) as container:
            frames = _Frames(container, container.streams[plan.stream], plan.origin)
            for time, frame in nearest(_until(frames, plan.targets) if self.choose else frames, plan.targets):
                yield time, _to_jpeg(frame, plan.aspect, self.options)
        self.fault = frames.fault
        if not frames.count:
            why = frames.fault if plan.has_size else reason("no_frame_size", megapixels=files.MOST_PIXELS // 10**6)
            self.fault = join(reason("no_frame_decodes", frames=plan.frames), why)
        elif not self.choose and frames.count < TRUNCATED_BELOW * plan.frames:
            self.fault = reason("truncated_frames", decoded=frames.count, frames=plan.frames)
        self.fault = join(self.fault, plan.which)


@dataclass(frozen=True)
class _Plan:
    """What the header and the packets of a video stream say, before a frame is decoded."""

    targets: np.ndarray
    """(T,) the times of the frames to keep, in seconds since `origin`."""
    frames: int
    """How many frames the stream has."""
    origin: float
    aspect: float
    """The width of a stored pixel over its height."""
    has_size: bool
    stream: int
    """The index of the stream."""
    which: str
    """A reason that tells which of several tracks it is, or ""."""


def _plan(file: int, options: DecodeOptions, choose: Callable[[np.ndarray, DecodeOptions], np.ndarray]) -> _Plan | str:
    """Return which frames to keep; or the reason why the video stream cannot be used."""
    if fault := _cut_short(file):
        return fault
    with files.container(file) as container:
        stream, which = choose_video(container, file, options)
        if stream is None:
            return which
        origin, announced, aspect = files.start(container), stream.frames, float(stream.sample_aspect_ratio or 1)
        has_size, index = stream.width * stream.height > 0, stream.index
        span, packets = _packet_times(container, stream)
    if _are_few(packets, announced):
        packets = _unedited_packets(file, index)
    if _are_few(packets, announced):
        return reason("truncated_packets", packets=packets, announced=announced)
    if not len(span):
        return reason("no_video_packets")
    return _Plan(choose(span - origin, options), len(span), origin, aspect, has_size, index, which)


def read_video(file: int, options: DecodeOptions) -> tuple[list[bytes], np.ndarray, str]:
    """Return the sampled frames of an open file as JPEG, their times (T,) in seconds, and a reason or ""."""
    frames = SampledFrames(file, options)
    kept = list(frames)
    if "truncated_frames" in codes(frames.fault):  # so few decoded that they are dropped, too
        return [], np.empty(0), frames.fault
    return [jpeg for _, jpeg in kept], np.array([time for time, _ in kept]), frames.fault


def _cut_short(file: int) -> str:
    """Return the reason if a file ends before the duration that its header states; else ""."""
    if not os.pread(file, 4, 0).startswith(TELL_THEIR_LENGTH):
        return ""
    with files.container(file) as container:
        length, end = (container.duration or 0) / av.time_base, 0.0
        with files.until_damage():
            for packet in container.demux():
                stamp = _stamp(packet)
                if stamp is not None:
                    end = max(end, float((stamp + (packet.duration or 0)) * packet.time_base) - files.start(container))
    is_short = end < TRUNCATED_BELOW * length
    return reason("truncated_time", end=round(end, 1), length=round(length, 1)) if is_short else ""


def _packet_times(container: InputContainer, stream: av.VideoStream) -> tuple[np.ndarray, int]:
    """Return the sorted presentation times (frames,) of the stream's packets in seconds, and the number of packets.

    Nothing is decoded. Empty packets, by which AVI repeats a frame, have no time of their own but are counted. A
    demuxing error ends the list: what comes before it may still decode.
    """
    times, packets = array("d"), 0
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    with files.until_damage():
        for packet in container.demux(stream):
            packets += packet.size > 0 or packet.dts is not None  # the demuxer's last packet is neither
            if packet.size and not packet.is_discard:  # packets hidden by an edit list are decoded, but not shown
                stamp = _stamp(packet)
                times.append(len(times) / rate if stamp is None else float(stamp * packet.time_base))
    return np.sort(np.array(times)), packets


def _are_few(packets: int, announced: int) -> bool:
    return packets + 1 < TRUNCATED_BELOW * announced  # ffmpeg's own AVIs announce one frame too many


def _unedited_packets(file: int, stream: int) -> int:
    """Return the number of packets of a stream when the edit list, which trims MP4 files, is ignored."""
    with files.container(file, ignore_editlist="1") as container:
        return _packet_times(container, container.streams[stream])[1]


def _stamp(packet: av.Packet) -> int | None:
    return packet.pts if packet.pts is not None else packet.dts


def sample(times: np.ndarray, options: DecodeOptions) -> np.ndarray:
    """Return the times (T,) that the policy asks for, chosen from the times of the frames (frames,)."""
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
    """Iterates over (seconds, frame) of a video stream; counts the frames and keeps the first fault."""

    def __init__(self, container: InputContainer, stream: av.VideoStream, origin: float) -> None:
        stream.thread_type = "NONE"  # jobs run side by side already, and one thread decodes reproducibly
        stream.codec_context.options.update(max_pixels=str(files.MOST_PIXELS))  # frames may grow in the middle
        self._container, self._stream, self._origin = container, stream, origin
        self.count, self.fault = 0, ""

    def __iter__(self) -> Iterator[tuple[float, av.VideoFrame]]:
        rate = float(self._stream.average_rate or self._stream.guessed_rate or 25)
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
                frames = packet.decode()
            except (StopIteration, av.EOFError):
                return
            except MemoryError:
                raise
            except av.FFmpegError as error:  # of one packet; after an error of the demuxer there are no more
                self.fault = self.fault or reason("damaged_video", error=files.describe(error))
                continue
            for frame in frames:
                time = self.count / rate if frame.time is None else frame.time - self._origin
                self.count += 1
                yield time, frame


def _until(frames: _Frames, targets: np.ndarray) -> Iterator[tuple[float, av.VideoFrame]]:
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


def _to_jpeg(frame: av.VideoFrame, aspect: float, options: DecodeOptions) -> bytes:
    """Return a frame as JPEG, upright, with square pixels; `aspect` is the width of a stored pixel over its height."""
    width = frame.width * aspect
    scale = min(1.0, options.max_side / max(width, frame.height))
    size = max(1, round(width * scale)), max(1, round(frame.height * scale))
    image = frame.to_ndarray(format="bgr24")
    if size != (frame.width, frame.height):
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    turns = round(frame.rotation / 90) % 4
    return encode_jpeg(np.rot90(image, turns) if turns else image, options.jpeg_quality)
