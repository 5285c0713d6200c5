"""ResNet18 for the paper's face crop.

Architecture: ResNet18 up to the global average pooling, 11.18 M parameters.
Source: He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition, arXiv 1512.03385.
Input: (N, 3, 224, 224), RGB faces with a 30 % margin, normalised as for ImageNet. Other sizes work too.
Output: (N, 512).
Weights: keys and shapes are torchvision's without `fc`, so torchvision's files load unchanged (torchvision itself is
not needed). They are BSD-3-Clause, and ImageNet's terms apply.
"""

from emopipe.backbones import imagenet
from emopipe.backbones.base import Spec
from emopipe.backbones.torch_types import Module
from emopipe.core.options import Options

DIM = 512


class BackboneOptions(Options):
    """The published ResNet18 has no options."""


def spec(options: BackboneOptions) -> Spec:
    """Return the specification: the paper's 224x224 crop in, 512 values out."""
    return Spec(
        modality="face",
        input=imagenet.FACE,
        dim=DIM,
        licence=imagenet.LICENCE,
        citation="He et al., Deep Residual Learning for Image Recognition, CVPR 2016",
        head=("fc.",),
        any_side=True,
    )


def build(options: BackboneOptions) -> Module:
    """Build the network with random weights, drawn from torch's global generator."""
    from emopipe.backbones.nets.resnet18 import ResNet18

    return ResNet18()
