"""A corpus' training clips in memory, as batches that a network is trained on: faces or stretches of sound."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F

from emopipe.backbones.base import AudioInput, FaceInput
from emopipe.faces.crops import read_crops
from emopipe.progress import Progress
from emopipe.sound import read_wave
from emopipe.spectra import spectrum
from emopipe.store import Reader

MARGIN = 1.15
"""Faces are held with this much more around them, as room for shifts, turns and zooms."""


class Samples(Protocol):
    """Samples of several clips; `clip` (n,) says whose each is, as a number into `clips`."""

    clips: list[str]
    clip: np.ndarray

    def batch(self, rows: np.ndarray, rng: torch.Generator | None) -> torch.Tensor:
        """The samples at `rows` as a network takes them in; with a generator, augmented."""
        ...


class FaceSamples:
    """Aligned faces of clips: every sampled frame in which the main face was found."""

    def __init__(self, shards: Sequence[Path], clips: Sequence[str], geometry: FaceInput) -> None:
        """Read the crops of `clips` out of the faces stage's shards."""
        self.geometry, wanted = geometry, set(clips)
        progress = Progress("reading faces", len(wanted))
        found: dict[str, np.ndarray] = {}
        for path in shards:
            with Reader(path) as faces:
                for clip in wanted.intersection(faces.clips):
                    if len(crops := read_crops(faces, clip, geometry, margin=MARGIN)):
                        found[clip] = _to_channels(crops, geometry)
                    progress.advance()
        self.clips = [clip for clip in clips if clip in found]
        side = round(MARGIN * geometry.size)
        self._pixels = np.concatenate(  # (n, side, side, 3) or (n, side, side) for grey, uint8
            [np.empty((0, side, side, *_colours(geometry)), np.uint8), *(found[clip] for clip in self.clips)]
        )
        self.clip = np.repeat(np.arange(len(self.clips)), [len(found[clip]) for clip in self.clips])

    def batch(self, rows: np.ndarray, rng: torch.Generator | None) -> torch.Tensor:
        """(n, C, size, size) float32; augmented by mirror, turn, zoom, shift, light, contrast, blur and erasing."""
        pixels = torch.from_numpy(self._pixels[rows])
        images = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)  # (n, C, side, side)
        placed = _place(images.float(), self.geometry.size, rng)
        if rng is not None:
            placed = _erase(_light(placed, rng), rng)
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (self.geometry.mean, self.geometry.std))
        return (placed - mean) / std


def _colours(geometry: FaceInput) -> tuple[int, ...]:
    return () if geometry.channels == 1 else (3,)


def _to_channels(crops: np.ndarray, geometry: FaceInput) -> np.ndarray:
    """(n, side, side, 3) BGR to the network's colours, still uint8."""
    if geometry.colour == "gray":
        return np.rint(crops @ np.array([0.114, 0.587, 0.299])).astype(np.uint8)
    return crops if geometry.colour == "bgr" else np.ascontiguousarray(crops[..., ::-1])


def _uniform(rng: torch.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    return low + (high - low) * torch.rand(*shape, generator=rng)


def _place(images: torch.Tensor, size: int, rng: torch.Generator | None) -> torch.Tensor:
    """Cut (n, C, size, size) out of the middle of (n, C, side, side); with a generator, mirrored, turned and moved."""
    n, share = len(images), size / images.shape[-1]
    angle = _uniform(rng, -0.2, 0.2, n) if rng else torch.zeros(n)  # radians
    zoom = share * (_uniform(rng, 0.9, 1.1, n) if rng else torch.ones(n))
    mirror = torch.where(torch.rand(n, generator=rng) < 0.5, -1.0, 1.0) if rng else torch.ones(n)
    shift = _uniform(rng, -0.08, 0.08, n, 2) if rng else torch.zeros(n, 2)  # of half the side
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
    contrast, brightness = _uniform(rng, 0.7, 1.3, n, 1, 1, 1), _uniform(rng, -25, 25, n, 1, 1, 1)
    images = ((images - mean) * contrast + mean + brightness).clamp(0, 255)
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return torch.where(torch.rand(n, 1, 1, 1, generator=rng) < 0.25, blurred, images)


def _erase(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Grey out a rectangle in a quarter of the faces, as a hand or hair would."""
    n, side = len(images), images.shape[-1]
    extent, at = _uniform(rng, 0.15, 0.4, n, 2, 1), _uniform(rng, 0, 1, n, 2, 1)
    line = torch.linspace(0, 1, side)
    inside = (line - at).abs() < extent / 2  # (n, 2, side)
    rectangle = inside[:, 0, :, None] & inside[:, 1, None, :]  # (n, side, side)
    rectangle &= torch.rand(n, 1, 1, generator=rng) < 0.25
    return images.masked_fill(rectangle[:, None], 127.0)


class SpeechSamples:
    """Sounds of clips as pictures; a batch holds stretches of one length."""

    def __init__(self, shards: Sequence[Path], clips: Sequence[str], picture: AudioInput, seconds: float) -> None:
        """Read the sound of `clips` out of the decode stage's shards and draw its pictures."""
        wanted, self._pictures = set(clips), list[torch.Tensor]()
        progress = Progress("reading sound", len(wanted))
        found: dict[str, torch.Tensor] = {}
        for path in shards:
            with Reader(path) as media:
                for clip in wanted.intersection(media.clips):
                    if len(wave := read_wave(media, clip)):
                        found[clip] = torch.from_numpy(spectrum(wave, picture.options)).half()  # (C, F, T)
                    progress.advance()
        self.clips = [clip for clip in clips if clip in found]
        self._pictures = [found[clip] for clip in self.clips]
        self.clip = np.arange(len(self.clips))
        self._frames = max(1, round(1000 * seconds / picture.options.hop_ms))

    def whole(self, row: int) -> torch.Tensor:
        """One clip's whole picture (1, C, F, T) float32."""
        return self._pictures[row][None].float()

    def batch(self, rows: np.ndarray, rng: torch.Generator | None) -> torch.Tensor:
        """(n, C, F, frames) float32: stretches, from the middle or, with a generator, from anywhere and augmented."""
        stretches = [_stretch(self._pictures[row].float(), self._frames, rng) for row in rows]
        return torch.stack(stretches)


def _stretch(picture: torch.Tensor, frames: int, rng: torch.Generator | None) -> torch.Tensor:
    """(C, F, frames): a short sound is repeated; with a generator, speed, bands and moments vary (SpecAugment)."""
    if rng is not None:
        speed = float(_uniform(rng, 0.85, 1.15, 1))
        length = max(1, round(picture.shape[-1] * speed))
        picture = F.interpolate(picture, size=length, mode="linear", align_corners=False)
    repeats = -(-frames // picture.shape[-1])
    picture = picture.repeat(1, 1, repeats) if repeats > 1 else picture
    room = picture.shape[-1] - frames
    start = room // 2 if rng is None else int(torch.randint(room + 1, (1,), generator=rng))
    cut = picture[..., start : start + frames]
    return cut if rng is None else _mask(cut.clone(), rng)


def _mask(picture: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Silence one band of frequencies and two moments (Park et al., SpecAugment, arXiv 1904.08779)."""
    for axis, widest in ((1, 0.15), (2, 0.1), (2, 0.1)):
        extent = picture.shape[axis]
        width = int(_uniform(rng, 0, widest, 1) * extent)
        start = int(torch.randint(extent - width + 1, (1,), generator=rng))
        picture.narrow(axis, start, width).zero_()
    return picture + 0.05 * torch.randn(picture.shape, generator=rng)
