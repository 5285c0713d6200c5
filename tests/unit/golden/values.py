"""The golden values: where they are kept, and how far a number may lie from its golden value."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("values.npz")
REAL_FILE = Path(__file__).with_name("real_values.npz")
REAL_CLIPS = ("crema_d/1001_DFA_HAP_XX.flv", "ravdess_av/01-01-03-01-01-01-01.mp4")
"""Clips of EMOPIPE_SHARED. Numbers of their faces and heads are kept, but no pictures, sounds and vectors."""


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file of golden values."""
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def without_people(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what a clip gave, without pictures, sounds and vectors."""
    return {name: array for name, array in found.items() if name.split("/")[1] not in ("frames", "audio", "crops", "x")}
