"""AlexNet's convolutions over a spectrogram, the paper's audio network.

Architecture: AlexNet in its form of 64-192-384-256-256 channels, as a fully convolutional network: each of the H x W
cells (patches) of the last pooling layer's map is one vector, so clips of any length fit without segmentation.
Source: Krizhevsky, One weird trick for parallelizing convolutional neural networks, arXiv 1404.5997; Zhang et al.,
Attention Based Fully Convolutional Network for Speech Emotion Recognition, arXiv 1806.01506.
Input: (N, 1, 200, T) for the speech spectrogram, (N, 3, 64, T) for the log-Mel spectrogram.
Output: (N, T', 256 * width), T' = W * H patches.
Weights: keys are torchvision's without `classifier`; torchvision's ImageNet weights (`alexnet-owt-7be5be79.pth`) load
with `batch_norm: false` and `width: 1.0`. They are BSD-3-Clause, and ImageNet's terms apply.
"""

from pydantic import Field

from emopipe.backbones import imagenet
from emopipe.backbones.base import AudioInput, Spec
from emopipe.backbones.torch_types import Module, Tensor
from emopipe.core.options import Number, Options
from emopipe.media.spectrogram import LogMelOptions, SpectrogramOptions

CHANNELS = (64, 192, 384, 256, 256)
FIRST = "features.0.weight"  # (C, inputs, 11, 11)


class BackboneOptions(Options):
    """AlexNet's size and its input."""

    spectrum: SpectrogramOptions | LogMelOptions = Field(SpectrogramOptions(), discriminator="kind")
    """The spectrogram that it takes as input, with its settings."""
    width: Number = Field(1.0, gt=0)
    """Factor for the channels of every layer. 1.0 is AlexNet, with vectors of 256 values."""
    batch_norm: bool = True
    """Batch normalisation after each convolution. Training from scratch needs it; ImageNet's weights do not have it."""


def spec(options: BackboneOptions) -> Spec:
    """Return the specification: the spectrogram in, 256 * width values per patch out."""
    return Spec(
        modality="audio",
        input=AudioInput(options.spectrum.kind, options.spectrum),
        dim=_channels(options.width)[-1],
        licence=imagenet.LICENCE,
        citation="Krizhevsky, arXiv 1404.5997; Zhang et al., arXiv 1806.01506",
        head=("classifier.",),
    )


def build(options: BackboneOptions) -> Module:
    """Build the network with random weights, drawn from torch's global generator."""
    from emopipe.backbones.nets.audio_alexnet import AudioAlexNet

    spectrogram = options.spectrum
    shape = (3, spectrogram.n_mels) if isinstance(spectrogram, LogMelOptions) else (1, spectrogram.bins)
    return AudioAlexNet(shape, _channels(options.width), options.batch_norm, spectrogram.hop_ms)


def adapt(state: dict[str, Tensor], options: BackboneOptions) -> dict[str, Tensor]:
    """Reduce ImageNet's first layer, which has three colour channels, to the speech spectrogram's one channel.

    The filters are summed over the colours. The output is then that of a grey image with the spectrogram as red, green
    and blue. An average would make it a third of that, while the biases stay. The log-Mel spectrogram has three
    channels, so its filters stay as they are.
    """
    first = state.get(FIRST)
    if isinstance(options.spectrum, LogMelOptions) or first is None or first.shape[1:2] != (3,):
        return state
    return {**state, FIRST: 3 * first.mean(dim=1, keepdim=True)}  # (64, 3, 11, 11) -> (64, 1, 11, 11)


def _channels(width: float) -> list[int]:
    return [max(1, round(channels * width)) for channels in CHANNELS]
