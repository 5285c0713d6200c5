"""Training clips' faces in memory, and how they are varied."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from emopipe.backbones.base import FaceInput, Spec
from emopipe.faces.crops import read_crops
from emopipe.pretraining.options import PretrainOptions
from emopipe.pretraining.samples import uniform
from emopipe.progress import Progress
from emopipe.store import Reader

MARGIN = 1.15
"""Faces are held with this much more around them, as room for shifts, turns and zooms."""


def read(shards: Sequence[Path], clips: Sequence[str], spec: Spec, _options: PretrainOptions) -> "Faces":
    """The faces of `clips` out of the faces stage's shards, for the network that `spec` describes."""
    return Faces(shards, clips, spec.input)


class Faces:
    """Aligned faces of clips: every sampled frame in which the main face was found."""

    def __init__(self, shards: Sequence[Path], clips: Sequence[str], geometry: FaceInput) -> None:
        """Read the crops of `clips` out of the faces stage's shards."""
        self.geometry, wanted = geometry, set(clips)
        progress = Progress("reading faces", len(wanted))
        found: dict[str, np.ndarray] = {}  # clip -> (n, side, side) for grey or (n, side, side, 3), uint8
        for path in shards:
            with Reader(path) as faces:
                for clip in wanted.intersection(faces.clips):
                    if len(crops := read_crops(faces, clip, geometry, margin=MARGIN)):
                        found[clip] = geometry.colours(crops)
                    progress.advance()
        self.clips = [clip for clip in clips if clip in found]
        counts = [len(found[clip]) for clip in self.clips]
        self.clip = np.repeat(np.arange(len(self.clips)), counts)
        shape = found[self.clips[0]].shape[1:] if found else (0, 0)
        self._pixels = np.empty((sum(counts), *shape), np.uint8)
        for clip, stop in zip(self.clips, np.cumsum(counts), strict=True):
            faces_of_clip = found.pop(clip)  # so that no two copies of all faces are held
            self._pixels[stop - len(faces_of_clip) : stop] = faces_of_clip

    def batch(self, rows: np.ndarray, rng: torch.Generator | None) -> torch.Tensor:
        """(n, C, size, size) float32; augmented by mirror, turn, zoom, shift, light, contrast, blur and erasing."""
        pixels = torch.from_numpy(self._pixels[rows])
        images = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)  # (n, C, side, side)
        placed = _place(images.float(), self.geometry.size, rng)
        if rng is not None:
            placed = _erase(_light(placed, rng), rng)
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (self.geometry.mean, self.geometry.std))
        return (placed - mean) / std


def _place(images: torch.Tensor, size: int, rng: torch.Generator | None) -> torch.Tensor:
    """Cut (n, C, size, size) out of the middle of (n, C, side, side); with a generator, mirrored, turned and moved."""
    n, share = len(images), size / images.shape[-1]
    angle = uniform(rng, -0.2, 0.2, n) if rng else torch.zeros(n)  # radians
    zoom = share * (uniform(rng, 0.9, 1.1, n) if rng else torch.ones(n))
    mirror = torch.where(torch.rand(n, generator=rng) < 0.5, -1.0, 1.0) if rng else torch.ones(n)
    shift = uniform(rng, -0.08, 0.08, n, 2) if rng else torch.zeros(n, 2)  # of half the side
    cos, sin = zoom * torch.cos(angle), zoom * torch.sin(angle)
    theta = torch.stack(
        [torch.stack([mirror * cos, -sin, shift[:, 0]], 1), torch.stack([mirror * sin, cos, shift[:, 1]], 1)], 1
    )  # (n, 2, 3)
    grid = F.affine_grid(theta, [n, images.shape[1], size, size], align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _light(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Brightness, contrast and, for a quarter of the faces, blur."""
    n = len(images)
    mean = images.mean((1, 2, 3), keepdim=True)
    contrast, brightness = uniform(rng, 0.7, 1.3, n, 1, 1, 1), uniform(rng, -25, 25, n, 1, 1, 1)
    images = ((images - mean) * contrast + mean + brightness).clamp(0, 255)
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return torch.where(torch.rand(n, 1, 1, 1, generator=rng) < 0.25, blurred, images)


def _erase(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Grey out a rectangle in a quarter of the faces, as a hand or hair would."""
    n, side = len(images), images.shape[-1]
    extent, at = uniform(rng, 0.15, 0.4, n, 2, 1), uniform(rng, 0, 1, n, 2, 1)
    line = torch.linspace(0, 1, side)
    inside = (line - at).abs() < extent / 2  # (n, 2, side)
    rectangle = inside[:, 0, :, None] & inside[:, 1, None, :]  # (n, side, side)
    rectangle &= torch.rand(n, 1, 1, generator=rng) < 0.25
    return images.masked_fill(rectangle[:, None], 127.0)
