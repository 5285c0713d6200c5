"""How the faces of a clip look: how sharp each is, and how much it changes, measured on small aligned crops.

A face that is alive changes within its aligned crop: it speaks, blinks and turns. A print does not, even if the camera
moves, because alignment takes the camera's motion away.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from emopipe.faces.alignment import TEMPLATE_SIDE, aligned_crop
from emopipe.faces.tracking import Track

MAX_LOOKS = 64
"""At most this many detections of each track are looked at, evenly spaced."""
SIDE, SMALL_SIDE = 64, 32
"""Pixels a side: of crops whose sharpness is measured, and of those that are compared."""
MIN_LOOKS = 3
"""Fewer crops of a face do not show whether it changes."""


@dataclass(frozen=True, eq=False)
class Look:
    """How one face looks in m of its detections."""

    sharpness: np.ndarray
    """(m,) the detail of its crop, relative to the contrast; from 0."""
    change: np.ndarray
    """(m,) how much its crop differs from the track's median crop, relative to the contrast; from 0. Brightness,
    contrast and errors of alignment do not count. Empty if m is less than MIN_LOOKS."""
    face: np.ndarray
    """(pixels,) float64: the head in the median crop, with mean 0 and length 1."""


def measure(frames: Sequence[np.ndarray], tracks: Sequence[Track]) -> list[Look]:
    """Return how the face of each track looks.

    Args:
        frames: T sampled frames, (H, W, 3) uint8 BGR. Each is accessed at most once, in order.
        tracks: The faces.
    """
    wanted: dict[int, list[tuple[int, int]]] = {}
    for i, track in enumerate(tracks):
        n = len(track.frame)
        for k in np.unique(np.linspace(0, n - 1, min(n, MAX_LOOKS)).round().astype(int)).tolist():
            wanted.setdefault(int(track.frame[k]), []).append((i, k))
    crops: list[list[np.ndarray]] = [[] for _ in tracks]
    for t in sorted(wanted):
        frame = frames[t]
        for i, k in wanted[t]:
            crop = aligned_crop(frame, tracks[i].landmarks[k], TEMPLATE_SIDE, SIDE)
            crops[i].append(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY))
    return [_look(np.stack(gray)) for gray in crops]


def combined(parts: Sequence[Look]) -> Look:
    """Return the look of one face from those of its parts; its median crop is that of the longest part."""
    longest = max(parts, key=lambda part: len(part.sharpness))
    sharpness, change = (np.concatenate([getattr(part, name) for part in parts]) for name in ("sharpness", "change"))
    return Look(sharpness, change, longest.face)


def likeness(one: Look, other: Look) -> float:
    """Return the correlation of two faces' median crops, -1..1."""
    return float(one.face @ other.face)


def _look(crops: np.ndarray) -> Look:
    """Return the look of crops (m, SIDE, SIDE) uint8."""
    sharpness = np.array([cv2.Laplacian(crop, cv2.CV_64F).std() / max(crop.std(), 1.0) for crop in crops])
    small = np.stack([_small(crop) for crop in crops])  # (m, SMALL_SIDE, SMALL_SIDE)
    median = np.median(small, axis=0)
    head = median[_oval(0.75, 0.95, 0.0)]
    face = (head - head.mean()) / max(head.std() * np.sqrt(len(head)), 1e-6)
    return Look(sharpness, _change(small, median) if len(crops) >= MIN_LOOKS else np.zeros(0), face)


def _small(crop: np.ndarray) -> np.ndarray:
    """Return a crop as small float64 without fine noise."""
    small = cv2.resize(crop.astype(np.float64), (SMALL_SIDE, SMALL_SIDE), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, (0, 0), 1.0)


def _change(crops: np.ndarray, median: np.ndarray) -> np.ndarray:
    """Return how much (m,) of small crops (m, s, s) the median crop (s, s) does not explain.

    Each crop is fitted by least squares with the median crop, a constant, and the median crop's derivatives by an
    affine motion. So brightness, contrast and errors of the landmarks are not taken for change.
    """
    inner = _oval(0.65, 0.75, 0.15)  # from the brows to the chin, which are rarely outside of the frame
    dy, dx = np.gradient(median)
    y, x = _grid()
    parts = [median, np.ones_like(median), dx, dy, x * dx, y * dx, x * dy, y * dy]
    basis = np.stack([part[inner] for part in parts], axis=1)  # (pixels, 8)
    pixels = crops[:, inner].T  # (pixels, m)
    rest = pixels - basis @ np.linalg.lstsq(basis, pixels, rcond=None)[0]
    return np.sqrt(np.mean(rest**2, axis=0)) / np.maximum(pixels.std(axis=0), 1.0)


def _oval(half_width: float, half_height: float, center_y: float) -> np.ndarray:
    """Return the mask (SMALL_SIDE, SMALL_SIDE) of an oval, in units of half a side from the middle."""
    y, x = _grid()
    return (x / half_width) ** 2 + ((y - center_y) / half_height) ** 2 <= 1


def _grid() -> np.ndarray:
    """Return y and x of a small crop's pixels, (2, SMALL_SIDE, SMALL_SIDE) in -1..1."""
    return np.mgrid[-1 : 1 : 1j * SMALL_SIDE, -1 : 1 : 1j * SMALL_SIDE]
