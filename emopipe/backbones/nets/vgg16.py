"""The network of `emopipe.backbones.vgg16`."""

import torch
from torch import nn

from emopipe.backbones.vgg16 import BLOCKS, DIM


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
