"""The Mel scale of Slaney's Auditory Toolbox, which librosa uses by default, and its triangular filters.

The numbers are librosa's, which a test compares. librosa itself loads a compiler (numba) and statistics (scipy.signal)
for them, which takes longer than the sound of a hundred clips.
"""

import numpy as np

_HZ_PER_MEL = 200 / 3
_LOG_FROM_HZ = 1000.0
"""Up to here the scale is linear; above, it is logarithmic."""
_LOG_FROM_MEL = _LOG_FROM_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27
"""Of two frequencies one Mel apart above 1000 Hz, the logarithm of their ratio."""


def mel_frequencies(count: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Return `count` frequencies in Hz, (count,) float64, that are evenly spaced on the Mel scale.

    >>> mel_frequencies(4, 0, 1000).round(1).tolist()
    [0.0, 333.3, 666.7, 1000.0]
    """
    mels = np.linspace(_to_mel(low_hz), _to_mel(high_hz), count)
    above = _LOG_FROM_HZ * np.exp(_LOG_STEP * (mels - _LOG_FROM_MEL))
    return np.where(mels < _LOG_FROM_MEL, mels * _HZ_PER_MEL, above)


def mel_filters(rate: int, n_fft: int, edges: np.ndarray) -> np.ndarray:
    """Return triangular filters with peak 1, (bands, n_fft // 2 + 1) float32.

    Args:
        rate: Sampling rate in Hz.
        n_fft: Points of the DFT.
        edges: (bands + 2,) Hz, ascending: a band rises from one to the next and falls to the one after that.
    """
    bins = np.fft.rfftfreq(n_fft, 1 / rate)
    low, centre, high = (each[:, None] for each in (edges[:-2], edges[1:-1], edges[2:]))  # (bands, 1)
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def _to_mel(hz: float) -> float:
    if hz < _LOG_FROM_HZ:
        return hz / _HZ_PER_MEL
    return float(_LOG_FROM_MEL + np.log(hz / _LOG_FROM_HZ) / _LOG_STEP)
