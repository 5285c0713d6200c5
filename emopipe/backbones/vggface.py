"""VGG-Face, VGG16 that learned to tell 2622 people apart: 4096 numbers, those of its second-last layer (fc7).

Parkhi, Vedaldi, Zisserman: Deep Face Recognition, BMVC 2015. The layers and their keys are `vgg16`'s; what differs is
the input, and how published weights are spelled. Two conversions of the authors' files to torch are common:

- `conv1_1` to `fc7`, from their MatConvNet file (`vgg_face_dag.pth`): it reads RGB, as this network does.
- `conv_1_1` to `fc7`, from their Lua file (vgg-face.pytorch; PyVGGFace has `features.` and `fc.` before each): it
  reads BGR (the former's issue 2), so its first convolution's channels are turned round when it is loaded.
"""

import torch

from emopipe.backbones.base import FaceInput, Spec
from emopipe.backbones.vgg16 import BLOCKS, DIM, VGG16
from emopipe.core.options import Options


class BackboneOptions(Options):
    """VGG-Face as published has nothing to set."""


def spec(options: BackboneOptions) -> Spec:
    """The paper's 224x224 crop in, less the mean of the faces that VGG-Face learned from; 4096 numbers out."""
    return Spec(
        modality="face",
        input=FaceInput(145.6, 224, "rgb", mean=(129.1863, 104.7624, 93.5940), std=(1.0, 1.0, 1.0)),
        dim=DIM,
        licence="BSD-3-Clause (architecture, torchvision); the authors' weights are for non-commercial research only",
        citation="Parkhi et al., Deep Face Recognition, BMVC 2015",
        head=("fc8.", "fc.fc8."),
    )


def build(options: BackboneOptions) -> VGG16:
    """The network with fresh weights, drawn from torch's global seed."""
    return VGG16()


def adapt(state: dict[str, torch.Tensor], options: BackboneOptions) -> dict[str, torch.Tensor]:
    """Either conversion with `vgg16`'s keys and for RGB; keys that are neither's stay as they are."""
    layers, adapted = _layers(), {}
    for key, tensor in state.items():
        layer, _, part = key.removeprefix("features.").removeprefix("fc.").replace("conv_", "conv").rpartition(".")
        for_bgr = key.endswith("conv_1_1.weight") and tensor.ndim == 4
        adapted[f"{layers[layer]}.{part}" if layer in layers else key] = tensor.flip(1) if for_bgr else tensor
    return adapted


def _layers() -> dict[str, str]:
    """`conv1_1` and so on -> where that layer is in `VGG16`."""
    layers, place = {"fc6": "classifier.0", "fc7": "classifier.3"}, 0
    for block, (_, convolutions) in enumerate(BLOCKS, start=1):
        for number in range(1, convolutions + 1):
            layers[f"conv{block}_{number}"] = f"features.{place}"
            place += 2  # itself and its ReLU
        place += 1  # the pooling
    return layers
