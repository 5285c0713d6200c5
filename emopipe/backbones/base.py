"""What every backbone says of itself: what it takes in, what it gives out, and under which licence."""

from dataclasses import dataclass
from typing import Literal

from emopipe.core.options import Options
from emopipe.faces.crops import FaceInput

Modality = Literal["face", "audio"]


@dataclass(frozen=True)
class AudioInput:
    """The picture of the voice that an audio network takes in, as `emopipe.media.spectrogram.spectrum` draws it."""

    spectrum: Literal["spectrogram", "logmel"]
    """Which picture."""
    options: Options
    """Its block of options."""


@dataclass(frozen=True)
class WaveInput:
    """The sound itself, as an audio network takes it in: samples in [-1, 1]."""

    rate: int
    """Samples a second."""


@dataclass(frozen=True)
class Spec:
    """What a backbone is, known before it is built.

    A face network maps (N, C, H, W) to (N, dim). An audio network maps pictures (N, C, F, T) or waves (N, T) to
    (N, T', dim), where T' counts the patches of its last map, and says by `patch_times(T)` when each patch is.
    """

    modality: Modality
    """What it looks at."""
    input: FaceInput | AudioInput | WaveInput
    """What it takes in."""
    dim: int
    """Length of its vectors."""
    licence: str
    """Licence of the architecture's code, and a word on the weights that others publish for it."""
    citation: str
    """Where the network comes from."""
    head: tuple[str, ...] = ()
    """Prefixes of the keys by which published weights carry a classifier that this network ends before."""
    any_side: bool = False
    """Whether a face network also reads faces of another side than its own."""
