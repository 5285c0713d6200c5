"""The specification of a backbone: its input, its output and its licence."""

from dataclasses import dataclass
from typing import Literal

from emopipe.core.options import Options
from emopipe.faces.crops import FaceInput

Modality = Literal["face", "audio"]


@dataclass(frozen=True)
class AudioInput:
    """The spectrogram that an audio network takes as input, as `media.spectrogram.compute_spectrogram` computes it."""

    kind: Literal["spectrogram", "logmel"]
    """Which spectrogram."""
    options: Options
    """Its options."""


@dataclass(frozen=True)
class WaveInput:
    """The waveform that an audio network takes as input: samples in [-1, 1]."""

    rate: int
    """Sampling rate in Hz."""


@dataclass(frozen=True)
class Spec:
    """The properties of a backbone that are known before it is built.

    A face network maps faces (N, C, H, W) to vectors (N, dim). An audio network maps spectrograms (N, C, F, T) or waves
    (N, T) to vectors (N, T', dim), and `patch_times(T)` returns the times of the T' vectors.
    """

    modality: Modality
    """Whether its input is faces or audio."""
    input: FaceInput | AudioInput | WaveInput
    """The input that it takes."""
    dim: int
    """Length of its vectors."""
    licence: str
    """Licence of the architecture's code, and terms of the weights that others publish for it."""
    citation: str
    """Source of the network."""
    head: tuple[str, ...] = ()
    """Prefixes of the keys of the classifier in published weights. This network ends before it, so they are dropped."""
    any_side: bool = False
    """Whether a face network also takes faces of another size than `input.size`."""
    blocks: int = 1
    """Number of equally long parts of a vector, such as the layers of a network, one after the other. Fusion models
    read their weighted sum, with learned weights. Only a network that is already trained may have several."""
