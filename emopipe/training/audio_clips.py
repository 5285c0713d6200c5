"""The sound of training clips in memory, as spectrograms, and the augmentation of its segments."""

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

MASKS = SoundAugmentation(freq_masks=1)
"""One frequency mask and two time masks: the corpus' own clips are few and similar."""


def read(shards: Sequence[Path], clips: Sequence[str], spec: Spec, options: PretrainOptions) -> "Sounds":
    """Read the sound of `clips` from the shards of the decode stage, for the network that `spec` describes."""
    return Sounds(shards, clips, spec.input, options.seconds)


class Sounds:
    """The sound of clips as spectrograms; see `emopipe.training.samples.Samples`. A clip is one sample."""

    def __init__(self, shards: Sequence[Path], clips: Sequence[str], audio_input: AudioInput, seconds: float) -> None:
        """Read the sound of `clips` from the shards of the decode stage, and compute its spectrograms.

        Args:
            shards: The files of the decode stage.
            clips: The clips to read. Clips without sound are omitted.
            audio_input: The input of the network.
            seconds: Length of the segments in a batch.
        """
        wanted = set(clips)
        progress = Progress("reading sound", len(wanted))
        found: dict[str, torch.Tensor] = {}
        for path in shards:
            with Reader(path) as media:
                for clip in wanted.intersection(media.clips):
                    if len(wave := read_wave(media, clip)):
                        found[clip] = torch.from_numpy(spectrum(wave, audio_input.options)).half()  # (C, F, T)
                    progress.advance()
        self.clips = [clip for clip in clips if clip in found]
        self._spectrograms = [found[clip] for clip in self.clips]
        self.clip = np.arange(len(self.clips))
        self._frames = max(1, round(1000 * seconds / audio_input.options.hop_ms))

    def batch(self, rows: np.ndarray, rng: torch.Generator | None) -> torch.Tensor:
        """Return segments (n, C, F, frames) float32: from the middle or, with a generator, random and augmented."""
        return torch.stack([self._segment(self._spectrograms[row].float(), rng) for row in rows])

    def _segment(self, spectrogram: torch.Tensor, rng: torch.Generator | None) -> torch.Tensor:
        """Return one segment (C, F, frames). A short sound is repeated."""
        if rng is not None:  # another speed
            speed = float(uniform(rng, 0.85, 1.15, 1))
            length = max(1, round(spectrogram.shape[-1] * speed))
            spectrogram = F.interpolate(spectrogram, size=length, mode="linear", align_corners=False)
        spectrogram = augment_audio.repeat_to(spectrogram, self._frames)
        room = spectrogram.shape[-1] - self._frames
        start = room // 2 if rng is None else int(torch.randint(room + 1, (1,), generator=rng))
        segment = spectrogram[..., start : start + self._frames]
        if rng is None:
            return segment
        masked = augment_audio.mask_spectrogram(segment, MASKS, rng)
        return masked + 0.05 * torch.randn(segment.shape, generator=rng)
