"""AlexNet as a fully convolutional network over a spectrogram or a log-Mel, as the paper reads audio.

Krizhevsky, One weird trick for parallelizing convolutional neural networks, arXiv 1404.5997 (the
64-192-384-256-256 form); read as a bag of vectors in Zhang et al., Attention Based Fully Convolutional
Network for Speech Emotion Recognition, arXiv 1806.01506: the last pooling layer's H x W x C map is H * W
vectors of C, so any duration fits without segmentation. The convolutions have torchvision's key names, less
its `classifier`: its ImageNet weights (`alexnet-owt-7be5be79.pth`) load into `batch_norm: false` and `width: 1.0`.
"""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from emopipe.backbones import imagenet
from emopipe.backbones.base import AudioInput, Spec
from emopipe.core.options import Number, Options
from emopipe.media.spectrogram import LogMelOptions, SpectrogramOptions, frame_times

CHANNELS = (64, 192, 384, 256, 256)
STRIDE = 32  # cells of the input from one patch to the next: 4 by the first convolution, 2 by each pooling
SMALLEST = 63  # cells a side that give one patch
CENTRE = 31  # the cell at the middle of the first patch
FIRST = "features.0.weight"  # (C, inputs, 11, 11)


class BackboneOptions(Options):
    """AlexNet's size and what it looks at."""

    spectrum: SpectrogramOptions | LogMelOptions = Field(SpectrogramOptions(), discriminator="kind")
    """What it looks at, and how that is drawn."""
    width: Number = Field(1.0, gt=0)
    """Multiplies every layer's channels; 1.0 is AlexNet, with 256 numbers a patch."""
    batch_norm: bool = True
    """Normalise after each convolution: training from scratch needs it; ImageNet's weights have none."""


def spec(options: BackboneOptions) -> Spec:
    """The spectrum in, 256 x width numbers a patch out."""
    return Spec(
        modality="audio",
        input=AudioInput(options.spectrum.kind, options.spectrum),
        dim=_channels(options.width)[-1],
        licence=imagenet.LICENCE,
        citation="Krizhevsky, arXiv 1404.5997; Zhang et al., arXiv 1806.01506",
        head=("classifier.",),
    )


def build(options: BackboneOptions) -> "AudioAlexNet":
    """The network with fresh weights, drawn from torch's global seed."""
    picture = options.spectrum
    inputs, bands = (3, picture.n_mels) if isinstance(picture, LogMelOptions) else (1, picture.bins)
    return AudioAlexNet((inputs, bands), _channels(options.width), options.batch_norm, picture.hop_ms)


def adapt(state: dict[str, torch.Tensor], options: BackboneOptions) -> dict[str, torch.Tensor]:
    """ImageNet's first layer reads three colours; for the spectrogram's one channel they become one.

    Averaged over the colours and times three, so summed: the spectrogram then gives what it would as a grey picture,
    itself as red, green and blue. The plain average would give a third of that beside biases that stay. The log-Mel's
    three channels take the colours' places as they are.
    """
    first = state.get(FIRST)
    if isinstance(options.spectrum, LogMelOptions) or first is None or first.shape[1:2] != (3,):
        return state
    return {**state, FIRST: 3 * first.mean(dim=1, keepdim=True)}  # (64, 3, 11, 11) -> (64, 1, 11, 11)


def _channels(width: float) -> list[int]:
    return [max(1, round(channels * width)) for channels in CHANNELS]


class AudioAlexNet(nn.Module):
    """AlexNet's convolutions, `features`, numbered as torchvision's; `norms` go by the same numbers."""

    def __init__(self, picture: tuple[int, int], channels: list[int], batch_norm: bool, hop_ms: float) -> None:
        """The picture's (channels, bands), each convolution's channels, the milliseconds between frames."""
        super().__init__()
        inputs, self.bands = picture
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
        places = zip(("0", "3", "6", "8", "10"), channels, strict=True)
        self.norms = nn.ModuleDict({place: nn.BatchNorm2d(n) for place, n in places} if batch_norm else {})
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Read a batch of spectra of one duration.

        Args:
            x: (N, C, F, T), F as in the options, any T >= 1; silence, which is 0, is added after the last
                frame until the strides fit, so that no frame is dropped (up to 31 frames, or up to 63 where
                there are fewer), and above the highest band up to 63.

        Returns:
            (N, T', dim) with T' = W * H patches, time-major: the H patches of the first moment, low bands
            first, then those of the next. A clip that is padded with zeros to its batch's length owns the
            first `len(patch_times(its frames))` patches.
        """
        x = F.pad(x, (0, _silence(x.shape[-1]), 0, max(0, SMALLEST - x.shape[-2])))
        for place, layer in enumerate(self.features):
            x = layer(x)
            if str(place) in self.norms:
                x = self.norms[str(place)](x)
        return x.permute(0, 3, 2, 1).flatten(1, 2)  # (N, C, H, W) -> (N, W * H, C)

    def patch_times(self, n_frames: int) -> torch.Tensor:
        """When the patches of a clip of `n_frames` are: the middle of each, (T',) seconds, time-major."""
        columns = (n_frames + _silence(n_frames) - SMALLEST) // STRIDE + 1
        rows = (max(self.bands, SMALLEST) - SMALLEST) // STRIDE + 1
        frames = (torch.arange(columns) * STRIDE + CENTRE).clamp(max=n_frames - 1)
        return torch.from_numpy(frame_times(n_frames, self.hop_ms))[frames].repeat_interleave(rows)


def _silence(n_frames: int) -> int:
    """Frames to add so that a whole number of patches covers the clip."""
    return SMALLEST - n_frames if n_frames < SMALLEST else (SMALLEST - n_frames) % STRIDE
