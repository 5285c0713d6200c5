"""What cameras and codecs do to faces in clips: strong blur, low light with noise, few pixels, and JPEG.

All random numbers are drawn on the CPU. For what has the share 0 none is drawn, so that it changes no other draw.
"""

import functools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from emopipe.runtime.device import upload
from emopipe.training import jpeg_blocks
from emopipe.training.augment_options import FaceAugmentation
from emopipe.training.sampling import uniform

LEAST_WIDTH = 0.01
"""Smallest standard deviation of strong blur, as a share of the face's side."""
BEST_QUALITY = 75.0
"""Highest quality of JPEG in training, which is libjpeg's default."""
DARK_NOISE = 0.1
"""The share of the noise's variance that does not depend on the light."""


def degrade_faces(images: torch.Tensor, options: FaceAugmentation, rng: torch.Generator) -> torch.Tensor:
    """Degrade shares of the faces, each chosen on its own, in the order of a camera: optics, sensor, encoder.

    Args:
        images: (n, C, size, size) float32, values from 0 to 255.
        options: The shares and strengths.
        rng: The source of randomness, on the CPU.

    Returns:
        (n, C, size, size) float32, values from 0 to 255.
    """
    steps = (
        (options.strong_blur, _blur),
        (options.low_light, _darken),
        (options.small, _shrink),
        (options.jpeg, _compress),
    )
    for share, change in steps:
        if share:
            images = _change_share(images, share, change, options, rng)
    return images


def _change_share(
    images: torch.Tensor,
    share: float,
    change: Callable[[torch.Tensor, FaceAugmentation, torch.Generator], torch.Tensor],
    options: FaceAugmentation,
    rng: torch.Generator,
) -> torch.Tensor:
    """Change each face with the probability `share`; the others are not computed."""
    chosen = (torch.rand(len(images), generator=rng) < share).nonzero()[:, 0]
    if not len(chosen):
        return images
    rows = upload(chosen, images.device)
    return images.index_copy(0, rows, change(images[rows], options, rng))


def _blur(faces: torch.Tensor, options: FaceAugmentation, rng: torch.Generator) -> torch.Tensor:
    """Blur by a Gaussian, or along a line as motion does, both of the same standard deviation."""
    n, channels, size = faces.shape[:3]
    deviation = size * uniform(rng, min(LEAST_WIDTH, options.strong_blur_width), options.strong_blur_width, n)
    angle = uniform(rng, 0, math.pi, n)
    is_motion = torch.rand(n, generator=rng) < 0.5
    reach = math.ceil(2.5 * size * options.strong_blur_width)
    kernels = torch.where(
        is_motion[:, None, None], _line_kernels(deviation, angle, reach), _gaussian_kernels(deviation, reach)
    )
    kernels = kernels / kernels.sum((1, 2), keepdim=True)
    weights = upload(kernels.repeat_interleave(channels, 0)[:, None], faces.device)  # (n C, 1, k, k)
    padded = F.pad(faces, (reach,) * 4, mode="replicate")
    planes = padded.flatten(0, 1)[None]  # (1, n C, size + 2 reach, size + 2 reach)
    return F.conv2d(planes, weights, groups=n * channels).reshape(faces.shape)


def _gaussian_kernels(deviation: torch.Tensor, reach: int) -> torch.Tensor:
    """Return (n, 2 reach + 1, 2 reach + 1) Gaussians, not normalised, for standard deviations (n,) in pixels."""
    at = torch.arange(-reach, reach + 1)
    line = torch.exp(-(at**2) / (2 * deviation[:, None] ** 2))  # (n, k)
    return line[:, :, None] * line[:, None, :]


def _line_kernels(deviation: torch.Tensor, angle: torch.Tensor, reach: int) -> torch.Tensor:
    """Return (n, 2 reach + 1, 2 reach + 1) soft lines one pixel wide. Length L has the deviation L / sqrt 12."""
    at = torch.arange(-reach, reach + 1)
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    along, across = at * cos + at[:, None] * sin, at[:, None] * cos - at * sin  # (n, k, k)
    beyond = (along.abs() - math.sqrt(3) * deviation[:, None, None]).clamp(min=0)
    return (1 - torch.hypot(across, beyond)).clamp(min=0)


def _darken(faces: torch.Tensor, options: FaceAugmentation, rng: torch.Generator) -> torch.Tensor:
    """Darken, deepen the shadows by a gamma, and add the noise of a sensor.

    The variance of the noise grows linearly with the light (Foi et al., Practical Poissonian-Gaussian noise modeling,
    IEEE TIP 2008), from DARK_NOISE of that at white.
    """
    n, device = len(faces), faces.device
    level = upload(uniform(rng, options.low_light_level, 1, n, 1, 1, 1), device)
    gamma = upload(uniform(rng, 1, options.low_light_gamma, n, 1, 1, 1), device)
    strength = upload(uniform(rng, 0, options.low_light_noise, n, 1, 1, 1), device)
    noise = upload(torch.randn(faces.shape, generator=rng), device)
    light = level * (faces / 255) ** gamma  # from 0 to 1
    return (255 * light + strength * torch.sqrt(DARK_NOISE + (1 - DARK_NOISE) * light) * noise).clamp(0, 255)


def _shrink(faces: torch.Tensor, options: FaceAugmentation, rng: torch.Generator) -> torch.Tensor:
    """Scale each face down to a side of its own and up again, bilinearly."""
    size = faces.shape[-1]
    share = uniform(rng, options.small_side, 1, len(faces))
    sides = (share * size).round().clamp(min=1).int().tolist()
    maps = upload(torch.stack([_there_and_back(size, side) for side in sides])[:, None], faces.device)
    return maps @ faces @ maps.mT  # (n, C, size, size)


@functools.cache
def _there_and_back(size: int, side: int) -> torch.Tensor:
    """Return the matrix (size, size) that scales a column of pixels to `side` pixels and back."""
    columns = torch.eye(size)[None, None]
    small = F.interpolate(columns, size=(side, size), mode="bilinear", antialias=True, align_corners=False)
    return F.interpolate(small, size=(size, size), mode="bilinear", align_corners=False)[0, 0]


def _compress(faces: torch.Tensor, options: FaceAugmentation, rng: torch.Generator) -> torch.Tensor:
    """Show the artefacts of JPEG. The grid of its blocks starts anywhere, as a face is anywhere in a frame."""
    worst = options.jpeg_quality
    quality = uniform(rng, worst, max(worst, BEST_QUALITY), len(faces))
    top, left = torch.randint(jpeg_blocks.BLOCK, (2,), generator=rng).tolist()
    return jpeg_blocks.compress(faces, upload(quality, faces.device), (top, left))
