"""A decoded clip as a row of the cache, in memory or in a file of the decode stage."""

import numpy as np

from emopipe.cache.store import Field, Row
from emopipe.media.decoded import Media

FIELDS = {
    "jpeg": Field("u1"),
    "jpeg_size": Field("i4"),
    "time": Field("f8"),
    "audio": Field("i2"),
    "audio_start": Field("f8"),
}
"""Per sampled frame: jpeg (its bytes, one frame after the other), jpeg_size, time. Per sample: audio."""


def row(clip: str, digest: str, media: Media) -> Row:
    """Return the row of a decoded clip."""
    arrays = {
        "jpeg": np.frombuffer(b"".join(media.jpegs), np.uint8),
        "jpeg_size": np.array([len(jpeg) for jpeg in media.jpegs], np.int32),
        "time": media.times,
        "audio": media.audio,
        "audio_start": np.array([media.audio_start] if len(media.audio) else []),
    }
    return Row(clip, digest, media.status, media.reason, arrays)
