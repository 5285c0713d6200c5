"""Labelled stills as a face network learns from them."""

from collections.abc import Iterator

import numpy as np
import torch

from emopipe.backbones.base import FaceInput
from emopipe.training import augment_image
from emopipe.training.augment_options import FaceAugmentation
from emopipe.training.dataset import Look
from emopipe.training.sharded_images import Held

AT_ONCE = 256
"""Stills that are looked at together outside of training."""


class StillLessons:
    """Stills that are cut already; see `emopipe.training.dataset.Lessons`."""

    def __init__(
        self,
        pixels: Held,
        targets: np.ndarray,
        split: np.ndarray,
        subject: np.ndarray,
        geometry: FaceInput,
        options: FaceAugmentation,
        side: int | None = None,
    ) -> None:
        """Pixels of `sharded_images.prepare`; `side` is that of faces that are learned from."""
        self.targets, self.split, self.subject = targets, split, subject
        self._pixels, self._geometry, self._options = pixels, geometry, options
        self._side = side or geometry.size

    def batch(self, rows: np.ndarray, rng: torch.Generator, device: torch.device) -> torch.Tensor:
        """(n, C, side, side) float32, varied."""
        images = self._images(rows, device)
        margin = images.shape[-1] / self._geometry.size
        return self._normalised(augment_image.vary(images, self._side, self._options, rng, margin=margin))

    def plain(self, rows: np.ndarray, device: torch.device) -> Iterator[Look]:
        """As they are, and mirrored."""
        for start in range(0, len(rows), AT_ONCE):
            images, size = self._images(rows[start : start + AT_ONCE], device), self._geometry.size
            views = [augment_image.middle(images, size, mirrored=mirrored) for mirrored in (False, True)]
            yield Look([self._normalised(view) for view in views])

    def _images(self, rows: np.ndarray, device: torch.device) -> torch.Tensor:
        """(n, C, side, side) uint8."""
        pixels = torch.from_numpy(self._pixels[rows]).to(device)
        return pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)

    def _normalised(self, images: torch.Tensor) -> torch.Tensor:
        geometry = self._geometry
        mean, std = (torch.tensor(v, device=images.device).view(1, -1, 1, 1) for v in (geometry.mean, geometry.std))
        return (images - mean) / std
