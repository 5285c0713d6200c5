"""A video again, with the box of the main face, the label and the probabilities drawn in, and with its sound."""

import bisect
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from emopipe.cache import status
from emopipe.core.atomic import replacing
from emopipe.core.errors import ConfigError
from emopipe.inference.inputs import part_of
from emopipe.inference.overlay import Overlay
from emopipe.inference.predictions import Numbers, Prediction
from emopipe.inference.recording import Recording
from emopipe.inference.windows import UNLIMITED_FRAMES
from emopipe.media.decoded import DecodeOptions, Span, decode_jpeg
from emopipe.media.frame_folders import sound_of
from emopipe.media.joining import add_sound
from emopipe.media.sandbox import PartReader

PART_SECONDS = 1.0
"""So many seconds of frames are in memory at a time."""
QUALITY = 97
"""JPEG quality of the frames on their way from the process that decodes."""
TICKS = 60_000
"""Time stamps are in units of 1/60000 s: usual rates are whole numbers of them, and MPEG-4 allows no finer ones."""
ENCODERS = {"libx264": {"crf": "20", "preset": "veryfast"}, "mpeg4": {"qmin": "2", "qmax": "6"}}
"""Encoder -> its options; the first that PyAV has is used."""
NO_VIDEO = "has no video that can be decoded"
LEAST_SOUND = 0.01
"""Seconds; sound is not decoded with the frames, and the options do not allow 0."""


def write_video(one: Prediction, recording: Recording, options: DecodeOptions, path: Path) -> bool:
    """Write the video of an answer as MP4; return whether it has sound.

    Frames have the size and the time stamps of the input, upright; of odd sides, a row or column is repeated. Between
    windows, the bars are those of the window whose middle is nearest.

    Args:
        one: The answer.
        recording: What was kept of the file.
        options: How the model reads the file; they may choose its tracks.
        path: The file to write.

    Raises:
        ConfigError: The input has no video, or is a picture.
    """
    if len(recording.thumbnails) < 2:
        raise _nothing(one, "is a single picture" if len(recording.thumbnails) else NO_VIDEO)
    source, span = part_of(one.input)
    with replacing(path) as temporary:
        silent = path.with_name(f".{path.stem}.silent.{os.getpid()}.tmp{path.suffix}")
        try:
            seconds = _write_silent(one, recording, options, silent)
            has_sound = add_sound(silent, _with_sound(source), temporary, options, span, seconds)
            if not has_sound:
                os.replace(silent, temporary)
        finally:
            silent.unlink(missing_ok=True)
    return has_sound


def _with_sound(source: Path) -> Path:
    """Return the file that has the sound of an input, which may be a folder of frames."""
    return Path(sound_of(source) or source) if source.is_dir() else source


def _write_silent(one: Prediction, recording: Recording, options: DecodeOptions, path: Path) -> float:
    """Write the frames; return the time of the last one."""
    answers, overlay, time = _Answers(one), None, 0.0
    source, span = part_of(one.input)
    with _Encoder(path) as encoder:
        for times, jpegs in _parts(source, span or Span(), options):
            for time, jpeg in zip(times, jpegs, strict=True):
                image = decode_jpeg(np.frombuffer(jpeg, np.uint8))
                if overlay is None:
                    encoder.begin(image, times)
                    overlay = Overlay(image.shape[1], image.shape[0], recording.boxes.found, one.space)
                elif image.shape[1::-1] != (
                    overlay.width,
                    overlay.height,
                ):  # frames may change their size in the middle
                    image = cv2.resize(image, (overlay.width, overlay.height), interpolation=cv2.INTER_AREA)
                overlay.draw(image, recording.boxes.at(time), *answers.at(time))
                encoder.add(time, image)
    if overlay is None:
        raise _nothing(one, NO_VIDEO)
    return time


def _nothing(one: Prediction, what: str) -> ConfigError:
    return ConfigError(f"{one.input} {what}, so --video has nothing to draw into. Use --timeline, or give a video.")


def _parts(path: Path, span: Span, options: DecodeOptions) -> Iterator[tuple[list[float], list[bytes]]]:
    """Yield times since the start of the span, and the frames at these times as JPEG, a part at a time."""
    whole = {"policy": "all", "count": None, "fps": None, "max_frames": UNLIMITED_FRAMES, "jpeg_quality": QUALITY}
    whole |= {"max_side": 65_500, "max_audio_seconds": LEAST_SOUND}
    with PartReader(options.model_copy(update=whole), PART_SECONDS) as read:
        for part in read(path):
            kept = [n for n, time in enumerate(part.times) if span.start <= time < span.end]
            if kept:
                yield [float(part.times[n]) - span.start for n in kept], [part.jpegs[n] for n in kept]
            if part.status != status.PART or (len(part.times) and part.times[-1] >= span.end):
                return


class _Answers:
    """The answer at any time: that of the window whose middle is nearest."""

    def __init__(self, one: Prediction) -> None:
        self._one = one
        self._middles = [(window.start + window.end) / 2 for window in one.windows]

    def at(self, time: float) -> tuple[str | None, Numbers | None]:
        """Return the label and the numbers at a time, in seconds."""
        if not self._middles:
            return self._one.label, self._one.values
        place = bisect.bisect_left(self._middles, time)
        near = [n for n in (place - 1, place) if 0 <= n < len(self._middles)]
        window = self._one.windows[min(near, key=lambda n: abs(self._middles[n] - time))]
        return window.label, window.values


class _Encoder:
    """Writes frames with their times; a context manager."""

    def __init__(self, path: Path) -> None:
        self._path, self._last = path, -1
        self._out: av.container.OutputContainer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._out is not None:
            try:
                if kind is None:
                    self._out.mux(self._stream.encode())
            finally:
                self._out.close()

    def begin(self, image: np.ndarray, times: list[float]) -> None:
        """Open the file for frames like this one; the first times give the rate that is stated."""
        name = next(name for name in ENCODERS if _has(name))
        step = float(np.median(np.diff(times))) if len(times) > 1 else 0.04
        rate = Fraction(1 / max(step, 1e-3)).limit_denominator(1001)
        height, width = image.shape[:2]
        self._out = av.open(str(self._path.resolve()), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._out.add_stream(name, rate=rate, options=dict(ENCODERS[name]))
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, TICKS)
        # Stated, because players guess another matrix for large frames.
        self._stream.codec_context.colorspace = Colorspace.ITU601
        self._stream.codec_context.color_range = ColorRange.MPEG

    def add(self, time: float, image: np.ndarray) -> None:
        """Write a frame (H, W, 3) uint8 BGR; one that is not later than the one before is omitted."""
        stamp = round(time * TICKS)
        if stamp <= self._last:
            return
        self._last = stamp
        height, width = image.shape[:2]
        if height % 2 or width % 2:
            image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        # OpenCV's conversion keeps the brightness to within one level, which that of PyAV lowers.
        frame = av.VideoFrame.from_ndarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), "yuv420p")
        frame.pts, frame.time_base = stamp, Fraction(1, TICKS)
        self._out.mux(self._stream.encode(frame))


def _has(name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True
