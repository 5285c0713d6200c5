"""How sounds are varied while a network learns: speed and noise of the wave, hidden parts of its picture."""

import librosa
import numpy as np
import torch

from emopipe.media.spectrogram import RATE
from emopipe.training.augment_options import SoundAugmentation
from emopipe.training.samples import uniform


def vary_wave(wave: np.ndarray, options: SoundAugmentation, rng: torch.Generator) -> np.ndarray:
    """A wave (samples,) float32 at RATE, faster or slower and with noise."""
    speed = float(uniform(rng, 1 - options.speed, 1 + options.speed, 1))
    is_noisy = float(torch.rand(1, generator=rng)) < options.noise
    decibels = float(uniform(rng, options.loudest_db, options.quietest_db, 1))
    if options.speed:
        wave = librosa.resample(wave, orig_sr=RATE * speed, target_sr=RATE, res_type="soxr_qq")
    if is_noisy:
        level = np.sqrt(np.mean(wave**2, dtype=np.float64) / 10 ** (decibels / 10))
        wave = wave + np.float32(level) * torch.randn(len(wave), generator=rng).numpy()
    return wave


def at_least(picture: torch.Tensor, frames: int) -> torch.Tensor:
    """A picture (C, F, T) repeated until it has so many frames."""
    repeats = -(-frames // picture.shape[-1])
    return picture.repeat(1, 1, repeats) if repeats > 1 else picture


def hide(picture: torch.Tensor, options: SoundAugmentation, rng: torch.Generator) -> torch.Tensor:
    """A picture (C, F, T) with bands and moments silenced."""
    picture = picture.clone()
    for axis, count, widest in ((1, options.freq_masks, options.band), (2, options.time_masks, options.moment)):
        extent = picture.shape[axis]
        for _ in range(count):
            width = int(float(uniform(rng, 0, widest, 1)) * extent)
            start = int(torch.randint(extent - width + 1, (1,), generator=rng))
            picture.narrow(axis, start, width).zero_()
    return picture
