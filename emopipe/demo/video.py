"""A clip of the demo corpus as a video file."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from scipy.ndimage import uniform_filter1d

from emopipe.demo.frames import draw_frames
from emopipe.demo.plan import ClipPlan
from emopipe.demo.scene import FRAME_HEIGHT, FRAME_RATE, FRAME_WIDTH
from emopipe.demo.speech import SAMPLE_RATE, speak

CODECS = {"mp4": ("libx264", "aac"), "avi": ("mpeg4", "libmp3lame")}
VIDEO_OPTIONS = {
    # Without cpu-independent, x264's fastest routines give different bytes in each run, even with one thread.
    "libx264": {"preset": "veryfast", "crf": "21", "threads": "1", "x264-params": "cpu-independent=1"},
    "mpeg4": {"qmin": "3", "qmax": "5", "threads": "1"},
}


def draw_clip(plan: ClipPlan, path: Path) -> None:
    """Write the video file of a clip; it appears only when it is complete.

    The container is that of the plan, whatever the file's extension. Equal plans give equal bytes on one machine.
    """
    voice, heard = speak(plan)
    frames, _ = draw_frames(plan, mouth_opening(voice))
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _write(unfinished, plan.container, frames, heard)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def mouth_opening(voice: np.ndarray) -> np.ndarray:
    """Return the loudness of speech (samples,) at each video frame, relative to its maximum: (frames,) in [0, 1]."""
    window = SAMPLE_RATE // FRAME_RATE
    level = np.sqrt(np.maximum(uniform_filter1d(voice.astype(np.float64) ** 2, window), 0))
    at_frames = level[window // 2 :: window]
    return at_frames / max(at_frames.max(), 1e-6)


def _write(path: Path, container: str, frames: np.ndarray, samples: np.ndarray) -> None:
    """Write frames (n, h, w, 3) and mono samples (m,) at SAMPLE_RATE."""
    video_codec, audio_codec = CODECS[container]
    # bitexact: the file has no encoder versions or dates.
    with av.open(str(path), "w", format=container, options={"fflags": "+bitexact"}) as file:
        video = file.add_stream(video_codec, rate=FRAME_RATE, options=VIDEO_OPTIONS[video_codec])
        video.width, video.height, video.pix_fmt = FRAME_WIDTH, FRAME_HEIGHT, "yuv420p"
        audio = file.add_stream(audio_codec, rate=SAMPLE_RATE, layout="mono")
        for index, pixels in enumerate(frames):
            image = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            image.pts, image.time_base = index, Fraction(1, FRAME_RATE)
            file.mux(video.encode(image))
        file.mux(video.encode(None))
        sound = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
        file.mux(audio.encode(sound))
        file.mux(audio.encode(None))
