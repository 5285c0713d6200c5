"""The network of `emopipe.backbones.speech`."""

import torch
import torch.nn.functional as F
from torch import nn

from emopipe.backbones.nets.residual import initialise, stage
from emopipe.backbones.speech import BackboneOptions
from emopipe.media.spectrogram import LogMelOptions, frame_times

STRIDE = 16  # frames from one vector to the next: the stem and each of the three stages halve them


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
