"""Clips of the same sound, whatever its level, codec and a shift in time, by their log-Mel spectrograms."""

from collections.abc import Sequence

import numpy as np

from emopipe.corpora.audit.alike import Pairs, pairs_above, unit
from emopipe.media.spectrogram import LogMelOptions, log_mel

OPTIONS = LogMelOptions(window_ms=100, hop_ms=20, n_fft=2048, n_mels=60, low_hz=150, high_hz=3800, range_db=45)
"""Codecs keep these frequencies. What lies further below the loudest cell is often lost, so it is not compared."""
LONGEST = 500
"""Frames of a print: 10 s."""
SHORTEST = 15
"""Frames, 0.3 s: shorter sounds are not compared."""
SHIFTS = tuple(range(-10, 11))
"""Frames by which two sounds are shifted against each other: up to 0.2 s."""
THRESHOLD = 0.92
"""The least correlation of two prints; docs/audit.md has what was measured."""


def sound_print(wave: np.ndarray) -> np.ndarray | None:
    """Return what is compared of a sound, (T, 60) float32: decades above a floor, less the means of bands and frames.

    So the level does not count, nor does an equalizer, and most of the rhythm that all speakers of a sentence share.

    Args:
        wave: (n,) float samples in [-1, 1] at 16 kHz.

    Returns:
        None if the sound is too short or silent to be compared.
    """
    if len(wave) < SHORTEST * OPTIONS.hop or not np.abs(wave).max() > 1e-3:
        return None
    bands = log_mel(wave, OPTIONS)[0].T[:LONGEST]  # (T, 60)
    centred = bands - bands.mean(0)
    centred -= centred.mean(1, keepdims=True)
    return centred if centred.any() else None


def same_sounds(prints: Sequence[np.ndarray | None], least: float = THRESHOLD) -> Pairs:
    """Return the pairs of clips with the same sound.

    Args:
        prints: What `sound_print` gave for each clip.
        least: The least correlation of two prints, at the best shift.
    """
    known = [number for number, found in enumerate(prints) if found is not None]
    if len(known) < 2:
        return {}
    margin = max(SHIFTS)
    longest = max(len(prints[number]) for number in known) + 2 * margin
    padded = np.zeros((len(known), longest, OPTIONS.n_mels), np.float32)
    for row, number in enumerate(known):
        padded[row, margin : margin + len(prints[number])] = prints[number]
    padded = unit(padded.reshape(len(known), -1))

    def compare(rows: slice) -> np.ndarray:
        best = np.full((rows.stop - rows.start, len(known)), -1, np.float32)
        for shift in SHIFTS:  # what is moved over the edges is padding
            np.maximum(best, np.roll(padded[rows], shift * OPTIONS.n_mels, axis=1) @ padded.T, out=best)
        return best

    return {(known[a], known[b]): value for (a, b), value in pairs_above(len(known), compare, least).items()}
