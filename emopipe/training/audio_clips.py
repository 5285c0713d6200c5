"""The sound of training clips in memory, as spectrograms: a dataset for an audio network."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from emopipe.backbones.base import AudioInput, Spec
from emopipe.cache.store import Reader
from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.core.log import Progress
from emopipe.media.spectrogram import compute_spectrogram
from emopipe.media.wave import read_wave
from emopipe.runtime.device import upload
from emopipe.training import augment_audio
from emopipe.training.augment_options import SoundAugmentation
from emopipe.training.dataset import EvalBatch
from emopipe.training.options import PretrainOptions
from emopipe.training.sampling import uniform

MASKS = SoundAugmentation(freq_masks=1)
"""One frequency mask and two time masks: the corpus' own clips are few and similar."""


def read(
    shards: Sequence[Path],
    clips: pd.DataFrame,
    spec: Spec,
    options: PretrainOptions,
    space: LabelSpace = BASIC7,
) -> tuple["SpectrogramDataset", pd.DataFrame]:
    """Read the sound of clips: that of a clip is a sample.

    Args:
        shards: The files of the decode stage.
        clips: Rows of the clip table.
        spec: The network's specification.
        options: The recipe, which has the length of the segments in training.
        space: The label space, of one class for each clip.

    Returns:
        The dataset, and the rows of the clips that have sound; `clip` of the dataset counts these. All samples are in
        the split train.
    """
    wanted, found = set(clips["clip"]), {}
    progress = Progress("reading sound", len(wanted))
    for path in shards:
        with Reader(path) as media:
            for clip in wanted.intersection(media.clips):
                if len(wave := read_wave(media, clip)):
                    found[clip] = torch.from_numpy(compute_spectrogram(wave, spec.input.options)).half()  # (C, F, T)
                progress.advance()
    clips = clips[clips["clip"].isin(list(found))]
    spectrograms, split = [found[clip] for clip in clips["clip"]], np.full(len(clips), "train")
    targets, subject = space.targets(clips).astype("f4"), clips["subject"].to_numpy(str)
    return SpectrogramDataset(spectrograms, targets, split, subject, spec.input, options.seconds), clips


class SpectrogramDataset:
    """Spectrograms in memory with targets; see `emopipe.training.dataset.Dataset`.

    Sounds are varied as spectrograms, which costs a fraction of varying waves: corpora of clips are small, and their
    networks see each clip in many epochs.
    """

    def __init__(
        self,
        spectrograms: Sequence[torch.Tensor],
        targets: np.ndarray,
        split: np.ndarray,
        subject: np.ndarray,
        audio_input: AudioInput,
        seconds: float,
    ) -> None:
        """Create the dataset.

        Args:
            spectrograms: The spectrogram of every clip, (C, F, T) in half precision.
            targets: (n, classes) float32.
            split: (n,) `train`, `val` or "".
            subject: (n,) the speaker; "" where unknown.
            audio_input: The input of the network.
            seconds: Length of the segments in training.
        """
        self.targets, self.split, self.subject = targets, split, subject
        self.clip = np.arange(len(targets))
        self._spectrograms = spectrograms
        self._frames = max(1, round(1000 * seconds / audio_input.options.hop_ms))

    def batch(self, rows: np.ndarray, rng: torch.Generator, device: torch.device) -> torch.Tensor:
        """Return augmented segments (n, C, F, frames) float32, each from a random place of its sound."""
        return upload(torch.stack([self._segment(self._spectrograms[row].float(), rng) for row in rows]), device)

    def eval_batches(self, rows: np.ndarray, device: torch.device) -> Iterator[EvalBatch]:
        """Yield whole sounds (1, C, F, T), one per batch."""
        for row in rows:
            yield EvalBatch([self._spectrograms[row].float()[None].to(device)])

    def _segment(self, spectrogram: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Return one augmented segment (C, F, frames): another speed, masks, and noise."""
        length = max(1, round(spectrogram.shape[-1] * float(uniform(rng, 0.85, 1.15, 1))))
        stretched = F.interpolate(spectrogram, size=length, mode="linear", align_corners=False)
        segment = augment_audio.random_segment(stretched, self._frames, rng)
        masked = augment_audio.mask_spectrogram(segment, MASKS, rng)
        return masked + 0.05 * torch.randn(segment.shape, generator=rng)
