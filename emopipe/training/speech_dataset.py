"""Labelled speech as a dataset for an audio network."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from emopipe.backbones.base import AudioInput
from emopipe.media.spectrogram import band_centres, compute_spectrogram
from emopipe.media.wave import as_wave
from emopipe.runtime.device import upload
from emopipe.training import augment_audio
from emopipe.training.dataset import EvalBatch
from emopipe.training.phase_options import SpeechPhase


class SpeechDataset:
    """Utterances in memory with targets; see `emopipe.training.dataset.Dataset`."""

    def __init__(
        self,
        waves: Sequence[np.ndarray],
        targets: np.ndarray,
        split: np.ndarray,
        subject: np.ndarray,
        audio_input: AudioInput,
        options: SpeechPhase,
    ) -> None:
        """Create the dataset.

        Args:
            waves: The sound of every utterance, (samples,) int16 at 16 kHz.
            targets: (n, classes) float32.
            split: (n,) `train`, `val` or "".
            subject: (n,) the speaker; "" where unknown.
            audio_input: The input of the network.
            options: The phase: its augmentation, and the length of the segments.
        """
        self.targets, self.split, self.subject = targets, split, subject
        self.clip = np.arange(len(targets))
        self.waves, self._spectrum, self._options = waves, audio_input.options, options
        self._hertz = band_centres(self._spectrum)  # (F,)
        self._frames = max(1, round(1000 * options.seconds / self._spectrum.hop_ms))

    def batch(self, rows: np.ndarray, rng: torch.Generator, device: torch.device) -> torch.Tensor:
        """Return augmented segments (n, C, F, frames) float32, each from a random place of its utterance."""
        return upload(torch.stack([self._segment(self.waves[row], rng) for row in rows]), device)

    def eval_batches(self, rows: np.ndarray, device: torch.device) -> Iterator[EvalBatch]:
        """Yield whole utterances (1, C, F, T), one per batch."""
        for row in rows:
            spectrogram = compute_spectrogram(as_wave(self.waves[row]), self._spectrum)  # (C, F, T)
            yield EvalBatch([torch.from_numpy(spectrogram)[None].to(device)])

    def _segment(self, wave: np.ndarray, rng: torch.Generator) -> torch.Tensor:
        """Return one augmented segment (C, F, frames).

        The segment is cut out of the spectrogram of the whole utterance, whose loudest moment sets the scale.
        """
        augmented = augment_audio.augment_wave(as_wave(wave), self._options.augment, rng)
        spectrogram = torch.from_numpy(compute_spectrogram(augmented, self._spectrum))  # (C, F, T)
        segment = augment_audio.random_segment(spectrogram, self._frames, rng)
        segment = augment_audio.change_pitch(segment, self._hertz, self._options.augment, rng)
        return augment_audio.mask_spectrogram(segment, self._options.augment, rng)
