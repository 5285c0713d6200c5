"""Painting with soft edges on float images; each call touches only a rectangle around its shape."""

import cv2
import numpy as np
from numpy.typing import ArrayLike

SHIFT = 4
"""Fractional bits of OpenCV's fixed-point coordinates."""


def fixed_point(points: np.ndarray) -> np.ndarray:
    """Return points (n, 2) in pixels as OpenCV's fixed-point integers."""
    return np.round(np.asarray(points) * 2**SHIFT).astype(np.int32)


def fill(image: np.ndarray, polygon: np.ndarray, color: ArrayLike, *, blur: float, opacity: float = 1.0) -> None:
    """Blend a filled polygon (n, 2) into an image (h, w, 3), in place; `color` is RGB or such an image."""
    color = np.asarray(color, np.float32)
    box, mask = _patch(image, polygon, blur)
    if mask is not None:
        cv2.fillPoly(mask, [fixed_point(polygon - [box[1].start, box[0].start])], 1.0, cv2.LINE_AA, SHIFT)
        _blend(image[box], mask, color[box] if color.ndim == 3 else color, blur, opacity)


def line(
    image: np.ndarray,
    curve: np.ndarray,
    color: ArrayLike,
    *,
    width: float,
    blur: float,
    opacity: float = 1.0,
) -> None:
    """Blend an open curve (n, 2) into an image (h, w, 3), in place."""
    box, mask = _patch(image, curve, blur + width)
    if mask is not None:
        at = [fixed_point(curve - [box[1].start, box[0].start])]
        cv2.polylines(mask, at, False, 1.0, max(round(width), 1), cv2.LINE_AA, SHIFT)
        _blend(image[box], mask, color, blur, opacity)


def mask(size: tuple[int, int], polygons: list[np.ndarray], *, blur: float) -> np.ndarray:
    """Return the union of polygons (n, 2) as a mask with soft edges: (height, width) float32 in [0, 1]."""
    covered = np.zeros(size, np.float32)
    for polygon in polygons:
        cv2.fillPoly(covered, [fixed_point(polygon)], 1.0, cv2.LINE_AA, SHIFT)
    return cv2.GaussianBlur(covered, (0, 0), blur)


def moved(points: ArrayLike, x: float, y: float) -> np.ndarray:
    """Return points (n, 2) shifted by x to the right and y down."""
    return np.add(points, (x, y))


def ellipse(center: tuple[float, float], wide: float, high: float, angle: float = 0.0) -> np.ndarray:
    """Return a polygon (32, 2) in the shape of an ellipse; `angle` in radians rotates it clockwise."""
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    x, y = wide * np.cos(turn), high * np.sin(turn)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([center[0] + cos * x - sin * y, center[1] + sin * x + cos * y], axis=1)


def _patch(image: np.ndarray, points: np.ndarray, margin: float) -> tuple[tuple[slice, slice], np.ndarray | None]:
    """Return the rectangle around points with a margin for the blur, and an empty mask of its size; None if empty."""
    room = 3 * margin + 2
    left, top = np.maximum(np.floor(points.min(axis=0) - room), 0).astype(int)
    right, bottom = np.minimum(np.ceil(points.max(axis=0) + room), image.shape[1::-1]).astype(int)
    box = slice(top, bottom), slice(left, right)
    return box, np.zeros((bottom - top, right - left), np.float32) if right > left and bottom > top else None


def _blend(patch: np.ndarray, mask: np.ndarray, color: ArrayLike, blur: float, opacity: float) -> None:
    if blur > 0:
        mask = cv2.GaussianBlur(mask, (0, 0), blur)
    patch += opacity * mask[..., None] * (np.float32(color) - patch)
