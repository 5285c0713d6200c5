"""What every face detector gives, and the framing of a video frame that every detector shares."""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

MIN_SPREAD = 2.0
"""Faces whose landmarks lie within fewer pixels than this cannot be aligned and are not reported."""


@dataclass(frozen=True, eq=False)
class Detections:
    """The N >= 0 faces of one frame, best score first; coordinates are pixels of that frame."""

    box: np.ndarray
    """(N, 4) float32: x1, y1, x2, y2; may reach beyond the frame where the face does."""
    landmarks: np.ndarray
    """(N, 5, 2) float32, ArcFace's order: image-left eye, image-right eye, nose, image-left mouth corner,
    image-right mouth corner."""
    score: np.ndarray
    """(N,) float32 in 0..1, each detector's own scale."""

    def __len__(self) -> int:
        """The number of faces."""
        return len(self.score)


class Detector(Protocol):
    """Finds the faces of one frame; equal frames give equal detections. One detector serves one thread."""

    device: str
    """cpu or cuda: where it really runs."""

    def __call__(self, frame: np.ndarray) -> Detections:
        """Find the faces of `frame`, (H, W, 3) uint8 BGR of any size from 1x1 on."""
        ...


@dataclass(frozen=True)
class Framing:
    """How a frame was scaled and bordered for a net, so that what the net found can be put back."""

    scale_x: float
    scale_y: float
    left: int
    top: int

    def undo(self, box: np.ndarray, landmarks: np.ndarray, score: np.ndarray) -> Detections:
        """The detections in the frame's own pixels, best first; what cannot be a face is left out.

        `box` (N, 4), `landmarks` (N, 5, 2) and `score` (N,) are in pixels of the net's image.
        """
        shift, scale = np.array([self.left, self.top]), np.array([self.scale_x, self.scale_y])
        box = ((np.reshape(box, (-1, 2, 2)) - shift) / scale).astype(np.float32)
        landmarks = ((np.reshape(landmarks, (-1, 5, 2)) - shift) / scale).astype(np.float32)
        score = np.reshape(score, -1).astype(np.float32)
        finite = np.isfinite(box).all((1, 2)) & np.isfinite(landmarks).all((1, 2)) & np.isfinite(score)
        whole = (box[:, 1] > box[:, 0]).all(1) & (np.ptp(landmarks, axis=1).max(1) >= MIN_SPREAD)
        order = np.argsort(-score, kind="stable")
        order = order[(finite & whole)[order]]
        return Detections(box[order].reshape(-1, 4), landmarks[order], score[order])


def frame_for_net(frame: np.ndarray, max_side: int, pad: float, *, multiple: int = 1) -> tuple[np.ndarray, Framing]:
    """Scale a frame down and put a black border around it, as a detector's net wants it.

    The border is for films of faces that fill the frame: some detectors, MTCNN most, find a face more surely
    with something around it. It is black, for a mirrored or smeared edge could itself be taken for a face.

    Args:
        frame: (H, W, 3) uint8.
        max_side: the longer side is brought down to this many pixels; smaller frames are left as they are.
        pad: border added on each side, as a fraction of the scaled frame's longer side.
        multiple: the image's sides are made divisible by this with more border at the right and bottom.

    Returns:
        The image (h, w, 3) uint8, and the framing that undoes it.
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
    return frame, Framing(new_w / width, new_h / height, border, border)
