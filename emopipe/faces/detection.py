"""What each face detector returns, and the letterboxing of frames that all detectors share."""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

MIN_SPREAD = 2.0
"""Faces whose landmarks are all within fewer pixels than this cannot be aligned. They are omitted."""


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


def letterbox(frame: np.ndarray, max_side: int, pad: float, *, multiple: int = 1) -> tuple[np.ndarray, Letterbox]:
    """Scale a frame down and add a black border, as the network of a detector needs it.

    The border helps with faces that fill the frame: some detectors, above all MTCNN, need something around a face. It
    is black because a mirrored or repeated edge could itself look like a face.

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
    if (new_w, new_h) != (width, height):
        frame = cv2.resize(frame, (new_w, new_h), interpolation=cv2.INTER_AREA)
    border = round(pad * max(new_w, new_h))
    right = border + -(new_w + 2 * border) % multiple
    bottom = border + -(new_h + 2 * border) % multiple
    if right or bottom:
        frame = cv2.copyMakeBorder(frame, border, bottom, border, right, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    return frame, Letterbox(new_w / width, new_h / height, border, border)
