"""The two inputs of the audio networks: the speech spectrogram, and the log-Mel spectrogram with its deltas.

The paper (arXiv 2012.13912) uses a 40 ms Hamming window every 10 ms, and its companion (arXiv 1806.01506) 16 kHz audio
and the lowest 200 bins of an 800-point DFT. This project chose the rest:

- Values are decades of amplitude (20 dB each) above a floor that lies `range_db` below the reference. Silence is
  therefore 0, and so is the zero padding of clips and convolutions. Speech has a standard deviation of about 1.
- By default the reference is the loudest cell of the clip, so the values do not depend on the recording's gain. They
  are not divided by the clip's own standard deviation, because that is what differs between a flat and a lively voice.
- Frames are centred: frame t lies at t * hop, the clip is padded with silence, and n samples give 1 + n // hop frames.
"""

from functools import lru_cache
from typing import Literal, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field, model_validator

from emopipe.core.errors import ConfigError
from emopipe.core.options import Number, Options
from emopipe.media.mel import mel_filters, mel_frequencies

RATE = 16_000
"""Sampling rate of every wave in this module, in Hz."""

_QUIETEST = 10 ** (
    -80 / 20
)  # a clip whose peak is below -80 dBFS is noise, which is not amplified to the level of speech
_BLOCK_FRAMES = 2048
_DELTA_WIDTH = 9  # frames of each slope
_DELTA_MS = 50.0  # deltas are changes per 50 ms: on speech the channels have standard deviations of 1.0, 0.4 and 1.0


class FrameOptions(Options):
    """How a wave is cut into frames, and the reference of its amplitudes."""

    window_ms: Number = Field(40.0, gt=0)
    """Length of the Hamming window in milliseconds."""
    hop_ms: Number = Field(10.0, gt=0)
    """Hop from one frame to the next in milliseconds."""
    n_fft: int = Field(800, ge=2)
    """Points of the DFT. At 16 kHz a bin is 16000 / n_fft Hz wide."""
    level: Literal["clip", "full_scale"] = "clip"
    """The reference amplitude: the clip's loudest cell, or a sine of amplitude 1 (for corpora with one fixed gain)."""
    range_db: Number = Field(80.0, gt=0)
    """Dynamic range in dB: amplitudes that are further below the reference become 0."""

    @property
    def window(self) -> int:
        """Return the length of the window in samples."""
        return round(self.window_ms * RATE / 1000)

    @property
    def hop(self) -> int:
        """Return the hop from one frame to the next in samples."""
        return round(self.hop_ms * RATE / 1000)

    @model_validator(mode="after")
    def _window_fits(self) -> Self:
        if not 1 <= self.window <= self.n_fft:
            raise ValueError(
                f"a window of {self.window_ms:g} ms is {self.window} samples, but it has to be from 1 to the "
                f"{self.n_fft} points of n_fft. Change window_ms or n_fft"
            )
        if self.hop < 1:
            raise ValueError(f"a hop of {self.hop_ms:g} ms is less than one sample. Increase hop_ms")
        return self


class SpectrogramOptions(FrameOptions):
    """Options of the speech spectrogram. The defaults give 200 bins of 20 Hz, so 0 to 4 kHz."""

    kind: Literal["spectrogram"] = "spectrogram"
    """Selects the speech spectrogram."""
    bins: int = Field(200, ge=1)
    """Number of bins, counted from 0 Hz; higher ones are dropped."""

    @model_validator(mode="after")
    def _bins_exist(self) -> Self:
        if self.bins > self.n_fft // 2 + 1:
            raise ValueError(
                f"bins is {self.bins}, but a DFT of n_fft {self.n_fft} has {self.n_fft // 2 + 1}. Decrease bins or "
                "increase n_fft"
            )
        return self


class LogMelOptions(FrameOptions):
    """Options of the log-Mel spectrogram with deltas and delta-deltas. Its shorter window is this project's choice."""

    kind: Literal["logmel"] = "logmel"
    """Selects the log-Mel spectrogram."""
    window_ms: Number = Field(25.0, gt=0)
    """Length of the Hamming window in milliseconds."""
    n_fft: int = Field(512, ge=2)
    """Points of the DFT."""
    n_mels: int = Field(64, ge=1)
    """Number of Mel bands."""
    low_hz: Number = Field(20.0, ge=0)
    """Lower edge of the lowest band in Hz."""
    high_hz: Number = Field(8000.0, gt=0, le=RATE / 2)
    """Upper edge of the highest band in Hz."""

    @model_validator(mode="after")
    def _edges_in_order(self) -> Self:
        if self.low_hz >= self.high_hz:
            raise ValueError(f"low_hz is {self.low_hz:g}, but it has to be below high_hz, {self.high_hz:g}. Change one")
        return self


def compute_spectrogram(wave: np.ndarray, options: SpectrogramOptions | LogMelOptions) -> np.ndarray:
    """Compute the spectrogram that `options` describes: `speech_spectrogram` or `log_mel`.

    Args:
        wave: (n,) float samples in [-1, 1] at 16 kHz, n >= 1.
        options: Which spectrogram, and its settings.

    Returns:
        (C, F, 1 + n // hop) float32: 1 channel of `bins`, or 3 channels of `n_mels`.

    Raises:
        ValueError: The wave is empty, has several channels, or holds values that are not finite.
        ConfigError: The Mel bands are too narrow for the DFT.
    """
    return log_mel(wave, options) if isinstance(options, LogMelOptions) else speech_spectrogram(wave, options)


def speech_spectrogram(wave: np.ndarray, options: SpectrogramOptions | None = None) -> np.ndarray:
    """Compute the log-magnitude spectrogram of the lowest bins (arXiv 2012.13912, arXiv 1806.01506).

    Args:
        wave: (n,) float samples in [-1, 1] at 16 kHz, n >= 1.
        options: Default: the paper's framing.

    Returns:
        (1, bins, 1 + n // hop) float32 in decades above the floor. 0 is silence, range_db / 20 is the reference.

    Raises:
        ValueError: The wave is empty, not one channel, or holds values that are not finite.

    >>> speech_spectrogram(np.zeros(16000, np.float32)).shape
    (1, 200, 101)
    """
    options = options or SpectrogramOptions()
    amplitude = _amplitude(wave, options)[: options.bins]  # (bins, T)
    return _decades(amplitude, options)[None]


def log_mel(wave: np.ndarray, options: LogMelOptions | None = None) -> np.ndarray:
    """Compute the log-Mel spectrogram, its deltas and its delta-deltas as three channels (arXiv 2012.13912).

    The deltas are librosa's (Savitzky-Golay slopes over 9 frames, edge values repeated), scaled to changes per 50 ms.

    Args:
        wave: (n,) float samples in [-1, 1] at 16 kHz, n >= 1.
        options: Default: this project's settings.

    Returns:
        (3, n_mels, 1 + n // hop) float32. The first channel is in decades above the floor, as in
        `speech_spectrogram`.

    Raises:
        ValueError: The wave is empty, not one channel, or holds values that are not finite.
        ConfigError: A Mel band is so narrow that it could contain no bin of the DFT.

    >>> log_mel(np.zeros(16000, np.float32)).shape
    (3, 64, 101)
    """
    options = options or LogMelOptions()
    filters = _filters(options.n_fft, options.n_mels, options.low_hz, options.high_hz)  # (n_mels, bins)
    mel = _decades(np.sqrt(filters @ _amplitude(wave, options) ** 2), options)  # (n_mels, T)
    slopes = [_slope(mel, order) * (_DELTA_MS / options.hop_ms) ** order for order in (1, 2)]
    return np.stack([mel, *slopes]).astype(np.float32)  # (3, n_mels, T)


def frame_times(n_frames: int, hop_ms: float = 10.0) -> np.ndarray:
    """Return the times of the frames' centres in seconds, (n_frames,) float64. Frame 0 is centred on the first sample.

    >>> frame_times(3)
    array([0.  , 0.01, 0.02])
    """
    return np.arange(n_frames) * round(hop_ms * RATE / 1000) / RATE


def band_centres(options: SpectrogramOptions | LogMelOptions) -> np.ndarray:
    """Return the centre frequency of each bin or Mel band in Hz, (F,) float64, ascending.

    >>> band_centres(SpectrogramOptions())[:3]
    array([ 0., 20., 40.])
    """
    if isinstance(options, LogMelOptions):
        return mel_frequencies(options.n_mels + 2, options.low_hz, options.high_hz)[1:-1]
    return np.arange(options.bins) * RATE / options.n_fft


def _amplitude(wave: np.ndarray, options: FrameOptions) -> np.ndarray:
    """Return magnitudes, (n_fft // 2 + 1, T) float32. A sine of amplitude 1 at a bin's centre has magnitude 1."""
    if wave.ndim != 1 or wave.size == 0:
        raise ValueError(f"A wave of shape {wave.shape} was given. Expected one channel, (n,), with n >= 1.")
    if not np.isfinite(wave).all():
        raise ValueError("The wave holds samples that are not finite. Decode the clip again.")
    # 1. The window, in the middle of the points of the DFT; periodic, as for a spectrum.
    hamming = np.hamming(options.window + 1)[:-1]
    before = (options.n_fft - options.window) // 2
    window = np.pad(hamming, (before, options.n_fft - options.window - before)).astype(np.float32)
    # 2. Frames about t * hop, with silence before the first sample and after the last one.
    padded = np.pad(wave.astype(np.float32, copy=False), options.n_fft // 2)
    frames = sliding_window_view(padded, options.n_fft)[:: options.hop]  # (T, n_fft), a view
    # 3. Their magnitudes, by blocks of frames, whose copies need little memory.
    starts = range(0, len(frames), _BLOCK_FRAMES)
    magnitudes = [np.abs(np.fft.rfft(frames[start : start + _BLOCK_FRAMES] * window)) for start in starts]
    return np.concatenate(magnitudes).T / np.float32(hamming.sum() / 2)


def _slope(values: np.ndarray, order: int) -> np.ndarray:
    """Return the first or second derivative over time of values (F, T), (F, T) per frame or per frame squared.

    It is that of the polynomial of this order which fits the 9 frames about each by least squares (Savitzky and Golay,
    1964), as in librosa's `delta`. Values at the edges are repeated.
    """
    half = _DELTA_WIDTH // 2
    powers = np.vander(np.arange(-half, half + 1), order + 1, increasing=True)  # (9, order + 1)
    weights = order * np.linalg.pinv(powers)[order]  # (9,); the factor is order!, for 1 and 2
    around = sliding_window_view(np.pad(values, ((0, 0), (half, half)), mode="edge"), _DELTA_WIDTH, axis=1)
    return around @ weights.astype(np.float32)  # (F, T)


def _decades(amplitude: np.ndarray, options: FrameOptions) -> np.ndarray:
    """Convert amplitudes (F, T) to decades above the floor, (F, T) float32."""
    reference = max(float(amplitude.max()), _QUIETEST) if options.level == "clip" else 1.0
    decades = options.range_db / 20
    above = np.log10(np.maximum(amplitude / reference, 10**-decades)) + decades
    return np.maximum(above, 0).astype(np.float32)


@lru_cache(maxsize=8)
def _filters(n_fft: int, n_mels: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Return triangular filters with peak 1 on the Mel scale, (n_mels, n_fft // 2 + 1) float32."""
    edges = mel_frequencies(n_mels + 2, low_hz, high_hz)
    narrowest = float(np.diff(edges).min())
    if narrowest < RATE / n_fft / 2:  # a triangle twice this wide may fall between two bins
        raise ConfigError(
            f"The narrowest of {n_mels} Mel bands has a half-width of {narrowest:.0f} Hz, but the DFT's bins are "
            f"{RATE / n_fft:.0f} Hz apart, so the band could contain no bin. Decrease n_mels, or increase n_fft (now "
            f"{n_fft})."
        )
    return mel_filters(RATE, n_fft, edges)
