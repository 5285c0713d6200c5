"""The network of `emopipe.backbones.resnet18`."""

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """Basic residual block: Conv-BN-ReLU-Conv-BN, the sum and ReLU. The first convolution has the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Build a block of `inputs` to `outputs` channels. A block that changes the shape projects its shortcut."""
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + shortcut)


class ResNet18(nn.Module):
    """ResNet18 up to the global average pooling, 11.18 M parameters."""

    def __init__(self) -> None:
        """Initialise the convolutions by He's method."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(Block(64, 64, 1), Block(64, 64, 1))
        self.layer2 = nn.Sequential(Block(64, 128, 2), Block(128, 128, 1))
        self.layer3 = nn.Sequential(Block(128, 256, 2), Block(256, 256, 1))
        self.layer4 = nn.Sequential(Block(256, 512, 2), Block(512, 512, 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 224, 224) -> (N, 512)."""
        x = F.relu(self.bn1(self.conv1(x)))  # (N, 64, 112, 112)
        x = F.max_pool2d(x, 3, stride=2, padding=1)  # (N, 64, 56, 56)
        x = self.layer2(self.layer1(x))  # (N, 128, 28, 28)
        x = self.layer4(self.layer3(x))  # (N, 512, 7, 7)
        return x.mean(dim=(2, 3))  # (N, 512)
