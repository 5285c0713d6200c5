"""Labelled stills as a dataset for a face network."""

from collections.abc import Iterator

import numpy as np
import torch

from emopipe.backbones.base import FaceInput
from emopipe.runtime.device import upload
from emopipe.training import augment_image
from emopipe.training.augment_options import FaceAugmentation
from emopipe.training.dataset import EvalBatch
from emopipe.training.sharded_images import ShardedImages

EVAL_BATCH = 256
"""Number of stills in a batch for evaluation."""


class StillsDataset:
    """Cropped stills with targets; see `emopipe.training.dataset.Dataset`."""

    def __init__(
        self,
        images: ShardedImages | np.ndarray,
        targets: np.ndarray,
        split: np.ndarray,
        subject: np.ndarray,
        geometry: FaceInput,
        options: FaceAugmentation,
        side: int | None = None,
        clip: np.ndarray | None = None,
    ) -> None:
        """Create the dataset.

        Args:
            images: (n, side, side) grey or (n, side, side, 3) uint8 images with their margin, such as those that
                `sharded_images.prepare` wrote.
            targets: (n, classes) float32.
            split: (n,) `train`, `val` or "".
            subject: (n,) the person in the still; "" where unknown.
            geometry: The input of the network.
            options: The augmentation.
            side: Side in pixels of the faces in training. Default: the side of the network's input.
            clip: (n,) the number of the clip that each image is from. Default: each is from a clip of its own.
        """
        self.clip = np.arange(len(targets)) if clip is None else clip
        self.targets, self.split, self.subject = targets, split, subject
        self._stored, self._geometry, self._options = images, geometry, options
        self._side = side or geometry.size

    def batch(self, rows: np.ndarray, rng: torch.Generator, device: torch.device) -> torch.Tensor:
        """Return augmented faces (n, C, side, side) float32, normalised."""
        images = self._images(rows, device)
        margin = images.shape[-1] / self._geometry.size
        return self._normalised(augment_image.augment_faces(images, self._side, self._options, rng, margin=margin))

    def eval_batches(self, rows: np.ndarray, device: torch.device) -> Iterator[EvalBatch]:
        """Yield batches with two views: the faces (n, C, size, size), and the same mirrored."""
        for start in range(0, len(rows), EVAL_BATCH):
            images, size = self._images(rows[start : start + EVAL_BATCH], device), self._geometry.size
            views = [augment_image.center_crop(images, size, mirrored=mirrored) for mirrored in (False, True)]
            yield EvalBatch([self._normalised(view) for view in views])

    def _images(self, rows: np.ndarray, device: torch.device) -> torch.Tensor:
        """Return the images at `rows` as (n, C, side, side) uint8, with their margin."""
        pixels = upload(torch.from_numpy(self._stored[rows]), device)
        return pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)

    def _normalised(self, images: torch.Tensor) -> torch.Tensor:
        geometry = self._geometry
        mean, std = (torch.tensor(v, device=images.device).view(1, -1, 1, 1) for v in (geometry.mean, geometry.std))
        return (images - mean) / std
