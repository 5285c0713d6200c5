"""The light on a head: a height map of the face, and the brightness of each pixel under a lamp."""

import cv2
import numpy as np

from emopipe.demo.expression import Units
from emopipe.demo.geometry import CENTER_X, EYES_Y, HEIGHT, WIDTH, outline
from emopipe.demo.identity import Identity

COARSE = 4
"""Shading is smooth, so it is computed at a quarter of the resolution, which is fast."""

_Y, _X = np.mgrid[0:HEIGHT:COARSE, 0:WIDTH:COARSE].astype(np.float32)
_X -= CENTER_X
_Y -= EYES_Y
AMBIENT, DIFFUSE, SHINE = 0.40, 0.72, 0.10
REDDEN = np.array([0.85, 1.05, 1.15], np.float32)
"""Light that passes through skin is reddish, so shadows keep more red."""


def shade(person: Identity, units: Units) -> np.ndarray:
    """Return the light that the skin reflects, about 0.3 to 1.2: (HEIGHT, WIDTH, 3) float32 in RGB."""
    height = _skull(person, units) + _features(person, units)
    slope_y, slope_x = np.gradient(height, COARSE)
    normal = np.stack([-slope_x, -slope_y, np.ones_like(slope_x)])
    normal /= np.linalg.norm(normal, axis=0)
    facing = np.maximum(np.tensordot(np.float32(person.light), normal, 1), 0)
    coarse = cv2.GaussianBlur(AMBIENT + DIFFUSE * facing + SHINE * facing**16, (0, 0), 0.8)
    return cv2.resize(coarse[..., None] ** REDDEN, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


def _skull(person: Identity, units: Units) -> np.ndarray:
    """Return the height of a dome over the outline of the face, in pixels."""
    mask = np.zeros(_X.shape, np.uint8)
    cv2.fillPoly(mask, [np.int32(outline(person, units.jaw) / COARSE)], 1)
    # The square root of the distance to the edge rises like the surface of a ball.
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 5) * COARSE
    inside = np.minimum(distance / 95, 1)
    return cv2.GaussianBlur(62 * np.sqrt(inside * (2 - inside)), (0, 0), 2.2)


def _features(person: Identity, units: Units) -> np.ndarray:
    """Return the height of nose, sockets, cheeks, lips and chin above the dome, in pixels."""
    mouth = 84 * person.height
    drop = 22 * units.jaw
    tip = 46 * person.nose
    cheek = 6 + 7 * units.cheek + 4 * units.corner_up
    bumps = _bump(0, tip / 2, 8, 22, 10) + _bump(0, tip - 1, 10, 10, 15)
    bumps += _pair(13, tip + 3, 6, 6, 6) + _pair(40, -3, 19, 12, -8) + _pair(36, -25, 26, 7, 4)
    bumps += _pair(56, 42 - 6 * units.cheek, 21, 17, cheek)
    # The fold from the nose to the mouth corner.
    bumps += _pair(40, 74, 6, 14, -2 - 5 * units.corner_up - 4 * units.nose_wrinkle - 2 * units.upper_lip)
    bumps += _bump(0, mouth - 9, 22, 6, 4) + _bump(0, mouth + 12 + drop, 18, 6, 5 + 2 * units.chin)
    bumps += _bump(0, mouth + 26 + drop, 20, 6, -4) + _bump(0, mouth + 42 + drop, 20, 12, 8)
    return bumps


def _bump(x: float, y: float, wide: float, high: float, amount: float) -> np.ndarray:
    return amount * np.exp(-(((_X - x) / wide) ** 2) - ((_Y - y) / high) ** 2)


def _pair(x: float, y: float, wide: float, high: float, amount: float) -> np.ndarray:
    return _bump(x, y, wide, high, amount) + _bump(-x, y, wide, high, amount)
