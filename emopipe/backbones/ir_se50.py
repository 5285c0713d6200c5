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

from pydantic import Field

from emopipe.backbones.base import FaceInput, Spec
from emopipe.backbones.torch_types import Module
from emopipe.core.options import Number, Options

DIM = 512


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


def build(options: BackboneOptions) -> Module:
    """Build the network with random weights, drawn from torch's global generator."""
    from emopipe.backbones.nets.ir_se50 import IRSE50

    return IRSE50(options.variant == "ir_se_50", options.dropout)
