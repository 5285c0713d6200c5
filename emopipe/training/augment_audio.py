"""Augmentation of sounds in training: speed and noise of the wave, masks on the spectrogram."""

import librosa
import numpy as np
import torch

from emopipe.media.spectrogram import RATE
from emopipe.training.augment_options import SoundAugmentation
from emopipe.training.sampling import uniform


def augment_wave(wave: np.ndarray, options: SoundAugmentation, rng: torch.Generator) -> np.ndarray:
    """Return a wave (samples,) float32 at RATE with another speed and with noise; its length changes with the speed."""
    speed = float(uniform(rng, 1 - options.speed, 1 + options.speed, 1))
    is_noisy = float(torch.rand(1, generator=rng)) < options.noise
    decibels = float(uniform(rng, options.loudest_db, options.quietest_db, 1))
    if options.speed:
        wave = librosa.resample(wave, orig_sr=RATE * speed, target_sr=RATE, res_type="soxr_qq")
    if is_noisy:
        level = np.sqrt(np.mean(wave**2, dtype=np.float64) / 10 ** (decibels / 10))
        wave = wave + np.float32(level) * torch.randn(len(wave), generator=rng).numpy()
    return wave


def random_segment(spectrogram: torch.Tensor, frames: int, rng: torch.Generator) -> torch.Tensor:
    """Return a random segment (C, F, frames) of a spectrogram (C, F, T); a short one is repeated in time first."""
    repeats = -(-frames // spectrogram.shape[-1])
    spectrogram = spectrogram.repeat(1, 1, repeats) if repeats > 1 else spectrogram
    start = int(torch.randint(spectrogram.shape[-1] - frames + 1, (1,), generator=rng))
    return spectrogram[..., start : start + frames]


def mask_spectrogram(spectrogram: torch.Tensor, options: SoundAugmentation, rng: torch.Generator) -> torch.Tensor:
    """Return a copy of a spectrogram (C, F, T) with frequency masks and time masks set to 0."""
    spectrogram = spectrogram.clone()
    masks = (1, options.freq_masks, options.band), (2, options.time_masks, options.moment)
    for axis, count, widest in masks:
        extent = spectrogram.shape[axis]
        for _ in range(count):
            width = int(float(uniform(rng, 0, widest, 1)) * extent)
            start = int(torch.randint(extent - width + 1, (1,), generator=rng))
            spectrogram.narrow(axis, start, width).zero_()
    return spectrogram
