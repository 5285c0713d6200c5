"""The network of `emopipe.backbones.ir50`."""

import torch
from torch import nn

from emopipe.backbones.ir50 import DIM

UNITS = ((64, 3), (128, 4), (256, 14), (512, 3))  # (channels, residual units) of each stage


class Unit(nn.Module):
    """Improved residual unit: BN-Conv-BN-PReLU-Conv-BN. The second convolution has the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Build a unit of `inputs` to `outputs` channels. A unit that changes the shape projects its shortcut."""
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))  # (N, outputs, H, W)
        return self.bn3(self.conv2(y)) + shortcut  # (N, outputs, H / stride, W / stride)


class IR50(nn.Module):
    """LResNet50E-IR, 43.59 M parameters."""

    def __init__(self, dropout: float) -> None:
        """Initialise the convolutions; `dropout` is used in training only."""
        super().__init__()
        # 1. stem, at full resolution
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu = nn.PReLU(64)
        # 2. four stages, each halves the side: 112 -> 56 -> 28 -> 14 -> 7
        inputs = 64
        for number, (channels, units) in enumerate(UNITS, start=1):
            first, rest = Unit(inputs, channels, 2), [Unit(channels, channels, 1) for _ in range(units - 1)]
            self.add_module(f"layer{number}", nn.Sequential(first, *rest))
            inputs = channels
        # 3. head E; its last scale is fixed to 1, as in ArcFace, so that the embedding's scale is not learned twice
        self.bn2 = nn.BatchNorm2d(512)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(512 * 7 * 7, DIM)
        self.features = nn.BatchNorm1d(DIM)
        self.features.weight.requires_grad_(False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0, 0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 112, 112) -> (N, 512)."""
        x = self.prelu(self.bn1(self.conv1(x)))  # (N, 64, 112, 112)
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        x = self.dropout(self.bn2(x).flatten(1))  # (N, 512 * 7 * 7)
        return self.features(self.fc(x))  # (N, 512)
