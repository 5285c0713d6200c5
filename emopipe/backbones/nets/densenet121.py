"""The network of `emopipe.backbones.densenet121`."""

import torch
import torch.nn.functional as F
from torch import nn

GROWTH = 32  # channels that a layer adds
BOTTLENECK = 4 * GROWTH  # channels between a layer's two convolutions
LAYERS = (6, 12, 24, 16)  # layers of each block


class Layer(nn.Module):
    """Dense layer: BN-ReLU-Conv 1x1-BN-ReLU-Conv 3x3, whose output is concatenated with its input."""

    def __init__(self, inputs: int) -> None:
        """Build a layer of `inputs` to `inputs + GROWTH` channels."""
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, BOTTLENECK, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(BOTTLENECK)
        self.conv2 = nn.Conv2d(BOTTLENECK, GROWTH, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, inputs + GROWTH, H, W)."""
        y = self.conv1(F.relu(self.norm1(x)))  # (N, BOTTLENECK, H, W)
        y = self.conv2(F.relu(self.norm2(y)))  # (N, GROWTH, H, W)
        return torch.cat([x, y], dim=1)


class Transition(nn.Module):
    """Transition: BN-ReLU-Conv 1x1 and average pooling, which halve the channels and the side."""

    def __init__(self, inputs: int) -> None:
        """Build a transition of `inputs` to `inputs / 2` channels."""
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, inputs // 2, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, inputs / 2, H / 2, W / 2)."""
        return F.avg_pool2d(self.conv(F.relu(self.norm(x))), 2)


class DenseNet121(nn.Module):
    """DenseNet-121 up to the global average pooling, 6.95 M parameters."""

    def __init__(self) -> None:
        """Initialise the convolutions by He's method."""
        super().__init__()
        # 1. stem: 224 -> 56
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(64))
        self.features.add_module("relu0", nn.ReLU())
        self.features.add_module("pool0", nn.MaxPool2d(3, stride=2, padding=1))
        # 2. four blocks, with a transition between two of them: 56 -> 28 -> 14 -> 7
        channels = 64
        for number, layers in enumerate(LAYERS, start=1):
            block = nn.Sequential()
            for layer in range(1, layers + 1):
                block.add_module(f"denselayer{layer}", Layer(channels))
                channels += GROWTH
            self.features.add_module(f"denseblock{number}", block)
            if number < len(LAYERS):
                self.features.add_module(f"transition{number}", Transition(channels))
                channels //= 2
        # 3. the last normalisation
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 224, 224) -> (N, 1024)."""
        x = F.relu(self.features(x))  # (N, 1024, 7, 7)
        return x.mean(dim=(2, 3))  # (N, 1024)
