"""VGG-Face: VGG16 trained to recognise 2622 people.

Architecture: VGG16 up to fc7, as in `vgg16`; the input's normalisation and the keys of published weights differ.
Source: Parkhi, Vedaldi, Zisserman, Deep Face Recognition, BMVC 2015.
Input: (N, 3, 224, 224), RGB faces with a 30 % margin, minus the mean of VGG-Face's training images.
Output: (N, 4096), after ReLU.
Weights: the authors' weights are for non-commercial research only. Two conversions of their files to torch are common:

- `conv1_1` to `fc7`, from their MatConvNet file (`vgg_face_dag.pth`). It takes RGB, as this network does.
- `conv_1_1` to `fc7`, from their Lua file (vgg-face.pytorch; PyVGGFace adds the prefixes `features.` and `fc.`). It
  takes BGR (issue 2 of vgg-face.pytorch), so the channels of its first convolution are reversed when it is loaded.
"""

from emopipe.backbones.base import FaceInput, Spec
from emopipe.backbones.torch_types import Module, Tensor
from emopipe.backbones.vgg16 import BLOCKS, DIM
from emopipe.core.options import Options


class BackboneOptions(Options):
    """The published VGG-Face has no options."""


def spec(options: BackboneOptions) -> Spec:
    """Return the specification: the paper's 224x224 crop in, minus VGG-Face's mean; 4096 values out."""
    return Spec(
        modality="face",
        input=FaceInput(145.6, 224, "rgb", mean=(129.1863, 104.7624, 93.5940), std=(1.0, 1.0, 1.0)),
        dim=DIM,
        licence="BSD-3-Clause (architecture, torchvision); the authors' weights are for non-commercial research only",
        citation="Parkhi et al., Deep Face Recognition, BMVC 2015",
        head=("fc8.", "fc.fc8."),
    )


def build(options: BackboneOptions) -> Module:
    """Build the network with random weights, drawn from torch's global generator."""
    from emopipe.backbones.nets.vgg16 import VGG16

    return VGG16()


def adapt(state: dict[str, Tensor], options: BackboneOptions) -> dict[str, Tensor]:
    """Convert the keys of either conversion to those of `vgg16`, and its filters to RGB. Other keys stay."""
    layers, adapted = _layers(), {}
    for key, tensor in state.items():
        layer, _, part = key.removeprefix("features.").removeprefix("fc.").replace("conv_", "conv").rpartition(".")
        for_bgr = key.endswith("conv_1_1.weight") and tensor.ndim == 4
        adapted[f"{layers[layer]}.{part}" if layer in layers else key] = tensor.flip(1) if for_bgr else tensor
    return adapted


def _layers() -> dict[str, str]:
    """Map the published names of layers, such as `conv1_1`, to their names in `VGG16`."""
    layers, place = {"fc6": "classifier.0", "fc7": "classifier.3"}, 0
    for block, (_, convolutions) in enumerate(BLOCKS, start=1):
        for number in range(1, convolutions + 1):
            layers[f"conv{block}_{number}"] = f"features.{place}"
            place += 2  # the convolution and its ReLU
        place += 1  # the pooling layer
    return layers
