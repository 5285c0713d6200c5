"""A compact network for emotional speech, fast enough for machines without an accelerator.

Architecture: a residual network over the speech spectrogram or the log-Mel spectrogram. A stem and three stages each
halve bands and frames (AlexNet starts with a stride of 4 and filters of 11 cells). A filter for each channel combines
the remaining bands, because the frequency of a sound matters as much as its kind. The time axis stays, so a clip of any
length has one vector every 16 frames, which are 160 ms by default.
Source: this project, after He et al., arXiv 1512.03385.
Input: (N, 3, 64, T) for the log-Mel spectrogram, (N, 1, 200, T) for the speech spectrogram.
Output: (N, T', 128), T' = T / 16 rounded up.
Weights: `speech_logmel`, `speech_spectrogram` and others of the registry, CC BY-NC-SA 4.0, as the data that they were
trained on.
"""

from typing import Literal

from pydantic import Field

from emopipe.backbones.base import AudioInput, Spec
from emopipe.backbones.residual import Units
from emopipe.backbones.torch_types import Module
from emopipe.core.options import Number, Options
from emopipe.media.spectrogram import LogMelOptions, SpectrogramOptions


class BackboneOptions(Options):
    """The network's size and its input."""

    spectrum: SpectrogramOptions | LogMelOptions = Field(LogMelOptions(), discriminator="kind")
    """The spectrogram that it takes as input, with its settings."""
    band_stride: Literal[2, 4] = 2
    """The stem's stride over bands. 4 suits the speech spectrogram, which has many narrow bands."""
    width: int = Field(32, ge=2)
    """Channels of the stem. The stages have two, four and eight times as many."""
    units: Units = Field([1, 1, 1])
    """Residual units of each of the three stages, at least 1 each."""
    dim: int = Field(128, ge=1)
    """Length of the vectors."""
    dropout: Number = Field(0.3, ge=0, lt=1)
    """Dropout before the last layer in training."""


def spec(options: BackboneOptions) -> Spec:
    """Return the specification: the spectrogram in, `dim` values every 16 frames out."""
    return Spec(
        modality="audio",
        input=AudioInput(options.spectrum.kind, options.spectrum),
        dim=options.dim,
        licence="this project's own",
        citation="this project, after He et al., CVPR 2016",
    )


def build(options: BackboneOptions) -> Module:
    """Build the network with random weights, drawn from torch's global generator."""
    from emopipe.backbones.nets.speech import SpeechNet

    return SpeechNet(options)
