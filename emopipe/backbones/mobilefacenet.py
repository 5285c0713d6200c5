"""MobileFaceNet: a small network for face recognition, to be trained further on emotions.

Architecture: a stem, fifteen inverted residual units (Sandler et al., MobileNetV2, arXiv 1801.04381) and a global
depthwise convolution: a filter over the whole map for each channel, so that it matters where on the aligned face a
feature is. 0.99 M parameters. The published file has its batch normalisation folded into the convolutions; here each
convolution has one again for further training, which starts as the identity. The last filter is resized for maps of
other sides: a face of 64 pixels has a third of the pixels of one of 112.
Source: Chen et al., MobileFaceNets, CCBR 2018, arXiv 1804.07573.
Input: (N, 3, 112, 112), RGB faces, normalised as for ImageNet.
Output: (N, 128), the identity vector before its length is normalised.
Weights: an ONNX file of the published network, or what `pretrain` made of it.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from emopipe.backbones import imagenet
from emopipe.backbones.base import FaceInput, Spec
from emopipe.backbones.onnx_weights import convolutions
from emopipe.backbones.residual import initialise
from emopipe.core.options import Number, Options

DIM, SIDE = 128, 112
STRIDE = 16
"""Pixels of the face for each cell of the last map, along each side."""
CPU_BATCH = 16
"""Faces that a CPU reads at a time. Of 64 at a time, whose maps do not fit its cache, each took half as long again."""
UNITS = [(64, 128, 2), *[(64, 128, 1)] * 4, (128, 256, 2), *[(128, 256, 1)] * 6, (128, 512, 2), *[(128, 256, 1)] * 2]
"""Of each unit: its outputs, the channels inside it and its stride."""


class BackboneOptions(Options):
    """The network's input. The network itself is as published."""

    size: int = Field(SIDE, ge=32, multiple_of=STRIDE)
    """Side of the face in pixels. The network was trained for face recognition on 112."""
    crop_units: Number = Field(100.0, gt=0)
    """Side of the crop in ArcFace's template units. The default is about what FER2013's images show; for face
    recognition it was 112."""
    center_offset_y: Number = 7.0
    """Distance of the crop's centre below the template's centre, in template units; the default is FER2013's,
    and for face recognition it was 0."""


def spec(options: BackboneOptions) -> Spec:
    """Return the specification: the face that the options describe, and 128 values."""
    mean, std = imagenet.FACE.mean, imagenet.FACE.std
    return Spec(
        modality="face",
        input=FaceInput(options.crop_units, options.size, "rgb", mean, std, options.center_offset_y),
        dim=DIM,
        licence="Apache-2.0",
        citation="Chen et al., MobileFaceNets, CCBR 2018, arXiv 1804.07573",
        any_side=True,
    )


def build(options: BackboneOptions) -> "MobileFaceNet":
    """Build the network with random weights, drawn from torch's global generator."""
    return MobileFaceNet()


def read_onnx(path: Path) -> dict[str, torch.Tensor]:
    """Return the published ONNX file's weights under the network's own keys, with normalisation that is not started.

    Raises:
        WeightsError: The file is not an ONNX network, or it has another number of convolutions.
    """
    network = MobileFaceNet()
    own = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    return {**network.state_dict(), **convolutions(path, own)}


class StartedNorm(nn.BatchNorm2d):
    """Batch normalisation after a convolution that had its own folded into it: at first, the output is the input.

    It starts with the first batch in training, whose mean and deviation become its shift and scale, as in the
    data-dependent initialisation of Kingma and Dhariwal (Glow, arXiv 1807.03039). Until then it does nothing.
    """

    def __init__(self, channels: int) -> None:
        """Create the layer for maps of `channels` channels."""
        super().__init__(channels, momentum=0.05)
        self.register_buffer("started", torch.tensor(False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) -> the same shape."""
        if not self.started:
            if not self.training:
                return x
            self._start(x)
        return super().forward(x)

    def folded(self, filters: nn.Conv2d) -> nn.Conv2d:
        """Return the convolution that does in inference what `filters` and this layer do one after the other."""
        return fuse_conv_bn_eval(filters, self) if self.started else filters

    @torch.no_grad()
    def _start(self, x: torch.Tensor) -> None:
        variance, mean = torch.var_mean(x.float(), dim=(0, 2, 3), correction=0)  # (channels,) each
        self.running_mean.copy_(mean)
        self.running_var.copy_(variance)
        self.weight.copy_((variance + self.eps).sqrt())
        self.bias.copy_(mean)
        self.started.fill_(True)


def convolution(inputs: int, outputs: int, side: int = 1, stride: int = 1, *, each: bool = False) -> nn.Sequential:
    """Build a convolution and its normalisation; `each`: on each channel by itself."""
    filters = nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, groups=inputs if each else 1)
    return nn.Sequential(filters, StartedNorm(outputs))


class Unit(nn.Sequential):
    """Inverted residual unit: 1x1 to more channels, 3x3 on each channel, 1x1 back, and the sum if the shape stays."""

    def __init__(self, inputs: int, outputs: int, inside: int, stride: int) -> None:
        """Build a unit of `inputs` to `outputs` channels, with `inside` channels between."""
        super().__init__(
            convolution(inputs, inside),
            nn.ReLU6(inplace=True),
            convolution(inside, inside, 3, stride, each=True),
            nn.ReLU6(inplace=True),
            convolution(inside, outputs),
        )
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        y = super().forward(x)
        return x + y if self.is_residual else y


class MobileFaceNet(nn.Module):
    """A stem, fifteen units and a filter over the whole map."""

    def __init__(self) -> None:
        """Initialise the convolutions by He's method. The modules are in the order of the published file."""
        super().__init__()
        # 1. stem: 112 -> 56
        self.stem = nn.Sequential(
            convolution(3, 64, 3, 2),
            nn.ReLU6(inplace=True),
            convolution(64, 64, 3, each=True),
            nn.ReLU(inplace=True),
            convolution(64, 64),
            nn.ReLU(inplace=True),
        )
        # 2. units: 56 -> 28 -> 14 -> 7
        inputs = [64, *(outputs for outputs, _, _ in UNITS)]
        self.units = nn.Sequential(*(Unit(n, *unit) for n, unit in zip(inputs, UNITS, strict=False)))
        # 3. head: more channels, one filter over the whole map for each, then the vector
        self.widen = nn.Sequential(convolution(128, 512), nn.ReLU6(inplace=True))
        self.places = nn.Conv2d(512, 512, SIDE // STRIDE, groups=512)
        self.fc = nn.Conv2d(512, DIM, 1)
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, size, size) -> (N, 128). An image of another size shows the same face, smaller or larger."""
        if self.training or x.device.type != "cpu":
            return self._vectors(x)
        return torch.cat([self._vectors(part) for part in x.split(CPU_BATCH)])

    def _vectors(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, size, size) -> (N, 128), in one batch."""
        x = self.widen(self.units(self.stem(x)))  # (N, 512, size / 16, size / 16)
        weight = self._places(x.shape[-1]).to(x.dtype)
        x = F.conv2d(x, weight, self.places.bias.to(x.dtype), groups=512)  # (N, 512, 1, 1)
        return self.fc(x).flatten(1)  # (N, 128)

    def fold(self) -> None:
        """Fold each normalisation into the convolution before it, for inference: fewer passes over each map."""
        for parts in [module for module in self.modules() if isinstance(module, nn.Sequential)]:
            for i in range(len(parts) - 1):
                if isinstance(parts[i + 1], StartedNorm):
                    parts[i], parts[i + 1] = parts[i + 1].folded(parts[i]), nn.Identity()

    def _places(self, side: int) -> torch.Tensor:
        """Resize each channel's filter to a map of that side, (512, 1, side, side); the sum of its weights stays."""
        own = self.places.weight.shape[-1]
        if side == own:
            return self.places.weight
        stretched = F.interpolate(self.places.weight, size=(side, side), mode="bilinear", align_corners=False)
        return stretched * (own / side) ** 2
