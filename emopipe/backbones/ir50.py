"""IR50, the paper's best face network: LResNet50E-IR, the improved ResNet-50 of ArcFace.

Architecture: residual units of BN-Conv-BN-PReLU-Conv-BN in stages of [3, 4, 14, 3], then output setting E,
BN-Dropout-FC-BN; 43.59 M parameters. `ir_se50` is the variant with squeeze and excitation.
Source: Deng, Guo, Xue, Zafeiriou, ArcFace, arXiv 1801.07698, section 3.2.2.
Input: (N, 3, 112, 112), RGB, ArcFace's own crop, scaled to [-1, 1].
Output: (N, 512).
Weights: keys and shapes are those of `iresnet50` in insightface's arcface_torch, so its weights load unchanged.
insightface's code is MIT; its published weights are for research only.
"""

from pydantic import Field

from emopipe.backbones.base import FaceInput, Spec
from emopipe.backbones.torch_types import Module
from emopipe.core.options import Number, Options

DIM = 512


class BackboneOptions(Options):
    """Options of IR50. They affect training only."""

    dropout: Number = Field(0.4, ge=0, lt=1)
    """Dropout before the last layer in training. The default is ArcFace's value."""


def spec(options: BackboneOptions) -> Spec:
    """Return the specification: ArcFace's 112x112 crop in, 512 values out."""
    return Spec(
        modality="face",
        input=FaceInput(112.0, 112, "rgb", mean=(127.5,) * 3, std=(127.5,) * 3),
        dim=DIM,
        licence="MIT (architecture, insightface); insightface's published weights are for research only",
        citation="Deng et al., ArcFace: Additive Angular Margin Loss for Deep Face Recognition, CVPR 2019",
    )


def build(options: BackboneOptions) -> Module:
    """Build the network with random weights, drawn from torch's global generator."""
    from emopipe.backbones.nets.ir50 import IR50

    return IR50(options.dropout)
