"""A compact expression network for machines without an accelerator; this project's own, to be trained on stills.

A residual network (He et al., arXiv 1512.03385): a stem of one convolution that halves the side (a second one at full
size took a sixth of the time and hardly any of the arithmetic), three stages of residual units that each halve it but
the first, and a head that, like ArcFace's output settings, keeps where on the aligned face something was seen: instead
of averaging the map, each channel weighs its places by a filter of its own (the global depthwise convolution of Chen et
al., MobileFaceNets, arXiv 1804.07573), then BN-Dropout-FC-BN. The filter is stretched over maps of other sides, so that
the network can begin to learn from small pictures, which take less time.
The face is grey by default, as colour says more about skin and light than about expression.
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
    """The network's size and what it sees."""

    renamed: ClassVar = {"side_units": "crop_units", "down": "center_offset_y"}

    size: int = Field(48, ge=16, multiple_of=8)
    """Side of the face in pixels."""
    width: int = Field(64, ge=2)
    """Channels of the stem and the first stage; the second and third have two and four times as many."""
    units: Units = Field([1, 2, 2])
    """Residual units of each of the three stages, at least 1."""
    dim: int = Field(128, ge=1)
    """Length of the vectors."""
    dropout: Number = Field(0.4, ge=0, lt=1)
    """Dropout before the last layer while training."""
    colour: Literal["gray", "rgb"] = "gray"
    """One grey channel, or three."""
    crop_units: Number = Field(100.0, gt=0)
    """Side of the face in ArcFace's template units; by default about what the stills of FER2013 show."""
    center_offset_y: Number = 7.0
    """How far the face's centre lies below that of the template, in its units; as in FER2013's stills."""


def spec(options: BackboneOptions) -> Spec:
    """The options' face in, `dim` numbers out."""
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
    """The network with fresh weights, drawn from torch's global seed."""
    return ExpressionNet(options)


class ExpressionNet(nn.Module):
    """A stem, three stages, a head."""

    def __init__(self, options: BackboneOptions) -> None:
        """Fresh weights by He's initialisation."""
        super().__init__()
        inputs, width = (1 if options.colour == "gray" else 3), options.width
        # 1. stem: 48 -> 24
        self.stem = nn.Sequential(nn.Conv2d(inputs, width, 6, 2, 2, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        # 2. stages: 24 -> 12 -> 6
        stages = [stage(width, width, options.units[0], stride=1)]
        stages += [stage(width << n, width << n + 1, options.units[n + 1], stride=2) for n in range(2)]
        self.stages = nn.Sequential(*stages)
        # 3. head: a filter over the whole map for each channel, then the vector
        side = options.size // 8
        self.places = nn.Parameter(torch.randn(4 * width, side, side) / side)
        self.norm = nn.BatchNorm1d(4 * width)
        self.dropout = nn.Dropout(options.dropout)
        self.fc = nn.Linear(4 * width, options.dim)
        self.features = nn.BatchNorm1d(options.dim)
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, size, size) -> (N, dim); pictures of another side are read as the same face, smaller or larger."""
        x = self.stages(self.stem(x))  # (N, 4 * width, size / 8, size / 8)
        x = torch.einsum("nchw,chw->nc", x, self._places(x.shape[-1]).to(x.dtype))  # (N, 4 * width)
        return self.features(self.fc(self.dropout(self.norm(x))))  # (N, dim)

    def _places(self, side: int) -> torch.Tensor:
        """(4 * width, side, side): each channel's filter over a map of that side, with the same sum of weights."""
        own = self.places.shape[-1]
        if side == own:
            return self.places
        stretched = F.interpolate(self.places[None], size=(side, side), mode="bilinear", align_corners=False)[0]
        return stretched * (own / side) ** 2
