"""The faces of training clips in memory, and their augmentation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from emopipe.backbones.base import FaceInput, Spec
from emopipe.cache.store import Reader
from emopipe.core.log import LOGGER, Progress
from emopipe.faces.crops import read_crops
from emopipe.training.augment_image import augment_faces, center_crop, held_side
from emopipe.training.augment_options import FaceAugmentation
from emopipe.training.options import PretrainOptions


def read(shards: Sequence[Path], clips: Sequence[str], spec: Spec, _options: PretrainOptions) -> "Faces":
    """Read the faces of `clips` from the shards of the faces stage, for the network that `spec` describes."""
    return Faces(shards, clips, spec.input)


class Faces:
    """Aligned faces of clips; see `emopipe.training.samples.Samples`.

    Every sampled frame in which the main face was found is one sample.
    """

    def __init__(self, shards: Sequence[Path], clips: Sequence[str], geometry: FaceInput) -> None:
        """Read the crops of `clips` from the shards of the faces stage; clips without a face are omitted."""
        self.geometry, wanted = geometry, set(clips)
        margin = held_side(geometry.size) / geometry.size
        progress = Progress("reading faces", len(wanted))
        found: dict[str, np.ndarray] = {}  # clip -> (n, side, side) for grey or (n, side, side, 3), uint8
        for path in shards:
            with Reader(path) as faces:
                for clip in wanted.intersection(faces.clips):
                    progress.advance()
                    try:
                        crops = read_crops(faces, clip, geometry, margin=margin)
                    except ValueError as error:
                        LOGGER.warning(f"clip {clip}: the network is trained without it. {error}")
                        continue
                    if len(crops):
                        found[clip] = geometry.convert_channels(crops)
        self.clips = [clip for clip in clips if clip in found]
        counts = [len(found[clip]) for clip in self.clips]
        self.clip = np.repeat(np.arange(len(self.clips)), counts)
        shape = found[self.clips[0]].shape[1:] if found else (0, 0)
        self._pixels = np.empty((sum(counts), *shape), np.uint8)
        for clip, stop in zip(self.clips, np.cumsum(counts), strict=True):
            faces_of_clip = found.pop(clip)  # so that memory never holds two copies of all faces
            self._pixels[stop - len(faces_of_clip) : stop] = faces_of_clip

    def batch(self, rows: np.ndarray, rng: torch.Generator | None) -> torch.Tensor:
        """Return faces (n, C, size, size) float32, normalised.

        With a generator, they are augmented with the defaults of `FaceAugmentation`.
        """
        pixels = torch.from_numpy(self._pixels[rows])
        images = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)  # (n, C, side, side)
        size = self.geometry.size
        faces = center_crop(images, size) if rng is None else augment_faces(images, size, FaceAugmentation(), rng)
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (self.geometry.mean, self.geometry.std))
        return (faces - mean) / std
