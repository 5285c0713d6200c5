"""What each face detector returns, and the scaling and padding of frames that all detectors share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import cv2
import numpy as np

MIN_SPREAD = 2.0
"""Faces whose landmarks are all within fewer pixels than this cannot be aligned. They are omitted."""

FILLS = 1.0
"""A face whose box has this share of the frame's height or width fills the frame."""


@dataclass(frozen=True, eq=False)
class Detections:
    """The N >= 0 faces of one frame, best score first; coordinates are pixels of that frame."""

    box: np.ndarray
    """(N, 4) float32: x1, y1, x2, y2; may extend beyond the frame if the face does."""
    landmarks: np.ndarray
    """(N, 5, 2) float32, ArcFace's order: left eye, right eye, nose, left mouth corner, right mouth corner, where left
    and right are those of the image."""
    score: np.ndarray
    """(N,) float32 in 0..1; each detector has its own scale."""

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.score)


class Detector(Protocol):
    """Finds the faces of a frame. Equal frames give equal detections. Each thread needs its own detector."""

    device: str
    """The device on which it runs: cpu or cuda."""

    def __call__(self, frame: np.ndarray) -> Detections:
        """Find the faces of `frame`, (H, W, 3) uint8 BGR of any size from 1x1."""
        ...


@runtime_checkable
class BatchDetector(Detector, Protocol):
    """A detector that is faster if it takes several frames at once."""

    batch: int
    """How many frames it takes at once."""

    def many(self, frames: Sequence[np.ndarray]) -> list[Detections]:
        """Find the faces of each of some frames of one size, (H, W, 3) uint8 BGR."""
        ...


@dataclass(frozen=True)
class Letterbox:
    """How a frame was scaled and padded for a network, so that detections can be mapped back to the frame."""

    scale_x: float
    scale_y: float
    left: int
    top: int

    def to_frame(self, box: np.ndarray, landmarks: np.ndarray, score: np.ndarray) -> Detections:
        """Return detections in the frame's own pixels, best score first, without those that cannot be a face.

        Args:
            box: (N, 4) in pixels of the network's image.
            landmarks: (N, 5, 2) in pixels of the network's image.
            score: (N,).
        """
        shift, scale = np.array([self.left, self.top]), np.array([self.scale_x, self.scale_y])
        box = ((np.reshape(box, (-1, 2, 2)) - shift) / scale).astype(np.float32)
        landmarks = ((np.reshape(landmarks, (-1, 5, 2)) - shift) / scale).astype(np.float32)
        score = np.reshape(score, -1).astype(np.float32)
        finite = np.isfinite(box).all((1, 2)) & np.isfinite(landmarks).all((1, 2)) & np.isfinite(score)
        valid = (box[:, 1] > box[:, 0]).all(1) & (np.ptp(landmarks, axis=1).max(1) >= MIN_SPREAD)
        order = np.argsort(-score, kind="stable")
        order = order[(finite & valid)[order]]
        return Detections(box[order].reshape(-1, 4), landmarks[order], score[order])


Found = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Boxes (N, 4) and landmarks (N, 5, 2) in pixels of a network's image, and scores (N,)."""


def search(
    frame: np.ndarray, max_side: int, pad: float, find: Callable[[np.ndarray], Found], *, multiple: int = 1
) -> Detections:
    """Return the faces of a frame; see `search_all`. `find` finds those in the network's image."""
    return search_all([frame], max_side, pad, lambda images: [find(image) for image in images], multiple=multiple)[0]


def search_all(
    frames: Sequence[np.ndarray],
    max_side: int,
    pad: float,
    find: Callable[[Sequence[np.ndarray]], list[Found]],
    *,
    multiple: int = 1,
) -> list[Detections]:
    """Return the faces of frames. One without a face, or whose best one fills it, is searched again with a border.

    Detectors miss faces that are larger than the frame, or misplace their landmarks, because they need something around
    a face. A border for all frames would cost time in each, or make other faces smaller.

    Args:
        frames: (H, W, 3) uint8, of one size.
        max_side: The longer side of the network's image, in both searches.
        pad: The border of the second search, see `letterbox`; 0 for no such search.
        find: Finds the faces in each of the network's images, of one size.
        multiple: See `letterbox`.
    """
    found = _search_once(frames, max_side, 0.0, find, multiple)
    if not pad:
        return found
    unsure = [n for n, faces in enumerate(found) if not len(faces) or _fills(faces.box[0], frames[n])]
    again = _search_once([frames[n] for n in unsure], round(max_side / (1 + 2 * pad)), pad, find, multiple)
    for n, faces in zip(unsure, again, strict=True):
        found[n] = faces if len(faces) else found[n]
    return found


def _search_once(
    frames: Sequence[np.ndarray],
    max_side: int,
    pad: float,
    find: Callable[[Sequence[np.ndarray]], list[Found]],
    multiple: int,
) -> list[Detections]:
    if not frames:
        return []
    boxed = [letterbox(frame, max_side, pad, multiple=multiple) for frame in frames]
    found = find([image for image, _ in boxed])
    return [padding.to_frame(*faces) for (_, padding), faces in zip(boxed, found, strict=True)]


def _fills(box: np.ndarray, frame: np.ndarray) -> bool:
    """Return whether a box (4,) is about as high or as wide as the frame."""
    return bool((box[2:] - box[:2] >= FILLS * np.array(frame.shape[1::-1])).any())


def letterbox(frame: np.ndarray, max_side: int, pad: float, *, multiple: int = 1) -> tuple[np.ndarray, Letterbox]:
    """Scale a frame down and add a black border, as the network of a detector needs it.

    The border is black because a mirrored or repeated edge could itself look like a face.

    Args:
        frame: (H, W, 3) uint8.
        max_side: The longer side is scaled down to this many pixels; smaller frames keep their size.
        pad: The border on each side, as a fraction of the scaled frame's longer side.
        multiple: The sides of the image become divisible by this number, by a wider border at the right and bottom.

    Returns:
        The image (h, w, 3) uint8, and the letterbox that maps detections back.
    """
    height, width = frame.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    new_w, new_h = max(1, round(width * scale)), max(1, round(height * scale))
    frame = shrink(frame, new_w, new_h)
    border = round(pad * max(new_w, new_h))
    right = border + -(new_w + 2 * border) % multiple
    bottom = border + -(new_h + 2 * border) % multiple
    if right or bottom:
        frame = cv2.copyMakeBorder(frame, border, bottom, border, right, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    return frame, Letterbox(new_w / width, new_h / height, border, border)


def shrink(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return an image (H, W, 3) scaled down to (height, width, 3), without aliasing and faster than INTER_AREA.

    It is halved as often as possible. Of the rest, which is less than a half, each pixel is interpolated from the 2 x 2
    pixels about it.
    """
    image = halved(image, width, height)
    if image.shape[1::-1] == (width, height):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def halved(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return an image (H, W, 3) that is halved, by the means of 2 x 2 pixels, while it stays as large as that size."""
    while min(image.shape[0] / height, image.shape[1] / width) >= 2:
        half = image.shape[1] // 2, image.shape[0] // 2
        even = image[: 2 * half[1], : 2 * half[0]]
        image = cv2.resize(even, half, interpolation=cv2.INTER_AREA)
    return image
