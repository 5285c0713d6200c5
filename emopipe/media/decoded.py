"""What decoding gives: sampled frames as JPEG, and 16 kHz mono sound; and the options that say how.

Times are seconds since the container's start, for both streams, so that sound and picture share one clock.
"""

from dataclasses import dataclass, field
from typing import Literal, Self

import cv2
import numpy as np
from pydantic import Field, model_validator

from emopipe.core.options import Number, Options

AUDIO_RATE = 16_000
"""Hz; the rate of the companions' spectrograms (`paper.md`)."""


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
    max_side: int = Field(default=1280, ge=16, le=65_500)
    """Frames are scaled down so that their longer side is at most this many pixels."""
    jpeg_quality: int = Field(default=92, ge=1, le=100)
    """Quality at which sampled frames are kept."""
    max_audio_seconds: Number = Field(default=600.0, gt=0)
    """Sound beyond this is left out (and said in the clip's reason)."""
    clip_seconds: Number = Field(default=900.0, gt=0)
    """A clip whose decoding takes longer than this is undecodable."""
    clip_memory_mb: int = Field(default=4096, ge=64)
    """A clip whose decoding needs more memory than this is undecodable (enforced on Linux)."""

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


def decode_jpegs(jpegs: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
    """Images (H, W, 3) uint8 BGR out of their bytes end to end (sum of sizes,) and their sizes (T,)."""
    return [decode_jpeg(jpeg) for jpeg in np.split(jpegs, np.cumsum(sizes)[:-1])] if len(sizes) else []


def decode_jpeg(jpeg: np.ndarray) -> np.ndarray:
    """An image (H, W, 3) uint8 BGR out of its bytes (n,) uint8."""
    return cv2.imdecode(jpeg, cv2.IMREAD_COLOR)


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """An image (H, W, 3) uint8 BGR as JPEG."""
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
