"""DenseNet-121 for the paper's face crop.

Architecture: DenseNet-121 up to the global average pooling, 6.95 M parameters.
Source: Huang, Liu, van der Maaten, Weinberger, Densely Connected Convolutional Networks, arXiv 1608.06993.
Input: (N, 3, 224, 224), RGB faces with a 30 % margin, normalised as for ImageNet. Other sizes work too.
Output: (N, 1024), after the last ReLU and the average.
Weights: keys and shapes are torchvision's without `classifier`, so torchvision's files load (torchvision itself is not
needed), including those with the keys of its first release. They are BSD-3-Clause, and ImageNet's terms apply.
"""

import re

from emopipe.backbones import imagenet
from emopipe.backbones.base import Spec
from emopipe.backbones.torch_types import Module, Tensor
from emopipe.core.options import Options

DIM = 1024

_FIRST_KEYS = re.compile(r"(?<=\.)(norm|conv)\.([12])\.(?=\w+$)")  # `denselayer1.norm.1.weight`, now `norm1.weight`


class BackboneOptions(Options):
    """The published DenseNet-121 has no options."""


def spec(options: BackboneOptions) -> Spec:
    """Return the specification: the paper's 224x224 crop in, 1024 values out."""
    return Spec(
        modality="face",
        input=imagenet.FACE,
        dim=DIM,
        licence=imagenet.LICENCE,
        citation="Huang et al., Densely Connected Convolutional Networks, CVPR 2017",
        head=("classifier.",),
        any_side=True,
    )


def build(options: BackboneOptions) -> Module:
    """Build the network with random weights, drawn from torch's global generator."""
    from emopipe.backbones.nets.densenet121 import DenseNet121

    return DenseNet121()


def adapt(state: dict[str, Tensor], options: BackboneOptions) -> dict[str, Tensor]:
    """Rename the keys of torchvision's `densenet121-a639ec97.pth`, which today's module names cannot contain."""
    return {_FIRST_KEYS.sub(r"\1\2.", key): tensor for key, tensor in state.items()}
