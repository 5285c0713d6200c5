"""The outlines of the parts of a head that do not move: hair, ears and neck."""

import numpy as np
from scipy.interpolate import make_interp_spline

from emopipe.demo.brush import ellipse, moved
from emopipe.demo.geometry import CENTER_X, EYES_Y
from emopipe.demo.identity import Identity

Half = list[tuple[float, float]]
"""The right half of a curve, from the outside to the middle, in pixels from the point between the eyes."""

SHORT_BACK: Half = [(94, 20), (101, -20), (99, -70), (82, -118), (48, -147), (0, -156)]
LONG_BACK: Half = [(84, 232), (112, 190), (118, 90), (113, 10), (111, -50), (92, -117), (53, -153), (0, -163)]
SHORT_FRINGE: Half = [(85, -8), (83, -42), (70, -70), (42, -86), (0, -92)]
LONG_FRINGE: Half = [(84, 225), (97, 150), (91, 80), (86, 20), (78, -30), (60, -66), (34, -90), (0, -101)]


def hair_behind(person: Identity) -> np.ndarray:
    """Return the edge of all hair, short or down to the shoulders: (n, 2) pixels of the canvas."""
    return _both_sides(LONG_BACK if person.long_hair else SHORT_BACK, person)


def fringe(person: Identity) -> np.ndarray:
    """Return the hair in front of the face, from its outer edge to the hairline: (n, 2) pixels of the canvas."""
    hairline = _both_sides(LONG_FRINGE if person.long_hair else SHORT_FRINGE, person)
    return np.concatenate([hair_behind(person), hairline[::-1]])


def ears(person: Identity) -> list[np.ndarray]:
    """Return the outlines of the ears, unless hair covers them."""
    if person.long_hair:
        return []
    x = 96 * person.width
    return [ellipse((CENTER_X + side * x, EYES_Y + 16), 11, 27, 0.15 * side) for side in (-1, 1)]


def neck(person: Identity) -> np.ndarray:
    """Return the neck, down to the end of the canvas: (n, 2) pixels of the canvas."""
    return _both_sides([(70, 232), (58, 215), (52, 185), (52, 140), (52, 90), (0, 80)], person)


def _both_sides(half: Half, person: Identity) -> np.ndarray:
    """Return a smooth curve through points and their mirror images."""
    right = np.array(half) * [person.width, 1]
    points = np.concatenate([right, right[-2::-1] * [-1, 1]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    smooth = make_interp_spline(length, points, k=3)(np.linspace(0, length[-1], 80))
    return moved(smooth, CENTER_X, EYES_Y)
