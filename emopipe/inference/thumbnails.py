"""Small pictures of a file, evenly over its time and few, whatever its length."""

import cv2
import numpy as np

from emopipe.faces.detection import shrink

MOST = 48
"""At most so many pictures are kept; then every second one is dropped."""
HEIGHT = 144
"""The height of a picture in pixels; smaller frames keep their size."""


class Thumbnails:
    """Pictures with their times."""

    def __init__(self) -> None:
        """Begin a file."""
        self._kept: list[tuple[float, np.ndarray]] = []
        self._next, self._spacing = 0.0, 0.0

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._kept)

    def add(self, time: float, image: np.ndarray) -> None:
        """Take a frame (H, W, 3) uint8 BGR; the times increase."""
        if time < self._next - 1e-6:
            return
        height, width = image.shape[:2]
        if height > HEIGHT:
            image = shrink(image, max(1, round(width * HEIGHT / height)), HEIGHT)
        self._kept.append((time, image))
        if len(self._kept) > MOST:
            self._kept = self._kept[::2]
            self._spacing = float(np.median(np.diff([kept for kept, _ in self._kept])))
        self._next = self._kept[-1][0] + self._spacing

    @property
    def pictures(self) -> list[tuple[float, np.ndarray]]:
        """Times in seconds, and pictures (H, W, 3) uint8 RGB."""
        return [(time, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)) for time, image in self._kept]
