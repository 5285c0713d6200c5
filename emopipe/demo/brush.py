"""Soft-edged paint on a float picture, confined to the rectangle that it touches."""

import cv2
import numpy as np
from numpy.typing import ArrayLike

SHIFT = 4
"""OpenCV draws between pixels with this many fractional bits."""


def fixed(points: np.ndarray) -> np.ndarray:
    """Points (n, 2) in pixels as OpenCV's fixed-point integers."""
    return np.round(np.asarray(points) * 2**SHIFT).astype(np.int32)


def fill(picture: np.ndarray, polygon: np.ndarray, colour: ArrayLike, *, blur: float, opacity: float = 1.0) -> None:
    """Blend a filled polygon (n, 2) into a picture (h, w, 3), in place; `colour` is RGB or such a picture."""
    colour = np.asarray(colour, np.float32)
    box, mask = _patch(picture, polygon, blur)
    if mask is not None:
        cv2.fillPoly(mask, [fixed(polygon - [box[1].start, box[0].start])], 1.0, cv2.LINE_AA, SHIFT)
        _blend(picture[box], mask, colour[box] if colour.ndim == 3 else colour, blur, opacity)


def line(
    picture: np.ndarray,
    curve: np.ndarray,
    colour: ArrayLike,
    *,
    width: float,
    blur: float,
    opacity: float = 1.0,
) -> None:
    """Blend an open curve (n, 2) into a picture (h, w, 3), in place."""
    box, mask = _patch(picture, curve, blur + width)
    if mask is not None:
        at = [fixed(curve - [box[1].start, box[0].start])]
        cv2.polylines(mask, at, False, 1.0, max(round(width), 1), cv2.LINE_AA, SHIFT)
        _blend(picture[box], mask, colour, blur, opacity)


def mask(size: tuple[int, int], polygons: list[np.ndarray], *, blur: float) -> np.ndarray:
    """Where any of the polygons (n, 2) is, with soft edges: (height, width) float32 in [0, 1]."""
    covered = np.zeros(size, np.float32)
    for polygon in polygons:
        cv2.fillPoly(covered, [fixed(polygon)], 1.0, cv2.LINE_AA, SHIFT)
    return cv2.GaussianBlur(covered, (0, 0), blur)


def moved(points: ArrayLike, x: float, y: float) -> np.ndarray:
    """Points (n, 2) shifted by x to the right and y down."""
    return np.add(points, (x, y))


def ellipse(centre: tuple[float, float], wide: float, high: float, angle: float = 0.0) -> np.ndarray:
    """A polygon (32, 2) in the shape of an ellipse; `angle` in radians turns it clockwise."""
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    x, y = wide * np.cos(turn), high * np.sin(turn)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([centre[0] + cos * x - sin * y, centre[1] + sin * x + cos * y], axis=1)


def _patch(picture: np.ndarray, points: np.ndarray, margin: float) -> tuple[tuple[slice, slice], np.ndarray | None]:
    """The rectangle around the points with room for the blur, and an empty mask of its size."""
    room = 3 * margin + 2
    left, top = np.maximum(np.floor(points.min(axis=0) - room), 0).astype(int)
    right, bottom = np.minimum(np.ceil(points.max(axis=0) + room), picture.shape[1::-1]).astype(int)
    box = slice(top, bottom), slice(left, right)
    return box, np.zeros((bottom - top, right - left), np.float32) if right > left and bottom > top else None


def _blend(patch: np.ndarray, mask: np.ndarray, colour: ArrayLike, blur: float, opacity: float) -> None:
    if blur > 0:
        mask = cv2.GaussianBlur(mask, (0, 0), blur)
    patch += opacity * mask[..., None] * (np.float32(colour) - patch)
