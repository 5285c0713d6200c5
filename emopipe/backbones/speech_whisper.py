"""The first blocks of Whisper's encoder, trained further on emotional speech.

Architecture: two convolutions over 100 log-Mel frames a second, of which the second halves their number, and the first
transformer blocks of Whisper tiny; then a linear layer with GELU on every vector, and the mean of eight vectors.
Whisper was trained to write down 680,000 hours of speech from the web, so its first blocks know many voices and rooms.
The input differs from Whisper's: the clip's loudest cell has a fixed value, so that the level does not matter, and the
clip has its own length and not 30 s.
Source: Radford et al., Whisper, arXiv 2212.04356.
Input: (N, 3, 80, T), the log-Mel spectrogram with bands from 0 to 8 kHz. Its deltas are not used.
Output: (N, T', 256), T' = T / 16 rounded up, one vector every 160 ms.
Weights: MIT (OpenAI's), the model.safetensors of a folder as transformers saves it; or what `pretrain` made of it.
"""

import re

from pydantic import Field

from emopipe.backbones.base import AudioInput, Spec
from emopipe.backbones.torch_types import Module, Tensor
from emopipe.core.options import Number, Options
from emopipe.media.spectrogram import LogMelOptions

SPECTRUM = LogMelOptions(n_fft=400, n_mels=80, low_hz=0.0)
BLOCKS = 4
"""Transformer blocks of Whisper tiny."""
PREFIXES = ("", "encoder.", "model.encoder.")
"""What stands before the encoder's keys: nothing in a file of the encoder alone, the others in a whole Whisper."""
PUBLISHED = re.compile(r"^(model\.)?encoder\.")


class BackboneOptions(Options):
    """The network's size."""

    blocks: int = Field(3, ge=1, le=BLOCKS)
    """Transformer blocks, of Whisper tiny's four."""
    dim: int = Field(256, ge=1)
    """Length of the vectors."""
    dropout: Number = Field(0.1, ge=0, lt=1)
    """Dropout before the last layer in training."""


def spec(options: BackboneOptions) -> Spec:
    """Return the specification: 80 log-Mel bands in, `dim` values every 160 ms out.

    What is not used of a published Whisper counts as its head: the later blocks, the last norm, the positions (which
    are computed) and the decoder.
    """
    later = [f"layers.{number}." for number in range(options.blocks, BLOCKS)]
    unused = [prefix + key for prefix in PREFIXES for key in ("embed_positions.", "layer_norm.", *later)]
    return Spec(
        modality="audio",
        input=AudioInput(SPECTRUM.kind, SPECTRUM),
        dim=options.dim,
        licence="MIT",
        citation="Radford et al., Whisper, arXiv 2212.04356",
        head=(*unused, "model.decoder.", "decoder.", "proj_out."),
    )


def build(options: BackboneOptions) -> Module:
    """Build the network with random weights, drawn from torch's global generator."""
    from emopipe.backbones.nets.speech_whisper import SpeechWhisper

    return SpeechWhisper(options)


def adapt(state: dict[str, Tensor], options: BackboneOptions) -> dict[str, Tensor]:
    """Convert the keys of a published Whisper, and add the last layers of this network, which are not yet trained.

    A state dict of this network is returned as it is.
    """
    from emopipe.backbones.nets.speech_whisper import SpeechWhisper

    if "fc.weight" in state:
        return state
    own = SpeechWhisper(options).state_dict()
    last = {key: value for key, value in own.items() if key.startswith(SpeechWhisper.LAST_LAYERS)}
    return {**last, **{PUBLISHED.sub("", key): value for key, value in state.items()}}
