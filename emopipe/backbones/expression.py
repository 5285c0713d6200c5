"""A compact expression network for machines without an accelerator; this project's own, to be trained on stills.

A residual network (He et al., arXiv 1512.03385): a stem of two convolutions that halves the side, three stages of
residual units that each halve it but the first, and a head that, like ArcFace's output settings, keeps where on the
aligned face something was seen: instead of averaging the map, each channel weighs its places by a filter of its own
(the global depthwise convolution of Chen et al., MobileFaceNets, arXiv 1804.07573), then BN-Dropout-FC-BN.
The face is grey by default, as colour says more about skin and light than about expression.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import nn

from emopipe.backbones.base import FaceInput, Spec
from emopipe.options import Number, Options


class BackboneOptions(Options):
    """The network's size and what it sees."""

    size: int = Field(48, ge=16, multiple_of=8)
    """Side of the face in pixels."""
    width: int = Field(64, ge=2)
    """Channels of the first stage; the second and third have two and four times as many, the stem half."""
    units: list[int] = Field([2, 2, 2], min_length=3, max_length=3)
    """Residual units of each stage, at least 1."""
    dim: int = Field(128, ge=1)
    """Length of the vectors."""
    dropout: Number = Field(0.4, ge=0, lt=1)
    """Dropout before the last layer while training."""
    colour: Literal["gray", "rgb"] = "gray"
    """One grey channel, or three."""
    side_units: Number = Field(100.0, gt=0)
    """Side of the face in ArcFace's template units; by default about what the stills of FER2013 show."""
    down: Number = 7.0
    """How far the face's centre lies below that of the template, in its units; as in FER2013's stills."""

    @field_validator("units")
    @classmethod
    def _every_stage_has_units(cls, units: list[int]) -> list[int]:
        if min(units) < 1:
            raise ValueError(f"units is {units}, but every stage needs at least 1")
        return units


def spec(options: BackboneOptions) -> Spec:
    """The options' face in, `dim` numbers out."""
    channels = 1 if options.colour == "gray" else 3
    mean = std = (127.5,) * channels
    return Spec(
        modality="face",
        input=FaceInput(options.side_units, options.size, options.colour, mean, std, options.down),
        dim=options.dim,
        licence="this project's own",
        citation="this project, after Deng et al., CVPR 2019, and Chen et al., arXiv 1804.07573",
    )


def build(options: BackboneOptions) -> "ExpressionNet":
    """The network with fresh weights, drawn from torch's global seed."""
    return ExpressionNet(options)


class Unit(nn.Module):
    """Residual unit, Conv-BN-ReLU-Conv-BN, then the sum and ReLU; the first convolution strides."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Channels in and out; a unit that changes the shape projects its shortcut."""
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = None
        if stride != 1 or inputs != outputs:
            # Averaging before the projection uses every place (He et al., arXiv 1812.01187).
            pooled = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
            self.shortcut = nn.Sequential(pooled, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.shortcut is None else self.shortcut(x)))


def _convolution(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


def _stage(inputs: int, outputs: int, units: int, stride: int) -> nn.Sequential:
    return nn.Sequential(Unit(inputs, outputs, stride), *(Unit(outputs, outputs, 1) for _ in range(units - 1)))


class ExpressionNet(nn.Module):
    """A stem, three stages, a head."""

    def __init__(self, options: BackboneOptions) -> None:
        """Fresh weights by He's initialisation."""
        super().__init__()
        inputs, width = (1 if options.colour == "gray" else 3), options.width
        # 1. stem: 48 -> 24
        self.stem = nn.Sequential(*_convolution(inputs, width // 2, 1), *_convolution(width // 2, width, 2))
        # 2. stages: 24 -> 12 -> 6
        stages = [_stage(width, width, options.units[0], 1)]
        stages += [_stage(width << n, width << n + 1, options.units[n + 1], 2) for n in range(2)]
        self.stages = nn.Sequential(*stages)
        # 3. head: a filter over the whole map for each channel, then the vector
        side = options.size // 8
        self.places = nn.Conv2d(4 * width, 4 * width, side, groups=4 * width, bias=False)
        self.norm = nn.BatchNorm1d(4 * width)
        self.dropout = nn.Dropout(options.dropout)
        self.fc = nn.Linear(4 * width, options.dim)
        self.features = nn.BatchNorm1d(options.dim)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, size, size) -> (N, dim)."""
        x = self.stages(self.stem(x))  # (N, 4 * width, size / 8, size / 8)
        x = self.places(x).flatten(1)  # (N, 4 * width)
        return self.features(self.fc(self.dropout(self.norm(x))))  # (N, dim)
