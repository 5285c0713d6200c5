"""From a face's five landmarks to one canonical crop, and from this crop to the input of each backbone.

Units are those of ArcFace's template (Deng et al., CVPR 2019; insightface's `face_align.arcface_dst`), a square of
112 x 112 units. Pixel i of ArcFace's 112 x 112 crop is centred on unit i. So the square covers -0.5 to 111.5, and its
centre, (56, 56) counted from its corner, is unit 55.5.

The canonical crop covers 168 units about this centre with 256 x 256 pixels, 1.52 pixels a unit. This is enough for the
paper's +30 % (1.54 pixels a unit) and a margin beyond it. Images are BGR, as frames are. Crops are black outside of
the frame, as insightface's are: a mirrored or repeated edge would show a network features that no face has.
"""

import cv2
import numpy as np

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""(5, 2) ArcFace's landmarks in units; the order is that of `Detections.landmarks`."""
TEMPLATE_SIDE = 112
CANONICAL_SIDE, CANONICAL_UNITS = 256, 168.0
MAX_SAMPLES = 16
"""Samples for each pixel of a crop, along each axis. It limits the memory that wrong landmarks could need."""


def canonical_crop(frame: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Return the aligned face with margin, from which each backbone's crop is derived.

    Args:
        frame: (H, W, 3) uint8 BGR.
        landmarks: (5, 2) pixels of the frame.

    Returns:
        (256, 256, 3) uint8 BGR, black outside of the frame.

    Raises:
        ValueError: The landmarks are not finite, or are all the same.
    """
    return aligned_crop(frame, landmarks, CANONICAL_UNITS, CANONICAL_SIDE)


def aligned_crop(frame: np.ndarray, landmarks: np.ndarray, crop_units: float, size: int) -> np.ndarray:
    """Return the aligned face with any margin, straight from the frame.

    Args:
        frame: (H, W, 3) uint8 BGR.
        landmarks: (5, 2) pixels of the frame.
        crop_units: The side of the crop in template units.
        size: The side of the crop in pixels.

    Returns:
        (size, size, 3) uint8 BGR, black outside of the frame.

    Raises:
        ValueError: The landmarks are not finite, or are all the same.
    """
    frame_to_units = similarity(landmarks, TEMPLATE)
    return _warp(frame, _compose(_units_to_crop(crop_units, size), frame_to_units), size)


def derive(crop: np.ndarray, crop_units: float, size: int, center_offset_y: float = 0.0) -> np.ndarray:
    """Return the middle of a canonical crop: a square of `crop_units` template units, with `size` pixels a side.

    Args:
        crop: (256, 256, 3) uint8, from `canonical_crop`.
        crop_units: The side of the square in units; more than 168 gives a black border.
        size: The side of the result in pixels.
        center_offset_y: How many units the centre of the square is below that of the template.

    Returns:
        (size, size, 3) uint8, with the channels of the crop.
    """
    crop_to_units = cv2.invertAffineTransform(_units_to_crop(CANONICAL_UNITS, CANONICAL_SIDE))
    return _warp(crop, _compose(_units_to_crop(crop_units, size, center_offset_y), crop_to_units), size)


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the least-squares similarity transform (rotation, scale, translation) of points onto points.

    This is Umeyama's problem (PAMI 1991) without reflections. In the plane it has a closed form over complex numbers,
    where such a transform is z -> a z + b.

    Args:
        source: (N, 2) points, N >= 2, not all the same.
        target: (N, 2) points.

    Returns:
        (2, 3) float64 matrix M with target ~ M @ [x, y, 1].

    Raises:
        ValueError: A coordinate is not finite, or the source points are all the same.
    """
    z, w = (np.asarray(points, np.float64) @ [1, 1j] for points in (source, target))
    centered = z - z.mean()
    spread = np.vdot(centered, centered).real
    if not (np.isfinite(z).all() and np.isfinite(w).all() and spread > 0):
        raise ValueError(f"The points {np.asarray(source).tolist()} do not define a similarity transform.")
    a = np.vdot(centered, w - w.mean()) / spread
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def _units_to_crop(crop_units: float, size: int, center_offset_y: float = 0.0) -> np.ndarray:
    """Return the (2, 3) matrix from units to pixels of a crop; the arguments are those of `derive`."""
    scale = size / crop_units
    shift = (size - 1) / 2 - scale * (TEMPLATE_SIDE - 1) / 2
    return np.array([[scale, 0, shift], [0, scale, shift - scale * center_offset_y]])


def _compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the (2, 3) matrix that applies `first`, then `second`."""
    return second @ np.vstack([first, [0, 0, 1]])


def _warp(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Return an image warped by a similarity transform, (size, size, 3), without aliasing where it shrinks.

    If it shrinks to less than a half, k x k points are sampled for each pixel, and averaged. They are at most two
    pixels of the image apart, and each is interpolated from the 2 x 2 pixels about it, so that no pixel is passed over.
    """
    k = int(np.clip(np.ceil(0.5 / np.hypot(matrix[0, 0], matrix[1, 0]) - 1e-6), 1, MAX_SAMPLES))
    dense = k * matrix + np.array([[0, 0, (k - 1) / 2]] * 2)
    warped = cv2.warpAffine(image, dense, (k * size, k * size), flags=cv2.INTER_LINEAR)  # black border
    return warped if k == 1 else cv2.resize(warped, (size, size), interpolation=cv2.INTER_AREA)
