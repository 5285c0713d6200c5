"""What decoding gives (sampled frames as JPEG, 16 kHz mono sound) and its options.

Times are in seconds since the start of the container (of a part of a file: since the start of that part), for both
streams: sound and frames share one clock.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Annotated, Literal, Self

import cv2
import numpy as np
from pydantic import AfterValidator, Field, model_validator

from emopipe.core.options import Number, Options

AUDIO_RATE = 16_000
"""Hz. The spectrograms of the paper's companions (arXiv 1806.01506) have this rate."""


def _track(track: int | str) -> int | str:
    """Return the number or the language of a track, checked."""
    if isinstance(track, int) and track < 1:
        raise ValueError(f"found {track}, expected the number of a track; the first one is 1")
    if isinstance(track, str) and not re.fullmatch("[A-Za-z]{3}", track):
        raise ValueError(f"found {track!r}, expected a number, or a language as three letters (ISO 639-2) such as eng")
    return track


class DecodeOptions(Options):
    """How frames and sound of a clip are sampled and stored."""

    policy: Literal["all", "count", "fps"]
    """Which frames are sampled: `all`, `count` frames of each clip (at the middles of equal parts), or `fps` frames per
    second."""
    count: int | None = Field(default=None, ge=1)
    """Frames of each clip, for `policy: count`. A clip with fewer frames gives all of them."""
    fps: Number | None = Field(default=None, gt=0)
    """Frames per second, for `policy: fps`; never more than the clip has."""
    max_frames: int = Field(default=2000, ge=1)
    """The most frames that a clip gives. Longer clips are sampled evenly."""
    max_side: int = Field(default=1280, ge=16, le=65_500)
    """The longest side of a stored frame, in pixels. Larger frames are scaled down."""
    jpeg_quality: int = Field(default=92, ge=1, le=100)
    """JPEG quality of stored frames, 1 to 100."""
    max_audio_seconds: Number = Field(default=600.0, gt=0)
    """The longest sound that is kept, in seconds. The ledger reports clips whose sound is longer."""
    video_track: Annotated[int | str, AfterValidator(_track)] | None = None
    """The video track of a clip that is used: its number, counted from 1, or its language as three letters (ISO 639-2)
    such as eng, deu or ger. Default: no still picture; of the others the one that is flagged as the default, else the
    largest, else the first. Clips without the track have no video."""
    audio_track: Annotated[int | str, AfterValidator(_track)] | None = None
    """The sound track of a clip that is used, as for `video_track`. Default: one that is not silent; of these the one
    that is flagged as the default, else the one with the most channels, else the first. Clips without the track have no
    sound."""
    clip_seconds: Number = Field(default=900.0, gt=0)
    """The longest time that decoding a clip may take, in seconds. A clip that needs more is undecodable."""
    clip_memory_mb: int = Field(default=4096, ge=64)
    """The most memory that decoding a clip may need, in MB. A clip that needs more is undecodable (on Linux)."""

    @model_validator(mode="after")
    def _one_policy(self) -> Self:
        """Refuse a key that the policy does not use, and a policy without its key."""
        for key in ("count", "fps"):
            given = getattr(self, key) is not None
            if given and self.policy != key:
                raise ValueError(f"{key} has no effect with policy: {self.policy}; remove it or change the policy")
            if not given and self.policy == key:
                raise ValueError(f"policy: {key} needs the key {key}; set it")
        return self


@dataclass(frozen=True)
class Span:
    """A part of a file that is a clip of its own."""

    start: float = 0.0
    """Seconds since the start of the file."""
    end: float = math.inf
    """Seconds since the start of the file; infinite: the end of the file."""


@dataclass(frozen=True)
class Media:
    """One decoded clip. `status` is ok, no_audio, no_video or undecodable; `reason` holds codes (`cache.status`)."""

    status: str
    reason: str = ""
    jpegs: list[bytes] = field(default_factory=list)
    """T sampled frames as JPEG, upright, with square pixels."""
    times: np.ndarray = field(default_factory=lambda: np.empty(0))
    """(T,) seconds."""
    audio: np.ndarray = field(default_factory=lambda: np.empty(0, np.int16))
    """(samples,) 16-bit mono at AUDIO_RATE."""
    audio_start: float = 0.0
    """Time of the first sample, in seconds."""


def decode_jpegs(jpegs: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
    """Return images (H, W, 3) uint8 BGR from their concatenated bytes (sum of sizes,) and their sizes (T,).

    Raises:
        ValueError: One of them is not an image, or the sizes are not those of the bytes.
    """
    if sizes.sum() != len(jpegs):
        raise ValueError(f"{len(jpegs)} bytes of cached pictures were found, expected {sizes.sum()}.")
    return [decode_jpeg(jpeg) for jpeg in np.split(jpegs, np.cumsum(sizes)[:-1])] if len(sizes) else []


def decode_jpeg(jpeg: np.ndarray) -> np.ndarray:
    """Return an image (H, W, 3) uint8 BGR from its bytes (n,) uint8.

    Raises:
        ValueError: The bytes are not an image.
    """
    image = cv2.imdecode(jpeg, cv2.IMREAD_COLOR) if len(jpeg) else None
    if image is None:
        raise ValueError(f"A cached picture of {len(jpeg)} bytes is not a JPEG that OpenCV can decode.")
    return image


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """Return an image (H, W, 3) uint8 BGR as JPEG bytes.

    Raises:
        ValueError: OpenCV cannot encode it.
    """
    is_encoded, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not is_encoded:
        raise ValueError(f"OpenCV cannot encode a picture of the shape {image.shape} as JPEG.")
    return jpeg.tobytes()
