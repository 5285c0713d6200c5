"""From a face's five landmarks to one canonical crop, and from that to what each backbone wants.

Units are those of ArcFace's template (Deng et al., CVPR 2019; insightface's `face_align.arcface_dst`): a
square of 112 units a side. Pixel i of the 112x112 crop is centred on unit i, so the square spans -0.5 to
111.5, and its centre, (56, 56) counted from its corner, is unit 55.5.

The canonical crop covers 168 units about that centre with 256x256 pixels, 1.52 a unit: enough for the
paper's +30 % (1.54 a unit) and a margin beyond it. Everything is BGR, as frames are. Outside the frame,
crops are black, as insightface leaves them: a mirrored or smeared edge would show a network features that
no face has.
"""

import cv2
import numpy as np

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""(5, 2) where ArcFace wants the landmarks, in units; the order is that of `Detections.landmarks`."""
TEMPLATE_SIDE = 112
CANONICAL_SIDE, CANONICAL_UNITS = 256, 168.0
ARCFACE_SIDE, ARCFACE_UNITS = 112, 112.0
PADDED_SIDE, PADDED_UNITS = 224, 1.3 * 112
MOST_SAMPLES = 16  # per crop pixel and axis: bounds the memory that a mistaken landmark could ask for


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation, scale and shift, never a reflection, that best bring points onto points (least squares).

    This is Umeyama's problem (PAMI 1991); in the plane it has a closed form over complex numbers, where
    such a transform is z -> a z + b.

    Args:
        source: (N, 2) points, N >= 2, not all the same.
        target: (N, 2) points.

    Returns:
        (2, 3) float64 matrix M with target ~ M @ [x, y, 1].

    Raises:
        ValueError: a coordinate is not finite, or the source points are all the same.
    """
    z, w = (np.asarray(points, np.float64) @ [1, 1j] for points in (source, target))
    centred = z - z.mean()
    spread = np.vdot(centred, centred).real
    if not (np.isfinite(z).all() and np.isfinite(w).all() and spread > 0):
        raise ValueError(f"No similarity is defined by the points {np.asarray(source).tolist()}.")
    a = np.vdot(centred, w - w.mean()) / spread
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def canonical_crop(frame: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The aligned face with margin, from which every backbone's crop is derived.

    Args:
        frame: (H, W, 3) uint8 BGR.
        landmarks: (5, 2) pixels of the frame.

    Returns:
        (256, 256, 3) uint8 BGR, black where it reaches out of the frame.

    Raises:
        ValueError: the landmarks are not finite, or all the same.
    """
    to_units = similarity(landmarks, TEMPLATE)
    return _resampled(frame, _then(_from_units(CANONICAL_UNITS, CANONICAL_SIDE), to_units), CANONICAL_SIDE)


def derive(crop: np.ndarray, side_units: float, size: int, down: float = 0.0) -> np.ndarray:
    """The middle of a canonical crop: `side_units` template units a side, at `size` pixels a side.

    Args:
        crop: (256, 256, 3) uint8, of `canonical_crop`.
        side_units: more than 168 leaves a black border.
        size: side of the result in pixels.
        down: how far below the template's centre the result is centred, in units.

    Returns:
        (size, size, 3) uint8, colours in the crop's order.
    """
    to_units = cv2.invertAffineTransform(_from_units(CANONICAL_UNITS, CANONICAL_SIDE))
    return _resampled(crop, _then(_from_units(side_units, size, down), to_units), size)


def derive_arcface(crop: np.ndarray) -> np.ndarray:
    """ArcFace's own (112, 112, 3) crop, the same as `insightface.utils.face_align.norm_crop` cuts."""
    return derive(crop, ARCFACE_UNITS, ARCFACE_SIDE)


def derive_padded(crop: np.ndarray) -> np.ndarray:
    """The paper's (224, 224, 3) crop: the template's square extended by 30 %."""
    return derive(crop, PADDED_UNITS, PADDED_SIDE)


def _from_units(side_units: float, size: int, down: float = 0.0) -> np.ndarray:
    """(2, 3) matrix from units to a crop, `size` pixels that cover `side_units` about the centre, or `down` of it."""
    scale = size / side_units
    shift = (size - 1) / 2 - scale * (TEMPLATE_SIDE - 1) / 2
    return np.array([[scale, 0, shift], [0, scale, shift - scale * down]])


def _then(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The (2, 3) matrix that applies `first`, then `second`."""
    return second @ np.vstack([first, [0, 0, 1]])


def _resampled(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Warp an image by a similarity into (size, size, 3); where it shrinks, pixels average their area.

    To shrink, k x k points per pixel are sampled, as dense as the image's own pixels, and averaged.
    """
    k = int(np.clip(np.ceil(1 / np.hypot(matrix[0, 0], matrix[1, 0]) - 1e-6), 1, MOST_SAMPLES))
    dense = k * matrix + np.array([[0, 0, (k - 1) / 2]] * 2)
    warped = cv2.warpAffine(image, dense, (k * size, k * size), flags=cv2.INTER_LINEAR)  # black border
    return warped if k == 1 else cv2.resize(warped, (size, size), interpolation=cv2.INTER_AREA)
