"""DenseNet-121 on the paper's 224x224 face with 30 % margin: 1024 numbers after ReLU and the global average.

Huang, Liu, van der Maaten, Weinberger: Densely Connected Convolutional Networks, arXiv 1608.06993. Keys and shapes
are torchvision's less its `classifier`, so torchvision's weights load as they are (torchvision itself is not
needed), also those it published with the keys of its first release.
"""

import re

import torch
import torch.nn.functional as F
from torch import nn

from emopipe.backbones import imagenet
from emopipe.backbones.base import Spec
from emopipe.core.options import Options

DIM = 1024
GROWTH = 32  # channels that each layer adds
BOTTLENECK = 4 * GROWTH  # channels between a layer's two convolutions
LAYERS = (6, 12, 24, 16)  # of each block

_FIRST_KEYS = re.compile(r"(?<=\.)(norm|conv)\.([12])\.(?=\w+$)")  # `denselayer1.norm.1.weight`, now `norm1.weight`


class BackboneOptions(Options):
    """DenseNet-121 as published has nothing to set."""


def spec(options: BackboneOptions) -> Spec:
    """The paper's 224x224 crop in, normalised as for ImageNet; 1024 numbers out."""
    return Spec(
        modality="face",
        input=imagenet.FACE,
        dim=DIM,
        licence=imagenet.LICENCE,
        citation="Huang et al., Densely Connected Convolutional Networks, CVPR 2017",
        head=("classifier.",),
        any_side=True,
    )


def build(options: BackboneOptions) -> "DenseNet121":
    """The network with fresh weights, drawn from torch's global seed."""
    return DenseNet121()


def adapt(state: dict[str, torch.Tensor], options: BackboneOptions) -> dict[str, torch.Tensor]:
    """The file that torchvision publishes, `densenet121-a639ec97.pth`, names a layer's parts as no module may now."""
    return {_FIRST_KEYS.sub(r"\1\2.", key): tensor for key, tensor in state.items()}


class Layer(nn.Module):
    """BN-ReLU-Conv 1x1-BN-ReLU-Conv 3x3, whose channels are set beside those that came in."""

    def __init__(self, inputs: int) -> None:
        """Channels in; as many and GROWTH more come out."""
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
    """BN-ReLU-Conv 1x1 and an average: half the channels, half the side."""

    def __init__(self, inputs: int) -> None:
        """Channels in."""
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, inputs // 2, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, inputs / 2, H / 2, W / 2)."""
        return F.avg_pool2d(self.conv(F.relu(self.norm(x))), 2)


class DenseNet121(nn.Module):
    """DenseNet-121 up to the global average, 6.95 M parameters."""

    def __init__(self) -> None:
        """Fresh weights by He's initialisation."""
        super().__init__()
        # 1. stem: 224 -> 56
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(64))
        self.features.add_module("relu0", nn.ReLU())
        self.features.add_module("pool0", nn.MaxPool2d(3, stride=2, padding=1))
        # 2. four blocks, and a transition after each but the last: 56 -> 28 -> 14 -> 7
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
