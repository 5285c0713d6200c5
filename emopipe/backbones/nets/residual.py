"""Residual units (He et al., arXiv 1512.03385) of this project's own networks, `expression` and `speech`."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Unit(nn.Module):
    """Residual unit: Conv-BN-ReLU-Conv-BN, the sum and ReLU. The first convolution has the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Build a unit of `inputs` to `outputs` channels. A unit that changes the shape projects its shortcut."""
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = None
        if stride != 1 or inputs != outputs:
            # The average pooling before the projection uses every cell (He et al., arXiv 1812.01187).
            pooled = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
            self.shortcut = nn.Sequential(pooled, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def fold(self) -> None:
        """Fold each normalisation into the convolution before it, for inference: fewer passes over each map."""
        self.conv1, self.bn1 = fuse_conv_bn_eval(self.conv1, self.bn1), nn.Identity()
        self.conv2, self.bn2 = fuse_conv_bn_eval(self.conv2, self.bn2), nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        return F.relu(y + (x if self.shortcut is None else self.shortcut(x)), inplace=True)


def stage(inputs: int, outputs: int, units: int, *, stride: int) -> nn.Sequential:
    """Build a stage of `units` units. The first one has the stride and changes the number of channels."""
    return nn.Sequential(Unit(inputs, outputs, stride), *(Unit(outputs, outputs, 1) for _ in range(units - 1)))


def initialise(network: nn.Module) -> None:
    """Initialise all convolutions by He's method (arXiv 1502.01852), in place."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
