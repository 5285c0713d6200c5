"""The network of `emopipe.backbones.audio_alexnet`."""

import torch
import torch.nn.functional as F
from torch import nn

from emopipe.media.spectrogram import frame_times

STRIDE = 32  # cells of the input from one patch to the next: 4 (first convolution) * 2 * 2 * 2 (poolings)
SMALLEST = 63  # the smallest side of an input, in cells, which gives one patch
CENTRE = 31  # the cell in the middle of the first patch


class AudioAlexNet(nn.Module):
    """AlexNet's convolutions. `features` is numbered as in torchvision; `norms` has the same numbers."""

    def __init__(self, shape: tuple[int, int], channels: list[int], batch_norm: bool, hop_ms: float) -> None:
        """`shape`: the input's (channels, bands). `channels`: those of each convolution. `hop_ms`: the frames' hop."""
        super().__init__()
        inputs, self.bands = shape
        c1, c2, c3, c4, c5 = channels
        self.hop_ms = hop_ms
        self.features = nn.Sequential(
            nn.Conv2d(inputs, c1, 11, stride=4, padding=2),  # 0
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(c1, c2, 5, padding=2),  # 3
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(c2, c3, 3, padding=1),  # 6
            nn.ReLU(),
            nn.Conv2d(c3, c4, 3, padding=1),  # 8
            nn.ReLU(),
            nn.Conv2d(c4, c5, 3, padding=1),  # 10
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        )
        numbers = zip(("0", "3", "6", "8", "10"), channels, strict=True)
        self.norms = nn.ModuleDict({number: nn.BatchNorm2d(n) for number, n in numbers} if batch_norm else {})
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the patches of a batch of spectrograms of one duration.

        Args:
            x: (N, C, F, T), F as in the options, T >= 1. It is padded with silence, which is 0: after the last frame,
                so that the strides drop no frame (by up to 31 frames, or up to 63 frames in all), and above the highest
                band up to 63 bands.

        Returns:
            (N, T', dim), T' = W * H patches in time-major order: the H patches of the first column, low bands first,
            then those of the next column. If a clip is padded with zeros to its batch's length, its patches are the
            first `len(patch_times(its frames))`.
        """
        x = F.pad(x, (0, _padding(x.shape[-1]), 0, max(0, SMALLEST - x.shape[-2])))
        for number, layer in enumerate(self.features):
            x = layer(x)
            if str(number) in self.norms:
                x = self.norms[str(number)](x)
        return x.permute(0, 3, 2, 1).flatten(1, 2)  # (N, C, H, W) -> (N, W * H, C)

    def patch_times(self, n_frames: int) -> torch.Tensor:
        """Return the middle of each patch of a clip of `n_frames`, (T',) seconds, in time-major order."""
        columns = (n_frames + _padding(n_frames) - SMALLEST) // STRIDE + 1
        rows = (max(self.bands, SMALLEST) - SMALLEST) // STRIDE + 1
        frames = (torch.arange(columns) * STRIDE + CENTRE).clamp(max=n_frames - 1)
        return torch.from_numpy(frame_times(n_frames, self.hop_ms))[frames].repeat_interleave(rows)


def _padding(n_frames: int) -> int:
    """Return the number of frames to append so that a whole number of patches covers the clip."""
    return SMALLEST - n_frames if n_frames < SMALLEST else (SMALLEST - n_frames) % STRIDE
