"""The network of `emopipe.backbones.ir_se50`."""

import torch
import torch.nn.functional as F
from torch import nn

from emopipe.backbones.ir_se50 import DIM

UNITS = ((64, 3), (128, 4), (256, 14), (512, 3))  # (channels, residual units) of each stage
REDUCTION = 16  # ratio of a unit's channels to those of its squeeze


class SqueezeExcitation(nn.Module):
    """Squeeze and excitation: weights each channel between 0 and 1, from the means of all channels."""

    def __init__(self, channels: int) -> None:
        """Build it for `channels` channels; the squeeze has a sixteenth of them."""
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // REDUCTION, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // REDUCTION, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        squeezed = F.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True)))  # (N, C / 16, 1, 1)
        return x * torch.sigmoid(self.fc2(squeezed))


class Unit(nn.Module):
    """Residual unit: BN-Conv-PReLU-Conv-BN, then squeeze and excitation. The second convolution has the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int, excited: bool) -> None:
        """Build a unit of `inputs` to `outputs` channels. A unit that changes their number projects its shortcut."""
        super().__init__()
        layers: list[nn.Module] = [
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.res_layer = nn.Sequential(*layers, *([SqueezeExcitation(outputs)] if excited else []))
        self.stride = stride
        self.shortcut_layer = None
        if inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut_layer = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        subsampled = x[..., :: self.stride, :: self.stride]
        return self.res_layer(x) + (subsampled if self.shortcut_layer is None else self.shortcut_layer(x))


class IRSE50(nn.Module):
    """LResNet50E-IR: 43.80 M parameters with squeeze and excitation, 43.57 M without."""

    def __init__(self, excited: bool, dropout: float) -> None:
        """`excited`: with squeeze and excitation. `dropout` is used in training only."""
        super().__init__()
        # 1. stem, at full resolution
        self.input_layer = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64))
        # 2. four stages, each halves the side: 112 -> 56 -> 28 -> 14 -> 7
        self.body, inputs = nn.Sequential(), 64
        for channels, units in UNITS:
            for number in range(units):
                self.body.append(Unit(inputs, channels, 1 if number else 2, excited))
                inputs = channels
        # 3. head E: BN-Dropout-FC-BN
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(512), nn.Dropout(dropout), nn.Flatten(), nn.Linear(512 * 7 * 7, DIM), nn.BatchNorm1d(DIM)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0, 0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 112, 112) -> (N, 512), without L2 normalisation."""
        x = self.input_layer(x)  # (N, 64, 112, 112)
        x = self.body(x)  # (N, 512, 7, 7)
        return self.output_layer(x)  # (N, 512)
