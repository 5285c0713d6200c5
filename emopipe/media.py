"""Sampled video frames and 16 kHz mono audio out of any container and codec that ffmpeg reads (through PyAV).

Frames are streamed: whatever the clip's length, one decoded frame is held at a time, and the kept ones as JPEG.
Times are seconds since the container's start, for both streams, so that sound and picture share one clock.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self, TypeVar

import av
import cv2
import numpy as np
from av.container import InputContainer
from pydantic import Field, model_validator

from emopipe.errors import MediaError
from emopipe.options import Number, Options

AUDIO_RATE = 16_000
"""Hz; the rate of the companions' spectrograms (`paper.md`)."""
TRUNCATED_BELOW = 0.75
"""A video that delivers less than this share of the frames that its header counts was cut off."""

logging.getLogger("libav").setLevel(logging.CRITICAL)  # a damaged clip speaks through its status, not the terminal


class DecodeOptions(Options):
    """How a clip's frames are sampled and kept."""

    policy: Literal["all", "count", "fps"]
    """`all` frames, `count` frames a clip at the middles of equal parts, or `fps` frames a second."""
    count: int | None = Field(default=None, ge=1)
    """Frames a clip, for `policy: count`; a clip with fewer gives all it has."""
    fps: Number | None = Field(default=None, gt=0)
    """Frames a second, for `policy: fps`; never more than the clip has."""
    max_frames: int = Field(default=2000, ge=1)
    """No clip gives more frames than this: longer ones are sampled evenly."""
    max_side: int = Field(default=1280, ge=16)
    """Frames are scaled down so that their longer side is at most this many pixels."""
    jpeg_quality: int = Field(default=92, ge=1, le=100)
    """Quality at which sampled frames are kept."""
    max_audio_seconds: Number = Field(default=600.0, gt=0)
    """Sound beyond this is left out (and said in the clip's reason)."""

    @model_validator(mode="after")
    def _one_policy(self) -> Self:
        """The policy's own key is set, the other's is not: it would be read by nothing."""
        for key in ("count", "fps"):
            given = getattr(self, key) is not None
            if given and self.policy != key:
                raise ValueError(f"{key} has no effect with policy: {self.policy}; remove it or change the policy")
            if not given and self.policy == key:
                raise ValueError(f"policy: {key} needs the key {key}; set it")
        return self


@dataclass(frozen=True)
class Media:
    """One decoded clip. `status` is ok, no_audio, no_video or undecodable, `reason` says why."""

    status: str
    reason: str = ""
    jpegs: list[bytes] = field(default_factory=list)
    """T sampled frames, upright, square pixels."""
    times: np.ndarray = field(default_factory=lambda: np.empty(0))
    """(T,) seconds."""
    audio: np.ndarray = field(default_factory=lambda: np.empty(0, np.int16))
    """(samples,) 16-bit mono at AUDIO_RATE."""
    audio_start: float = 0.0
    """Seconds at which the first sample sounds."""


def read_clip(path: Path, options: DecodeOptions) -> Media:
    """Decode one clip. What is wrong with its content is its status.

    Raises:
        MediaError: The file itself cannot be read (it vanished, its disk is away, permission is denied): that may
            pass, so it is no property of the clip and nothing to cache.
    """
    try:
        with path.open("rb") as file:
            if not file.read(1):
                return Media("undecodable", "the file is empty (0 bytes)")
    except OSError as error:
        raise MediaError(f"The clip {path} cannot be read ({error.strerror}): put it back, then run again.") from error
    jpegs, times, video_fault = _attempt(_read_video, path, options, ([], np.empty(0)))
    audio, audio_start, audio_fault = _attempt(_read_audio, path, options, (np.empty(0, np.int16), 0.0))
    if video_fault.startswith("truncated"):
        return Media("undecodable", video_fault)
    if not jpegs and not len(audio):
        return Media("undecodable", f"neither frames nor sound: {video_fault}; {audio_fault}")
    if not jpegs:
        return Media("no_video", video_fault, audio=audio, audio_start=audio_start)
    if not len(audio):
        return Media("no_audio", audio_fault, jpegs, times)
    return Media("ok", "; ".join(filter(None, (video_fault, audio_fault))), jpegs, times, audio, audio_start)


def decode_jpegs(jpegs: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
    """Images (H, W, 3) uint8 BGR out of their bytes end to end (sum of sizes,) and their sizes (T,)."""
    return [decode_jpeg(jpeg) for jpeg in np.split(jpegs, np.cumsum(sizes)[:-1])] if len(sizes) else []


def decode_jpeg(jpeg: np.ndarray) -> np.ndarray:
    """An image (H, W, 3) uint8 BGR out of its bytes (n,) uint8."""
    return cv2.imdecode(jpeg, cv2.IMREAD_COLOR)


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """An image (H, W, 3) uint8 BGR as JPEG."""
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


Read = TypeVar("Read", bound=tuple)


def _attempt(read: Callable[[Path, DecodeOptions], Read], path: Path, options: DecodeOptions, nothing: tuple) -> Read:
    """Read a stream; a file can be broken in ways that no list of exceptions covers, and one stream may be whole."""
    try:
        return read(path, options)
    except MemoryError:
        raise
    except Exception as error:
        return (*nothing, _sentence(error))  # type: ignore[return-value]


def _sentence(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return f"{type(error).__name__}: {text}"


def _open(path: Path) -> InputContainer:
    # The file: prefix keeps ffmpeg from reading a name such as "concat:x" or "http:y" as a protocol.
    return av.open(f"file:{path}", metadata_errors="replace")


def _video_stream(container: InputContainer) -> av.VideoStream | None:
    """The first real video stream; cover art of an audio file is none."""
    pictures = av.stream.Disposition.attached_pic
    return next((s for s in container.streams.video if not s.disposition & pictures), None)


def _start(container: InputContainer) -> float:
    return (container.start_time or 0) / av.time_base


def _read_video(path: Path, options: DecodeOptions) -> tuple[list[bytes], np.ndarray, str]:
    """The sampled frames, their times and what was wrong."""
    with _open(path) as container:
        stream = _video_stream(container)
        if stream is None:
            return [], np.empty(0), "there is no video stream"
        origin, announced, aspect = _start(container), stream.frames, float(stream.sample_aspect_ratio or 1)
        span, packets = _packet_times(container, stream)
    if not len(span):
        return [], np.empty(0), "the video stream has no packets"
    targets = _sample(span - origin, options)
    with _open(path) as container:
        frames = _Frames(container, _video_stream(container), origin)
        kept = [(time, _to_jpeg(frame, aspect, options)) for time, frame in _nearest(frames, targets)]
    if frames.count < TRUNCATED_BELOW * len(span):
        return [], np.empty(0), f"truncated: {frames.count} of {len(span)} frames decode"
    if packets < TRUNCATED_BELOW * announced:
        return [], np.empty(0), f"truncated: {packets} of the {announced} frames that the header counts are there"
    return [jpeg for _, jpeg in kept], np.array([time for time, _ in kept]), frames.fault


def _packet_times(container: InputContainer, stream: av.VideoStream) -> tuple[np.ndarray, int]:
    """Presentation times (frames,) of the stream's packets, sorted, in seconds, and how many packets; no decoding.

    Empty packets, by which AVI repeats a frame, have no time of their own and count as packets. A demuxing error ends
    the list: what came before it may still decode.
    """
    times: list[float] = []
    packets = 0
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    try:
        for packet in container.demux(stream):
            packets += packet.size > 0 or packet.dts is not None  # the demuxer's last packet is neither
            if packet.size:
                stamp = packet.pts if packet.pts is not None else packet.dts
                times.append(len(times) / rate if stamp is None else float(stamp * packet.time_base))
    except av.FFmpegError:
        pass
    return np.sort(np.array(times)), packets


def _sample(times: np.ndarray, options: DecodeOptions) -> np.ndarray:
    """Times (T,) that the policy asks for, out of those that the frames have (frames,)."""
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
    """Iterates (seconds, frame) over a video stream, remembering how many came and how it ended."""

    def __init__(self, container: InputContainer, stream: av.VideoStream, origin: float) -> None:
        stream.thread_type = "NONE"  # jobs run side by side already, and one thread decodes reproducibly
        self._container, self._stream, self._origin = container, stream, origin
        self.count, self.fault = 0, ""

    def __iter__(self) -> Iterator[tuple[float, av.VideoFrame]]:
        rate = float(self._stream.average_rate or self._stream.guessed_rate or 25)
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
                frames = packet.decode()
            except StopIteration:
                return
            except av.EOFError:
                return
            except av.FFmpegError as error:
                if self.fault:  # a second error: the demuxer may never come to an end by itself
                    return
                self.fault = f"damaged video: {_sentence(error)}"
                continue
            for frame in frames:
                time = self.count / rate if frame.time is None else frame.time - self._origin
                self.count += 1
                yield time, frame


def _nearest(frames: _Frames, targets: np.ndarray) -> Iterator[tuple[float, av.VideoFrame]]:
    """For each target time the frame nearest to it, each frame at most once."""
    waiting = list(targets[::-1])
    previous: tuple[float, av.VideoFrame] | None = None
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
    """Upright, with square pixels (`aspect`: a stored pixel's width over its height), no larger than asked for."""
    width = frame.width * aspect
    scale = min(1.0, options.max_side / max(width, frame.height))
    size = max(1, round(width * scale)), max(1, round(frame.height * scale))
    image = frame.to_ndarray(format="bgr24")
    if size != (frame.width, frame.height):
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    turns = round(frame.rotation / 90) % 4
    return encode_jpeg(np.rot90(image, turns) if turns else image, options.jpeg_quality)


def _read_audio(path: Path, options: DecodeOptions) -> tuple[np.ndarray, float, str]:
    """Samples (n,) int16, the first one's time, and what was wrong."""
    with _open(path) as container:
        stream = next(iter(container.streams.audio), None)
        if stream is None:
            return np.empty(0, np.int16), 0.0, "there is no audio stream"
        resampler = av.AudioResampler(format="s16", layout="mono", rate=AUDIO_RATE)
        blocks: list[np.ndarray] = []
        start, fault, left = None, "", int(options.max_audio_seconds * AUDIO_RATE)
        for frame in _audio_frames(container, stream):
            if isinstance(frame, str):
                fault = frame
                continue
            if start is None and frame.time is not None:
                start = frame.time - _start(container)
            frame.pts = None  # gaps and overlaps in the stamps are not filled or cut
            blocks += [block.to_ndarray()[0] for block in resampler.resample(frame)]
            if sum(map(len, blocks)) >= left:
                fault = f"only the first {options.max_audio_seconds:g} s of sound are used"
                break
        blocks += [block.to_ndarray()[0] for block in resampler.resample(None)] if blocks else []
    samples = np.concatenate(blocks)[:left] if blocks else np.empty(0, np.int16)
    if not samples.any():
        return np.empty(0, np.int16), 0.0, fault or ("the sound is digital silence" if blocks else "no sound decodes")
    return samples, start or 0.0, fault


def _audio_frames(container: InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame | str]:
    """Decoded frames; a damaged packet gives a sentence, and a second failure in demuxing ends it."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.EOFError):
            return
        except av.FFmpegError as error:
            yield f"damaged sound: {_sentence(error)}"
            return
        try:
            yield from packet.decode()
        except av.EOFError:
            return
        except av.FFmpegError as error:
            yield f"damaged sound: {_sentence(error)}"
