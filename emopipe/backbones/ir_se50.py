"""IR-SE-50, LResNet50E-IR with squeeze and excitation, and IR-50 without it.

Architecture: stages and head of `ir50` with other units, so the weights of one do not fit the other. There is no BN
before the PReLU, a unit that keeps its channels does not project its shortcut even if it has a stride, and the scale of
the last BN is learned. 43.80 M parameters with squeeze and excitation, 43.57 M without.
Source: Deng, Guo, Xue, Zafeiriou, ArcFace, arXiv 1801.07698; Hu, Shen, Sun, Squeeze-and-Excitation Networks, arXiv
1709.01507.
Input: (N, 3, 112, 112), ArcFace's own crop, scaled to [-1, 1]; RGB or BGR, as the weights require.
Output: (N, 512).
Weights: keys and shapes are those of `Backbone` in InsightFace_Pytorch and face.evoLVe. Both are MIT, but their weights
were trained on MS-Celeb-1M, which was withdrawn: use them for research only.

- `ir_se_50`: InsightFace_Pytorch's `model_ir_se50.pth`. Its training images were stored with red and blue swapped
  (its issue 13), so it takes BGR.
- `ir_50`: face.evoLVe's `backbone_ir50_ms1m_epoch120.pth` and similar files, which take RGB.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from emopipe.backbones.base import FaceInput, Spec
from emopipe.core.options import Number, Options

DIM = 512
UNITS = ((64, 3), (128, 4), (256, 14), (512, 3))  # (channels, residual units) of each stage
REDUCTION = 16  # ratio of a unit's channels to those of its squeeze


class BackboneOptions(Options):
    """Which of the two variants, and the order of its input's channels."""

    variant: Literal["ir_se_50", "ir_50"] = "ir_se_50"
    """With squeeze and excitation, or without."""
    colour: Literal["rgb", "bgr"] | None = None
    """Order of the channels. Default: that of the variant's published weights, bgr for ir_se_50 and rgb for ir_50."""
    dropout: Number = Field(0.6, ge=0, lt=1)
    """Dropout before the last layer in training. The default is InsightFace_Pytorch's value."""


def spec(options: BackboneOptions) -> Spec:
    """Return the specification: ArcFace's 112x112 crop in, 512 values out."""
    colour = options.colour or ("bgr" if options.variant == "ir_se_50" else "rgb")
    return Spec(
        modality="face",
        input=FaceInput(112.0, 112, colour, mean=(127.5,) * 3, std=(127.5,) * 3),
        dim=DIM,
        licence="MIT (architecture, InsightFace_Pytorch and face.evoLVe); MS-Celeb-1M, on which their "
        "published weights were trained, was withdrawn: research only",
        citation="Deng et al., ArcFace, CVPR 2019; Hu et al., Squeeze-and-Excitation Networks, CVPR 2018",
    )


def build(options: BackboneOptions) -> "IRSE50":
    """Build the network with random weights, drawn from torch's global generator."""
    return IRSE50(options.variant == "ir_se_50", options.dropout)


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
