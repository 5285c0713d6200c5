"""MobileFaceNet: a small network for face recognition, to be trained further on emotions.

Architecture: a stem, fifteen inverted residual units (Sandler et al., MobileNetV2, arXiv 1801.04381) and a global
depthwise convolution: a filter over the whole map for each channel, so that it matters where on the aligned face a
feature is. 0.99 M parameters. The published file has its batch normalisation folded into the convolutions; here each
convolution has one again for further training, which starts as the identity. The last filter is resized for maps of
other sides: a face of 64 pixels has a third of the pixels of one of 112.
Source: Chen et al., MobileFaceNets, CCBR 2018, arXiv 1804.07573.
Input: (N, 3, 112, 112), RGB faces, normalised as for ImageNet.
Output: (N, 128), the identity vector before its length is normalised.
Weights: an ONNX file of the published network, or what `pretrain` made of it.
"""

from pathlib import Path

from pydantic import Field

from emopipe.backbones import imagenet
from emopipe.backbones.base import FaceInput, Spec
from emopipe.backbones.torch_types import Module, Tensor
from emopipe.core.options import Number, Options

DIM, SIDE = 128, 112
STRIDE = 16
"""Pixels of the face for each cell of the last map, along each side."""


class BackboneOptions(Options):
    """The network's input. The network itself is as published."""

    size: int = Field(SIDE, ge=32, multiple_of=STRIDE)
    """Side of the face in pixels. The network was trained for face recognition on 112."""
    crop_units: Number = Field(100.0, gt=0)
    """Side of the crop in ArcFace's template units. The default is about what FER2013's images show; for face
    recognition it was 112."""
    center_offset_y: Number = 7.0
    """Distance of the crop's centre below the template's centre, in template units; the default is FER2013's,
    and for face recognition it was 0."""


def spec(options: BackboneOptions) -> Spec:
    """Return the specification: the face that the options describe, and 128 values."""
    mean, std = imagenet.FACE.mean, imagenet.FACE.std
    return Spec(
        modality="face",
        input=FaceInput(options.crop_units, options.size, "rgb", mean, std, options.center_offset_y),
        dim=DIM,
        licence="Apache-2.0",
        citation="Chen et al., MobileFaceNets, CCBR 2018, arXiv 1804.07573",
        any_side=True,
    )


def build(options: BackboneOptions) -> Module:
    """Build the network with random weights, drawn from torch's global generator."""
    from emopipe.backbones.nets.mobilefacenet import MobileFaceNet

    return MobileFaceNet()


def read_onnx(path: Path) -> dict[str, Tensor]:
    """Return the published ONNX file's weights under the network's own keys, with normalisation that is not started.

    Raises:
        WeightsError: The file is not an ONNX network, or it has another number of convolutions.
    """
    from torch import nn

    from emopipe.backbones.nets.mobilefacenet import MobileFaceNet
    from emopipe.backbones.onnx_weights import convolutions

    network = MobileFaceNet()
    own = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    return {**network.state_dict(), **convolutions(path, own)}
