"""A compact speech network for machines without an accelerator; this project's own, to be trained on labelled speech.

A residual network (He et al., arXiv 1512.03385) over a spectrogram or a log-Mel: a stem and three stages that each
halve bands and frames, where AlexNet begins with strides of 4 and filters of 11 cells. What is left of the bands is
weighed by a filter of each channel's own, as where in the voice's range something sounds tells as much as what it is;
time stays, so that a clip of any length gives a vector every 160 ms.
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

STRIDE = 16  # frames from one vector to the next: the stem and three stages halve them


class BackboneOptions(Options):
    """The network's size and what it looks at."""

    spectrum: SpectrogramOptions | LogMelOptions = Field(LogMelOptions(), discriminator="kind")
    """What it looks at, and how that is drawn."""
    band_stride: Literal[2, 4] = 2
    """Bands from one cell of the stem's map to the next: 4 for the spectrogram, whose bands are many and narrow."""
    width: int = Field(32, ge=2)
    """Channels of the stem; the stages have two, four and eight times as many."""
    units: Units = Field([1, 1, 1])
    """Residual units of each of the three stages, at least 1."""
    dim: int = Field(128, ge=1)
    """Length of the vectors."""
    dropout: Number = Field(0.3, ge=0, lt=1)
    """Dropout before the last layer while training."""


def spec(options: BackboneOptions) -> Spec:
    """The spectrum in, `dim` numbers every 16 frames out."""
    return Spec(
        modality="audio",
        input=AudioInput(options.spectrum.kind, options.spectrum),
        dim=options.dim,
        licence="this project's own",
        citation="this project, after He et al., CVPR 2016",
    )


def build(options: BackboneOptions) -> "SpeechNet":
    """The network with fresh weights, drawn from torch's global seed."""
    return SpeechNet(options)


class SpeechNet(nn.Module):
    """A stem, three stages, a filter over the bands."""

    def __init__(self, options: BackboneOptions) -> None:
        """Fresh weights."""
        super().__init__()
        picture, width = options.spectrum, options.width
        inputs, bands = (3, picture.n_mels) if isinstance(picture, LogMelOptions) else (1, picture.bins)
        self.hop_ms = picture.hop_ms
        # 1. stem
        tall = 2 * options.band_stride + 1
        stem = nn.Conv2d(inputs, width, (tall, 5), (options.band_stride, 2), (tall // 2, 2), bias=False)
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(width), nn.ReLU())
        # 2. stages
        stages = [stage(width << n, width << n + 1, units, stride=2) for n, units in enumerate(options.units)]
        self.stages = nn.Sequential(*stages)
        # 3. head: a filter over the bands for each channel, then the vector
        self.height = 8 * options.band_stride  # bands that come down to one
        rows = -(-bands // self.height)
        self.bands = nn.Parameter(torch.randn(8 * width, rows) / rows**0.5)
        self.norm = nn.BatchNorm1d(8 * width)
        self.dropout = nn.Dropout(options.dropout)
        self.fc = nn.Linear(8 * width, options.dim)
        self.features = nn.BatchNorm1d(options.dim)
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, F, T), any T >= 1 -> (N, T', dim); silence, which is 0, is added until the strides fit."""
        x = F.pad(x, (0, -x.shape[-1] % STRIDE, 0, -x.shape[-2] % self.height))
        x = self.stages(self.stem(x))  # (N, 8 * width, rows, T')
        x = torch.einsum("ncft,cf->nct", x, self.bands.to(x.dtype))  # (N, 8 * width, T')
        x = self.dropout(self.norm(x)).transpose(1, 2)  # (N, T', 8 * width)
        return self.features(self.fc(x).transpose(1, 2)).transpose(1, 2)  # (N, T', dim)

    def patch_times(self, n_frames: int) -> torch.Tensor:
        """When the vectors of a clip of `n_frames` are: the frame that each is centred on, (T',) seconds."""
        return torch.from_numpy(frame_times(n_frames, self.hop_ms)[::STRIDE].copy())
