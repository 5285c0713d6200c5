"""What a voice is like, whatever it says: means and deviations of the cepstrum over the louder half of a clip.

These are the classical statistics of a speaker's timbre. Unlike networks for emotions, they are not trained to ignore
who speaks. The microphone and the room are in them as well: the same person may sound different elsewhere.
"""

import cv2
import numpy as np

from emopipe.media.spectrogram import LogMelOptions, log_mel

OPTIONS = LogMelOptions(window_ms=25, hop_ms=10, n_fft=512, n_mels=40, low_hz=60, high_hz=7600, range_db=80)
CEPSTRA = 25
"""Coefficients of the cosine transform of the log-Mel bands."""
SHORTEST = 100
"""Frames, 1 s: shorter sounds say too little about a voice."""


def voice_print(wave: np.ndarray) -> np.ndarray | None:
    """Return what a voice is like, (2 CEPSTRA,) float64: means, then standard deviations over louder frames.

    Args:
        wave: (n,) float samples in [-1, 1] at 16 kHz.

    Returns:
        None if the sound is too short or silent.
    """
    loudest = np.abs(wave).max(initial=0.0)
    if len(wave) < SHORTEST * OPTIONS.hop or not loudest > 1e-3:
        return None
    bands = log_mel(wave / loudest, OPTIONS)[0].T  # (T, 40)
    loudness = bands.mean(1)
    spoken = bands[loudness >= np.median(loudness)]
    waves = np.stack([cv2.dct(frame)[:CEPSTRA, 0] for frame in np.ascontiguousarray(spoken[:, :, None], np.float64)])
    return np.concatenate([waves.mean(0), waves.std(0)])
