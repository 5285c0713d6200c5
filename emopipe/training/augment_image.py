"""Augmentation of faces in training: geometry, light, colour, blur, what clips bring, and random erasing.

All random numbers are drawn on the CPU, so that equal seeds give equal augmentation on every device. The pixels stay on
their device.
"""

import math

import torch
import torch.nn.functional as F

from emopipe.runtime.device import upload
from emopipe.training.augment_options import FaceAugmentation
from emopipe.training.degrade_image import degrade_faces
from emopipe.training.half_profile import draw_angles, turned_offsets
from emopipe.training.sampling import uniform

ERASED_GREY = 127.0
"""Grey level of erased rectangles: the middle of the range, which is close to 0 after normalisation."""


def held_side(size: int) -> int:
    """Return the side in pixels of stored faces for a network with inputs of `size` pixels: about 1.15 times `size`."""
    return size + 2 * round(0.075 * size)


def augment_faces(
    images: torch.Tensor, size: int, options: FaceAugmentation, rng: torch.Generator, *, margin: float | None = None
) -> torch.Tensor:
    """Crop faces from the middle of the images and augment them.

    Args:
        images: (n, C, side, side), values from 0 to 255.
        size: Side of the returned faces, in pixels.
        options: The strength of the augmentation.
        rng: The source of randomness, on the CPU.
        margin: Side of the images as a multiple of the face's side. Default: side / size, which keeps the scale.

    Returns:
        (n, C, size, size) float32, values from 0 to 255.
    """
    n, device = len(images), images.device

    # 1. Rotation, scale, mirroring, translation and half profiles.
    images = _transform(images.float(), size, margin or images.shape[-1] / size, options, rng)

    # 2. Contrast and brightness.
    contrast = upload(uniform(rng, 1 - options.contrast, 1 + options.contrast, n, 1, 1, 1), device)
    brightness = upload(uniform(rng, -options.brightness, options.brightness, n, 1, 1, 1), device)
    mean = images.mean((1, 2, 3), keepdim=True)
    images = ((images - mean) * contrast + mean + brightness).clamp(0, 255)

    # 3. Saturation.
    saturation = upload(uniform(rng, 1 - options.saturation, 1 + options.saturation, n, 1, 1, 1), device)
    if images.shape[1] > 1:
        grey = images.mean(1, keepdim=True)
        images = ((images - grey) * saturation + grey).clamp(0, 255)

    # 4. Blur: the mean of 3 x 3 pixels.
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    images = torch.where(upload(_bernoulli(options.blur, n, rng), device), blurred, images)

    # 5. What clips bring: strong blur, low light, few pixels and JPEG.
    images = degrade_faces(images, options, rng)

    # 6. Random erasing of a rectangle.
    extent = uniform(rng, 0.15, options.erase_side, n, 2, 1)
    center = uniform(rng, 0, 1, n, 2, 1)
    inside = (torch.linspace(0, 1, size) - center).abs() < extent / 2  # (n, 2, size)
    rectangle = (inside[:, 0, :, None] & inside[:, 1, None, :])[:, None]  # (n, 1, size, size)
    erased = rectangle & _bernoulli(options.erase, n, rng)
    return images.masked_fill(upload(erased, device), ERASED_GREY)


def center_crop(images: torch.Tensor, size: int, *, mirrored: bool = False) -> torch.Tensor:
    """Return the middle (n, C, size, size) float32 of images (n, C, side, side), not scaled; mirrored on request."""
    start = (images.shape[-1] - size) // 2
    cut = images[..., start : start + size, start : start + size].float()
    return cut.flip(-1) if mirrored else cut


def _transform(
    images: torch.Tensor, size: int, margin: float, options: FaceAugmentation, rng: torch.Generator
) -> torch.Tensor:
    """Sample (n, C, size, size) from the images with a random affine map, of a face that may be turned to the side."""
    n, share = len(images), 1 / margin
    limit = math.radians(options.rotation)
    angle = uniform(rng, -limit, limit, n)
    scale = share * uniform(rng, 1 - options.scale, 1 + options.scale, n)
    mirror = torch.where(torch.rand(n, generator=rng) < 0.5, -1.0, 1.0) if options.mirror else torch.ones(n)
    offset = share * uniform(rng, -options.translate, options.translate, n, 2)
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    rows = [torch.stack([mirror * cos, -sin, offset[:, 0]], 1), torch.stack([mirror * sin, cos, offset[:, 1]], 1)]
    theta = upload(torch.stack(rows, 1), images.device)  # (n, 2, 3)
    grid = F.affine_grid(theta, [n, images.shape[1], size, size], align_corners=False)  # (n, size, size, 2)
    if options.yaw:
        offsets = upload(turned_offsets(draw_angles(options.yaw, options.yaw_angle, n, rng), size), images.device)
        grid = grid + offsets[:, None, :, None] * theta[:, None, None, :, 0]  # along the face's own horizontal axis
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _bernoulli(probability: float, n: int, rng: torch.Generator) -> torch.Tensor:
    """Return (n, 1, 1, 1) bool, each True with the given probability."""
    return torch.rand(n, 1, 1, 1, generator=rng) < probability
