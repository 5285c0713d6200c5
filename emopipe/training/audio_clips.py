"""Training clips' sound in memory as pictures, and how stretches of it are varied."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from emopipe.backbones.base import AudioInput, Spec
from emopipe.cache.store import Reader
from emopipe.core.log import Progress
from emopipe.media.spectrogram import spectrum
from emopipe.media.wave import read_wave
from emopipe.training import augment_audio
from emopipe.training.augment_options import SoundAugmentation
from emopipe.training.options import PretrainOptions
from emopipe.training.samples import uniform

HIDDEN = SoundAugmentation(freq_masks=1)
"""One band and two moments: a corpus' own clips are few, and vary little."""


def read(shards: Sequence[Path], clips: Sequence[str], spec: Spec, options: PretrainOptions) -> "Sounds":
    """The sound of `clips` out of the decode stage's shards, for the network that `spec` describes."""
    return Sounds(shards, clips, spec.input, options.seconds)


class Sounds:
    """Sounds of clips as pictures; a batch holds stretches of one length."""

    def __init__(self, shards: Sequence[Path], clips: Sequence[str], picture: AudioInput, seconds: float) -> None:
        """Read the sound of `clips` out of the decode stage's shards and draw its pictures."""
        wanted = set(clips)
        progress = Progress("reading sound", len(wanted))
        found: dict[str, torch.Tensor] = {}
        for path in shards:
            with Reader(path) as media:
                for clip in wanted.intersection(media.clips):
                    if len(wave := read_wave(media, clip)):
                        found[clip] = torch.from_numpy(spectrum(wave, picture.options)).half()  # (C, F, T)
                    progress.advance()
        self.clips = [clip for clip in clips if clip in found]
        self._pictures = [found[clip] for clip in self.clips]
        self.clip = np.arange(len(self.clips))
        self._frames = max(1, round(1000 * seconds / picture.options.hop_ms))

    def batch(self, rows: np.ndarray, rng: torch.Generator | None) -> torch.Tensor:
        """(n, C, F, frames) float32: stretches, from the middle or, with a generator, from anywhere and augmented."""
        stretches = [_stretch(self._pictures[row].float(), self._frames, rng) for row in rows]
        return torch.stack(stretches)


def _stretch(picture: torch.Tensor, frames: int, rng: torch.Generator | None) -> torch.Tensor:
    """(C, F, frames): a short sound is repeated; with a generator, speed, bands and moments vary (SpecAugment)."""
    if rng is not None:
        speed = float(uniform(rng, 0.85, 1.15, 1))
        length = max(1, round(picture.shape[-1] * speed))
        picture = F.interpolate(picture, size=length, mode="linear", align_corners=False)
    picture = augment_audio.at_least(picture, frames)
    room = picture.shape[-1] - frames
    start = room // 2 if rng is None else int(torch.randint(room + 1, (1,), generator=rng))
    cut = picture[..., start : start + frames]
    if rng is None:
        return cut
    return augment_audio.hide(cut, HIDDEN, rng) + 0.05 * torch.randn(cut.shape, generator=rng)
