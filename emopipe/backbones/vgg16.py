"""VGG16 for the paper's face crop.

Architecture: VGG16 (configuration D) up to fc7, the second-last layer, 134.26 M parameters.
Source: Simonyan, Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv 1409.1556.
Input: (N, 3, 224, 224), RGB faces with a 30 % margin, normalised as for ImageNet.
Output: (N, 4096), after ReLU.
Weights: keys and shapes are torchvision's without the last layer, so torchvision's files load unchanged (torchvision
itself is not needed). They are BSD-3-Clause, and ImageNet's terms apply.
"""

import torch
from torch import nn

from emopipe.backbones import imagenet
from emopipe.backbones.base import Spec
from emopipe.core.options import Options

DIM = 4096
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # (channels, convolutions) before each pooling layer


class BackboneOptions(Options):
    """The published VGG16 has no options."""


def spec(options: BackboneOptions) -> Spec:
    """Return the specification: the paper's 224x224 crop in, 4096 values out."""
    return Spec(
        modality="face",
        input=imagenet.FACE,
        dim=DIM,
        licence=imagenet.LICENCE,
        citation="Simonyan and Zisserman, Very Deep Convolutional Networks, ICLR 2015",
        head=("classifier.6.",),
    )


def build(options: BackboneOptions) -> "VGG16":
    """Build the network with random weights, drawn from torch's global generator."""
    return VGG16()


class VGG16(nn.Module):
    """VGG16 up to fc7, 134.26 M parameters, 102.76 M of them in fc6."""

    def __init__(self) -> None:
        """Initialise the convolutions by He's method, and the linear layers with a standard deviation of 0.01."""
        super().__init__()
        # 1. thirteen convolutions, 224 -> 112 -> 56 -> 28 -> 14 -> 7
        self.features, inputs = nn.Sequential(), 3
        for channels, convolutions in BLOCKS:
            for _ in range(convolutions):
                self.features.append(nn.Conv2d(inputs, channels, 3, padding=1)).append(nn.ReLU())
                inputs = channels
            self.features.append(nn.MaxPool2d(2))
        # 2. fc6 and fc7
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, DIM),  # 0
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(DIM, DIM),  # 3
            nn.ReLU(),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 224, 224) -> (N, 4096), no value below 0."""
        x = self.features(x)  # (N, 512, 7, 7)
        return self.classifier(x.flatten(1))  # (N, 4096)
