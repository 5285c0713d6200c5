"""The network of `emopipe.backbones.mobilefacenet`."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from emopipe.backbones.mobilefacenet import DIM, SIDE, STRIDE
from emopipe.backbones.nets.residual import initialise

CPU_BATCH = 16
"""Faces that a CPU reads at a time. Of 64 at a time, whose maps do not fit its cache, each took half as long again."""
UNITS = [(64, 128, 2), *[(64, 128, 1)] * 4, (128, 256, 2), *[(128, 256, 1)] * 6, (128, 512, 2), *[(128, 256, 1)] * 2]
"""Of each unit: its outputs, the channels inside it and its stride."""


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
