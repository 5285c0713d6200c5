"""A clip's cached sound."""

import numpy as np

from emopipe.store import Reader


def read_wave(media: Reader, clip: str) -> np.ndarray:
    """A clip's sound (samples,) float32 in [-1, 1] at 16 kHz; empty where it has none."""
    return media.field(clip, "audio").astype(np.float32) / 32768
