"""Reads a clip's cached sound."""

import numpy as np

from emopipe.cache.clip_rows import ClipRows


def read_wave(media: ClipRows, clip: str) -> np.ndarray:
    """Return a clip's sound (samples,) float32 in [-1, 1] at 16 kHz; empty if it has none."""
    return as_wave(media.field(clip, "audio"))


def as_wave(samples: np.ndarray) -> np.ndarray:
    """Return 16-bit samples as float32 in [-1, 1]."""
    return samples.astype(np.float32) / 32768
