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

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from emopipe.backbones.base import AudioInput, Spec
from emopipe.backbones.residual import Units, initialise, stage
from emopipe.core.options import Number, Options
from emopipe.media.spectrogram import LogMelOptions, SpectrogramOptions, frame_times

STRIDE = 16  # frames from one vector to the next: the stem and each of the three stages halve them


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


def build(options: BackboneOptions) -> "SpeechNet":
    """Build the network with random weights, drawn from torch's global generator."""
    return SpeechNet(options)


class SpeechNet(nn.Module):
    """A stem, three stages and a filter over the bands."""

    def __init__(self, options: BackboneOptions) -> None:
        """Initialise the convolutions by He's method."""
        super().__init__()
        spectrogram, width = options.spectrum, options.width
        inputs, bands = (3, spectrogram.n_mels) if isinstance(spectrogram, LogMelOptions) else (1, spectrogram.bins)
        self.hop_ms = spectrogram.hop_ms
        # 1. stem
        tall = 2 * options.band_stride + 1
        stem = nn.Conv2d(inputs, width, (tall, 5), (options.band_stride, 2), (tall // 2, 2), bias=False)
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(width), nn.ReLU())
        # 2. stages
        stages = [stage(width << n, width << n + 1, units, stride=2) for n, units in enumerate(options.units)]
        self.stages = nn.Sequential(*stages)
        # 3. head: one filter over the bands for each channel, then the vector
        self.height = 8 * options.band_stride  # bands that the strides reduce to one
        rows = -(-bands // self.height)
        self.bands = nn.Parameter(torch.randn(8 * width, rows) / rows**0.5)
        self.norm = nn.BatchNorm1d(8 * width)
        self.dropout = nn.Dropout(options.dropout)
        self.fc = nn.Linear(8 * width, options.dim)
        self.features = nn.BatchNorm1d(options.dim)
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, F, T), T >= 1 -> (N, T', dim). Bands and frames are padded with silence (0) to fit the strides."""
        x = F.pad(x, (0, -x.shape[-1] % STRIDE, 0, -x.shape[-2] % self.height))
        x = self.stages(self.stem(x))  # (N, 8 * width, rows, T')
        x = torch.einsum("ncft,cf->nct", x, self.bands.to(x.dtype))  # (N, 8 * width, T')
        x = self.dropout(self.norm(x)).transpose(1, 2)  # (N, T', 8 * width)
        return self.features(self.fc(x).transpose(1, 2)).transpose(1, 2)  # (N, T', dim)

    def patch_times(self, n_frames: int) -> torch.Tensor:
        """Return the time of each vector of a clip of `n_frames`, (T',) seconds: that of its central frame."""
        return torch.from_numpy(frame_times(n_frames, self.hop_ms)[::STRIDE].copy())
