"""What torchvision's ImageNet networks share: the face as the paper cuts it, normalised as they learned; the terms."""

from emopipe.backbones.base import FaceInput

FACE = FaceInput(145.6, 224, "rgb", mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
"""The paper's 224x224 crop with 30 % margin."""
LICENCE = "BSD-3-Clause (architecture, torchvision); ImageNet weights are bound by ImageNet's terms"
