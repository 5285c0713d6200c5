"""How faces are varied while a network learns: place, light, colour, sharpness, and what hides a part of them.

Every number is drawn on the CPU, so that equal seeds give equal draws on every device; pixels stay where they are.
"""

import math

import torch
import torch.nn.functional as F

from emopipe.training.augment_options import FaceAugmentation
from emopipe.training.samples import uniform

HELD_GREY = 127.0
"""What stands where a part of a face is erased: the middle of the range, which networks read as nothing."""


def held_side(size: int) -> int:
    """Side in pixels at which faces are held for a network that takes in `size`: about 1.15 times."""
    return size + 2 * round(0.075 * size)


def vary(
    images: torch.Tensor, size: int, options: FaceAugmentation, rng: torch.Generator, *, margin: float | None = None
) -> torch.Tensor:
    """Cut faces from the middle and vary them.

    Args:
        images: (n, C, side, side) of values 0 to 255.
        size: Side of what is cut, in pixels.
        options: How much is varied.
        rng: Draws.
        margin: How many times the face's side the images' is; left out, side / size, so that the scale stays.

    Returns:
        (n, C, size, size) float32.
    """
    images = _place(images.float(), size, margin or images.shape[-1] / size, options, rng)
    images = _colour(_light(images, options, rng), options, rng)
    return _erase(_blur(images, options, rng), options, rng)


def middle(images: torch.Tensor, size: int, *, mirrored: bool = False) -> torch.Tensor:
    """(n, C, side, side) -> (n, C, size, size) float32, the middle at the same scale, as it is or mirrored."""
    start = (images.shape[-1] - size) // 2
    cut = images[..., start : start + size, start : start + size].float()
    return cut.flip(-1) if mirrored else cut


def _place(
    images: torch.Tensor, size: int, margin: float, options: FaceAugmentation, rng: torch.Generator
) -> torch.Tensor:
    n, share = len(images), 1 / margin
    span = math.radians(options.rotation)
    angle = uniform(rng, -span, span, n)
    zoom = share * uniform(rng, 1 - options.scale, 1 + options.scale, n)
    mirror = torch.where(torch.rand(n, generator=rng) < 0.5, -1.0, 1.0) if options.mirror else torch.ones(n)
    shift = share * uniform(rng, -options.translate, options.translate, n, 2)
    cos, sin = zoom * torch.cos(angle), zoom * torch.sin(angle)
    rows = [torch.stack([mirror * cos, -sin, shift[:, 0]], 1), torch.stack([mirror * sin, cos, shift[:, 1]], 1)]
    theta = torch.stack(rows, 1).to(images.device)  # (n, 2, 3)
    grid = F.affine_grid(theta, [n, images.shape[1], size, size], align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _light(images: torch.Tensor, options: FaceAugmentation, rng: torch.Generator) -> torch.Tensor:
    n = len(images)
    contrast = uniform(rng, 1 - options.contrast, 1 + options.contrast, n, 1, 1, 1).to(images.device)
    brightness = uniform(rng, -options.brightness, options.brightness, n, 1, 1, 1).to(images.device)
    mean = images.mean((1, 2, 3), keepdim=True)
    return ((images - mean) * contrast + mean + brightness).clamp(0, 255)


def _colour(images: torch.Tensor, options: FaceAugmentation, rng: torch.Generator) -> torch.Tensor:
    saturation = uniform(rng, 1 - options.saturation, 1 + options.saturation, len(images), 1, 1, 1).to(images.device)
    if images.shape[1] == 1:
        return images
    grey = images.mean(1, keepdim=True)
    return ((images - grey) * saturation + grey).clamp(0, 255)


def _blur(images: torch.Tensor, options: FaceAugmentation, rng: torch.Generator) -> torch.Tensor:
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return torch.where(_chosen(options.blur, images, rng), blurred, images)


def _erase(images: torch.Tensor, options: FaceAugmentation, rng: torch.Generator) -> torch.Tensor:
    n, side = len(images), images.shape[-1]
    extent = uniform(rng, 0.15, options.erase_side, n, 2, 1)
    at = uniform(rng, 0, 1, n, 2, 1)
    inside = (torch.linspace(0, 1, side) - at).abs() < extent / 2  # (n, 2, side)
    rectangle = (inside[:, 0, :, None] & inside[:, 1, None, :])[:, None].to(images.device)  # (n, 1, side, side)
    return images.masked_fill(rectangle & _chosen(options.erase, images, rng), HELD_GREY)


def _chosen(share: float, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """(n, 1, 1, 1) bool: which images a variation is for."""
    return (torch.rand(len(images), 1, 1, 1, generator=rng) < share).to(images.device)
