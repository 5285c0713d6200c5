"""A compact network for facial expressions, fast enough for machines without an accelerator.

Architecture: a residual network of a stem (one convolution, which halves the side), three stages of residual units (the
second and third halve the side), and a head. The head uses the position of a feature on the aligned face: it weights
each channel by a spatial filter of its own (a global depthwise convolution) instead of averaging it over the map, then
applies BN-Dropout-FC-BN. The filter is resized for maps of other sides, so early training can use smaller faces, which
is faster. By default it has 2.74 M parameters.
Source: this project, after He et al., arXiv 1512.03385, and Chen et al., MobileFaceNets, arXiv 1804.07573.
Input: (N, 1, 48, 48), grey faces, scaled to [-1, 1]. Grey is the default, because colour depends on skin and light more
than on the expression.
Output: (N, 128).
Weights: `expression` of the registry, for research only, as the data it was trained on.
"""

from typing import ClassVar, Literal

from pydantic import Field

from emopipe.backbones.base import FaceInput, Spec
from emopipe.backbones.residual import Units
from emopipe.backbones.torch_types import Module
from emopipe.core.options import Number, Options


class BackboneOptions(Options):
    """The network's size and its input."""

    renamed: ClassVar = {"side_units": "crop_units", "down": "center_offset_y"}

    size: int = Field(48, ge=16, multiple_of=8)
    """Side of the face in pixels."""
    width: int = Field(64, ge=2)
    """Channels of the stem and the first stage. The second stage has twice as many, the third four times."""
    units: Units = Field([1, 2, 2])
    """Residual units of each of the three stages, at least 1 each."""
    dim: int = Field(128, ge=1)
    """Length of the vectors."""
    dropout: Number = Field(0.4, ge=0, lt=1)
    """Dropout before the last layer in training."""
    colour: Literal["gray", "rgb"] = "gray"
    """One grey channel, or three colour channels."""
    crop_units: Number = Field(100.0, gt=0)
    """Side of the crop in ArcFace's template units. The default is about what FER2013's images show."""
    center_offset_y: Number = 7.0
    """Distance of the crop's centre below the template's centre, in template units; the default is FER2013's."""


def spec(options: BackboneOptions) -> Spec:
    """Return the specification: the face that the options describe, and `dim` values."""
    channels = 1 if options.colour == "gray" else 3
    mean = std = (127.5,) * channels
    return Spec(
        modality="face",
        input=FaceInput(options.crop_units, options.size, options.colour, mean, std, options.center_offset_y),
        dim=options.dim,
        licence="this project's own",
        citation="this project, after Deng et al., CVPR 2019, and Chen et al., arXiv 1804.07573",
        any_side=True,
    )


def build(options: BackboneOptions) -> Module:
    """Build the network with random weights, drawn from torch's global generator."""
    from emopipe.backbones.nets.expression import ExpressionNet

    return ExpressionNet(options)
