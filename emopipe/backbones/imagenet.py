"""What torchvision's ImageNet networks share: the face crop with its normalisation, and the licence."""

from emopipe.backbones.base import FaceInput

FACE = FaceInput(145.6, 224, "rgb", mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
"""The paper's 224x224 crop with a 30 % margin, normalised with ImageNet's mean and standard deviation."""
LICENCE = "BSD-3-Clause (architecture, torchvision); ImageNet weights are bound by ImageNet's terms"
