"""VGG16 for the paper's face crop.

Architecture: VGG16 (configuration D) up to fc7, the second-last layer, 134.26 M parameters.
Source: Simonyan, Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv 1409.1556.
Input: (N, 3, 224, 224), RGB faces with a 30 % margin, normalised as for ImageNet.
Output: (N, 4096), after ReLU.
Weights: keys and shapes are torchvision's without the last layer, so torchvision's files load unchanged (torchvision
itself is not needed). They are BSD-3-Clause, and ImageNet's terms apply.
"""

from emopipe.backbones import imagenet
from emopipe.backbones.base import Spec
from emopipe.backbones.torch_types import Module
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


def build(options: BackboneOptions) -> Module:
    """Build the network with random weights, drawn from torch's global generator."""
    from emopipe.backbones.nets.vgg16 import VGG16

    return VGG16()
