"""Codecs: whether the ffmpeg in PyAV decodes them, proved by a tiny clip that is made in memory."""

import io
import os
from collections.abc import Iterator, Mapping

import av
import numpy as np

from emopipe.doctor.check import Check

VIDEO = {
    "h264": "libx264", "hevc": "libx265", "vp8": "libvpx", "vp9": "libvpx-vp9", "av1": "libsvtav1", "mpeg4": "mpeg4",
    "mjpeg": "mjpeg", "flv": "flv", "theora": "",
}  # fmt: skip
"""Decoder of video -> an encoder for it; "" if ffmpeg has none."""
AUDIO = {
    "aac": "aac", "mp3": "libmp3lame", "opus": "libopus", "vorbis": "vorbis", "flac": "flac", "pcm_s16le": "pcm_s16le",
}  # fmt: skip
"""Decoder of sound -> an encoder for it."""
OPTIONS = {"libx265": {"x265-params": "log-level=none"}, "vorbis": {"strict": "experimental"}}
"""Options of encoders: x265 would print to the terminal, and ffmpeg's own encoder of vorbis asks for a confirmation."""
FORMATS = {"flac": "matroska"}
"""Encoder -> its container. Default: nut, ffmpeg's own, which holds all other codecs."""
SIDE, FRAMES, RATE, SAMPLES = 64, 4, 48_000, 1024
BUILD = "Install PyAV from PyPI, whose wheels contain ffmpeg: `pip install --force-reinstall av`."


def checks(video: Mapping[str, str] = VIDEO, audio: Mapping[str, str] = AUDIO) -> Iterator[Check]:
    """Yield a check for each codec. A clip with a codec that is missing becomes undecodable; the run goes on."""
    os.environ.setdefault("SVT_LOG", "-1")  # the encoder of AV1 would print to the terminal
    for codec, encoder in (*video.items(), *audio.items()):
        try:
            found = _proved(codec, encoder, is_video=codec in video)
        except (av.FFmpegError, ValueError, RuntimeError) as error:  # PyAV's own, and those of unknown names
            why = " ".join(str(error).split()) or type(error).__name__
            found = f"ffmpeg cannot decode it ({why}). Clips with it will be undecodable or without sound."
            yield Check("codecs", codec, "warning", found, BUILD)
        else:
            yield Check("codecs", codec, "ok", found)


def _proved(codec: str, encoder: str, *, is_video: bool) -> str:
    """Return what proved that a codec can be decoded.

    Raises:
        ValueError, av.FFmpegError: It cannot.
    """
    av.Codec(codec, "r")
    try:
        clip = (_video if is_video else _sound)(encoder) if encoder else None
    except (av.FFmpegError, ValueError):  # ffmpeg may be built without encoders, which no run needs
        clip = None
    if clip is None:
        return "ffmpeg has its decoder; there is no encoder to make a clip with, so nothing was decoded."
    with av.open(clip) as container:
        frames = sum(1 for _ in container.decode(container.streams[0]))
    if not frames:
        raise ValueError("a clip of it gives no frames")
    return f"A clip was decoded to {frames} frames."


def _video(encoder: str) -> io.BytesIO:
    """Return a clip of a few grey frames."""
    content = io.BytesIO()
    with av.open(content, "w", format=FORMATS.get(encoder, "nut")) as container:
        stream = container.add_stream(encoder, rate=25, options=OPTIONS.get(encoder, {}))
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuvj420p" if encoder == "mjpeg" else "yuv420p"
        for number in range(FRAMES):
            image = np.full((SIDE, SIDE, 3), 40 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    content.seek(0)
    return content


def _sound(encoder: str) -> io.BytesIO:
    """Return a clip of a moment of silence."""
    content = io.BytesIO()
    with av.open(content, "w", format=FORMATS.get(encoder, "nut")) as container:
        stream = container.add_stream(encoder, rate=RATE, layout="stereo", options=OPTIONS.get(encoder, {}))
        for number in range(FRAMES):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * SAMPLES), np.int16), format="s16", layout="stereo")
            frame.sample_rate, frame.pts = RATE, number * SAMPLES
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    content.seek(0)
    return content
