"""Augmented views of clips. Their vectors are cached beside the plain ones, for training and for averaging."""

import numpy as np

from emopipe.core.hashing import stable_hash
from emopipe.media.decoded import AUDIO_RATE

SPEED = {"slow": 0.9, "fast": 1.1}
"""View -> factor on the speed, and so on the pitch, as in Kaldi's speed perturbation."""

PITCH = {"low": -2.0, "high": 2.0}
"""View -> shift of the pitch in semitones, at the same speed."""

NOISE_SNR_DB = 15.0
"""Signal-to-noise ratio of the view `noise`, with white noise."""

VIEWS = {"face": ("flip",), "audio": (*SPEED, *PITCH, "noise")}
"""Modality -> its views."""


def augment_crops(crops: np.ndarray, view: str) -> np.ndarray:
    """Return crops (n, side, side, 3) of a view: `flip` mirrors left and right; an empty name changes nothing."""
    return np.ascontiguousarray(crops[:, :, ::-1]) if view == "flip" else crops


def augment_wave(wave: np.ndarray, view: str, clip: str) -> np.ndarray:
    """Return the sound of a view.

    Args:
        wave: (n,) float32 at AUDIO_RATE.
        view: A view of `VIEWS["audio"]`; an empty name changes nothing.
        clip: The clip's id, which seeds the noise.

    Returns:
        (m,) float32 at AUDIO_RATE.
    """
    import librosa  # slow to import; views of faces do not need it

    if view in SPEED:
        return librosa.resample(wave, orig_sr=AUDIO_RATE * SPEED[view], target_sr=AUDIO_RATE, res_type="soxr_hq")
    if view in PITCH:
        return librosa.effects.pitch_shift(wave, sr=AUDIO_RATE, n_steps=PITCH[view]).astype(np.float32)
    if view == "noise":
        noise = np.random.default_rng(stable_hash(clip)).standard_normal(len(wave)).astype(np.float32)
        return wave + noise * np.sqrt(np.mean(wave**2) / 10 ** (NOISE_SNR_DB / 10), dtype=np.float32)
    return wave


def speed_factor(view: str) -> float:
    """Return how many seconds of the clip one second of the view has."""
    return SPEED.get(view, 1.0)
