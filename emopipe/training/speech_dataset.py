"""Labelled speech as an audio network learns from it."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from emopipe.backbones.base import AudioInput
from emopipe.media.spectrogram import spectrum
from emopipe.media.wave import as_wave
from emopipe.training import augment_audio
from emopipe.training.dataset import Look
from emopipe.training.phase_options import SpeechPhase


class SpeechLessons:
    """Utterances in memory; see `emopipe.training.dataset.Lessons`."""

    def __init__(
        self,
        waves: Sequence[np.ndarray],
        targets: np.ndarray,
        split: np.ndarray,
        subject: np.ndarray,
        picture: AudioInput,
        options: SpeechPhase,
    ) -> None:
        """Waves (samples,) int16 at 16 kHz."""
        self.targets, self.split, self.subject = targets, split, subject
        self._waves, self._picture, self._options = waves, picture.options, options
        self._frames = max(1, round(1000 * options.seconds / self._picture.hop_ms))

    def batch(self, rows: np.ndarray, rng: torch.Generator, device: torch.device) -> torch.Tensor:
        """(n, C, F, frames) float32: stretches from anywhere in the utterances, varied."""
        return torch.stack([self._stretch(self._waves[row], rng) for row in rows]).to(device)

    def plain(self, rows: np.ndarray, device: torch.device) -> Iterator[Look]:
        """Each utterance whole, one by one."""
        for row in rows:
            picture = spectrum(as_wave(self._waves[row]), self._picture)  # (C, F, T)
            yield Look([torch.from_numpy(picture)[None].to(device)])

    def _stretch(self, wave: np.ndarray, rng: torch.Generator) -> torch.Tensor:
        """(C, F, frames): the whole utterance is drawn, since its loudest moment is the measure; then cut out of it."""
        varied = augment_audio.vary_wave(as_wave(wave), self._options.augment, rng)
        picture = torch.from_numpy(spectrum(varied, self._picture))  # (C, F, T)
        picture = augment_audio.at_least(picture, self._frames)
        start = int(torch.randint(picture.shape[-1] - self._frames + 1, (1,), generator=rng))
        return augment_audio.hide(picture[..., start : start + self._frames], self._options.augment, rng)
