"""A compact network for facial expressions, fast enough for machines without an accelerator.

Architecture: a residual network of a stem (one convolution, which halves the side), three stages of residual units (the
second and third halve the side), and a head. The head uses the position of a feature on the aligned face: it weights
each channel by a spatial filter of its own (a global depthwise convolution) instead of averaging it over the map, then
applies BN-Dropout-FC-BN. The filter is resized for maps of other sides, so early training can use smaller faces, which
is faster. By default it has 2.74 M parameters.
Source: this project, after He et al., arXiv 1512.03385, and Chen et al., MobileFaceNets, arXiv 1804.07573.
Input: (N, 1, 48, 48), grey faces, scaled to [-1, 1]. Grey is the default, because colour depends on skin and light more
than on the expression.
Output: (N, 128).
Weights: `expression` of the registry, for research only, as the data it was trained on.
"""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from emopipe.backbones.base import FaceInput, Spec
from emopipe.backbones.residual import Units, initialise, stage
from emopipe.core.options import Number, Options


class BackboneOptions(Options):
    """The network's size and its input."""

    renamed: ClassVar = {"side_units": "crop_units", "down": "center_offset_y"}

    size: int = Field(48, ge=16, multiple_of=8)
    """Side of the face in pixels."""
    width: int = Field(64, ge=2)
    """Channels of the stem and the first stage. The second stage has twice as many, the third four times."""
    units: Units = Field([1, 2, 2])
    """Residual units of each of the three stages, at least 1 each."""
    dim: int = Field(128, ge=1)
    """Length of the vectors."""
    dropout: Number = Field(0.4, ge=0, lt=1)
    """Dropout before the last layer in training."""
    colour: Literal["gray", "rgb"] = "gray"
    """One grey channel, or three colour channels."""
    crop_units: Number = Field(100.0, gt=0)
    """Side of the crop in ArcFace's template units. The default is about what FER2013's images show."""
    center_offset_y: Number = 7.0
    """Distance of the crop's centre below the template's centre, in template units; the default is FER2013's."""


def spec(options: BackboneOptions) -> Spec:
    """Return the specification: the face that the options describe, and `dim` values."""
    channels = 1 if options.colour == "gray" else 3
    mean = std = (127.5,) * channels
    return Spec(
        modality="face",
        input=FaceInput(options.crop_units, options.size, options.colour, mean, std, options.center_offset_y),
        dim=options.dim,
        licence="this project's own",
        citation="this project, after Deng et al., CVPR 2019, and Chen et al., arXiv 1804.07573",
        any_side=True,
    )


def build(options: BackboneOptions) -> "ExpressionNet":
    """Build the network with random weights, drawn from torch's global generator."""
    return ExpressionNet(options)


class ExpressionNet(nn.Module):
    """A stem, three stages and a head."""

    def __init__(self, options: BackboneOptions) -> None:
        """Initialise the convolutions by He's method."""
        super().__init__()
        inputs, width = (1 if options.colour == "gray" else 3), options.width
        # 1. stem: 48 -> 24
        self.stem = nn.Sequential(nn.Conv2d(inputs, width, 6, 2, 2, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        # 2. stages: 24 -> 12 -> 6
        stages = [stage(width, width, options.units[0], stride=1)]
        stages += [stage(width << n, width << n + 1, options.units[n + 1], stride=2) for n in range(2)]
        self.stages = nn.Sequential(*stages)
        # 3. head: one filter over the whole map for each channel, then the vector
        side = options.size // 8
        self.places = nn.Parameter(torch.randn(4 * width, side, side) / side)
        self.norm = nn.BatchNorm1d(4 * width)
        self.dropout = nn.Dropout(options.dropout)
        self.fc = nn.Linear(4 * width, options.dim)
        self.features = nn.BatchNorm1d(options.dim)
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, size, size) -> (N, dim). An image of another size shows the same face, smaller or larger."""
        x = self.stages(self.stem(x))  # (N, 4 * width, size / 8, size / 8)
        x = torch.einsum("nchw,chw->nc", x, self._places(x.shape[-1]).to(x.dtype))  # (N, 4 * width)
        return self.features(self.fc(self.dropout(self.norm(x))))  # (N, dim)

    def _places(self, side: int) -> torch.Tensor:
        """Resize each channel's filter to a map of that side, (4 * width, side, side); the sum of its weights stays."""
        own = self.places.shape[-1]
        if side == own:
            return self.places
        stretched = F.interpolate(self.places[None], size=(side, side), mode="bilinear", align_corners=False)[0]
        return stretched * (own / side) ** 2
