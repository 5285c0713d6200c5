"""Augmentation of sounds in training: of the wave, as rooms, noises and recorders change it, and of the spectrogram.

All randomness comes from the given generator of the CPU. The augmentations that are off by default draw nothing while
they are off.
"""

import librosa
import numpy as np
import torch
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.signal import oaconvolve

from emopipe.media.spectrogram import RATE
from emopipe.training.augment_options import SoundAugmentation
from emopipe.training.sampling import uniform

REVERBERATION_S = (0.15, 0.8)
"""Range of the reverberation time, in which the sound of a room falls by 60 dB: from a car to a large office."""
DIRECT_DB = (0.0, 15.0)
"""Range of the level of the direct sound above the reverberant sound in dB: from across a room to close by."""
LOW_EDGES_HZ, HIGH_EDGES_HZ = (50.0, 400.0), (2500.0, 7500.0)
"""Ranges of the edges of a limited band. A telephone (ITU-T G.712) has 300 and 3400 Hz."""
_EDGE_ORDER = 8  # 48 dB per octave beyond an edge
_LOWEST_HZ = 50.0  # the noise's spectrum is flat below
_HERTZ = np.linspace(1, RATE / 2, 1001)  # where the gains of filters are computed; between, they are interpolated
_OCTAVES_HZ = 62.5 * 2.0 ** np.arange(8)  # 62.5 Hz to 8 kHz: the frequencies of the equaliser's gains


def augment_wave(wave: np.ndarray, options: SoundAugmentation, rng: torch.Generator) -> np.ndarray:
    """Return a wave (samples,) float32 at RATE with another speed, room, noise, channel and level.

    They come in this order, which is that of a recording. The length changes with the speed alone.
    """
    speed = float(uniform(rng, 1 - options.speed, 1 + options.speed, 1))
    is_noisy = float(torch.rand(1, generator=rng)) < options.noise
    decibels = float(uniform(rng, options.loudest_db, options.quietest_db, 1))
    if options.speed:
        wave = librosa.resample(wave, orig_sr=RATE * speed, target_sr=RATE, res_type="soxr_qq")
    if options.room and float(torch.rand(1, generator=rng)) < options.room:
        wave = reverberate(wave, rng)
    if is_noisy:
        level = np.sqrt(np.mean(wave**2, dtype=np.float64) / 10 ** (decibels / 10))
        wave = wave + np.float32(level) * _noise(len(wave), options.noise_slope, rng)
    wave = change_channel(wave, options, rng)
    if options.level_db:
        wave = wave * np.float32(10 ** (float(uniform(rng, -options.level_db, options.level_db, 1)) / 20))
    return wave


def reverberate(wave: np.ndarray, rng: torch.Generator) -> np.ndarray:
    """Return a wave (samples,) float32 as it sounds in a random room; what rings on after its end is cut off.

    The room's response is the direct sound and noise that decays exponentially (Polack's model, 1988).
    """
    # 1. The reverberant part, with an energy of 1.
    seconds = float(uniform(rng, *REVERBERATION_S, 1))
    times = torch.arange(1, round(seconds * RATE)) / RATE
    decay = 10 ** (-3 * times / seconds)  # -60 dB after so many seconds
    tail = torch.randn(len(times), generator=rng) * decay
    tail = tail / tail.norm()
    # 2. The direct sound before it.
    direct = 10 ** (float(uniform(rng, *DIRECT_DB, 1)) / 20)
    response = torch.cat([torch.tensor([direct]), tail]).numpy()
    return oaconvolve(wave, response)[: len(wave)].astype(np.float32)


def change_channel(wave: np.ndarray, options: SoundAugmentation, rng: torch.Generator) -> np.ndarray:
    """Return a wave (samples,) float32 after a random equaliser and a random band limit, both without delay."""
    gain = np.ones(len(_HERTZ))
    if options.equaliser_db:
        decibels = uniform(rng, -options.equaliser_db, options.equaliser_db, len(_OCTAVES_HZ)).numpy()
        gain *= 10 ** (np.interp(np.log(_HERTZ), np.log(_OCTAVES_HZ), decibels) / 20)
    if options.band_limit and float(torch.rand(1, generator=rng)) < options.band_limit:
        low, high = (np.exp(float(uniform(rng, *np.log(edges), 1))) for edges in (LOW_EDGES_HZ, HIGH_EDGES_HZ))
        # The magnitude of Butterworth filters, forward and backward.
        gain *= 1 / (1 + (low / _HERTZ) ** _EDGE_ORDER) / (1 + (_HERTZ / high) ** _EDGE_ORDER)
    return wave if (gain == 1).all() else _filtered(wave, gain)


def _noise(samples: int, slope: float, rng: torch.Generator) -> np.ndarray:
    """Return noise (samples,) float32 with a power of 1, whose spectrum has up to `slope` dB per octave, up or down."""
    white = torch.randn(samples, generator=rng).numpy()
    if not slope:
        return white
    exponent = float(uniform(rng, -slope, slope, 1)) / (20 * np.log10(2))
    coloured = _filtered(white, (np.maximum(_HERTZ, _LOWEST_HZ) / 1000) ** exponent)
    return coloured / np.sqrt(np.mean(coloured**2))


def _filtered(wave: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Return a wave (samples,) float32 whose frequencies have a gain, given at `_HERTZ`; nothing is delayed."""
    length = next_fast_len(len(wave) + RATE // 10, real=True)  # what the filter moves round the end is silence
    spectrum = rfft(wave, length)
    spectrum *= np.interp(rfftfreq(length, 1 / RATE), _HERTZ, gain).astype(np.float32)
    return irfft(spectrum, length)[: len(wave)]


def change_pitch(
    spectrogram: torch.Tensor, hertz: np.ndarray, options: SoundAugmentation, rng: torch.Generator
) -> torch.Tensor:
    """Return a spectrogram (C, F, T) whose frequencies are multiplied by a random factor, interpolated between bands.

    Args:
        spectrogram: Any spectrogram with bands.
        hertz: (F,) the ascending centres of the bands.
        options: The strength of the augmentation.
        rng: The source of randomness.
    """
    if not options.pitch:
        return spectrogram
    factor = float(uniform(rng, 1 - options.pitch, 1 + options.pitch, 1))
    at = torch.from_numpy(np.interp(hertz / factor, hertz, np.arange(len(hertz))))  # (F,) the band that each shows
    below = at.long()
    above = (below + 1).clamp(max=len(hertz) - 1)
    return torch.lerp(spectrogram[:, below], spectrogram[:, above], (at - below).float()[:, None])


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
