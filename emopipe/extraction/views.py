"""Augmented views of clips, whose vectors are cached beside the plain ones: to learn from, and to average over."""

import librosa
import numpy as np

from emopipe.core.hashing import stable_hash
from emopipe.media.decoded import AUDIO_RATE

SPEED = {"slow": 0.9, "fast": 1.1}
"""Played so many times as fast, pitch and all, as Kaldi's speed perturbation does."""

PITCH = {"low": -2.0, "high": 2.0}
"""Semitones up, at the same speed."""

NOISE_DB = 15.0
"""Power of the voice over that of the white noise added by `noise`."""

VIEWS = {"face": ("flip",), "audio": (*SPEED, *PITCH, "noise")}
"""Views of each modality."""


def of_crops(crops: np.ndarray, view: str) -> np.ndarray:
    """Crops (n, side, side, 3) as a view shows them; `flip` mirrors left and right, none changes nothing."""
    return np.ascontiguousarray(crops[:, :, ::-1]) if view == "flip" else crops


def of_wave(wave: np.ndarray, view: str, clip: str) -> np.ndarray:
    """A clip's sound (n,) float32 at AUDIO_RATE as a view plays it; none changes nothing."""
    if view in SPEED:
        return librosa.resample(wave, orig_sr=AUDIO_RATE * SPEED[view], target_sr=AUDIO_RATE, res_type="soxr_hq")
    if view in PITCH:
        return librosa.effects.pitch_shift(wave, sr=AUDIO_RATE, n_steps=PITCH[view]).astype(np.float32)
    if view == "noise":
        noise = np.random.default_rng(stable_hash(clip)).standard_normal(len(wave)).astype(np.float32)
        return wave + noise * np.sqrt(np.mean(wave**2) / 10 ** (NOISE_DB / 10), dtype=np.float32)
    return wave


def speed(view: str) -> float:
    """How many seconds of the clip pass in a second of the view."""
    return SPEED.get(view, 1.0)
