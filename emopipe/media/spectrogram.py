"""The two pictures of a voice that the audio networks read: the speech spectrogram and the log-Mel with its
deltas.

The paper (arXiv 2012.13912) gives a 40 ms Hamming window every 10 ms, and its companions (arXiv 1806.01506)
16 kHz and the lowest 200 bins of an 800-point DFT. The rest is this project's choice:

- Values are decades of amplitude (20 dB each) above a floor that lies `range_db` under the reference. So
  silence is 0, the zeros by which clips and convolutions are padded mean silence too, and speech spreads by
  about one unit.
- The reference is by default the loudest cell of the clip itself, which makes the values independent of the
  recording's gain. What remains are the ups and downs of loudness within the clip; they are not divided by
  the clip's own spread, because a flat voice and a lively one differ by exactly that.
- Frames are centred: frame t lies at t * hop, the clip is surrounded by silence, and n samples give 1 + n //
  hop frames.
"""

from functools import lru_cache
from typing import Literal, Self

import librosa
import numpy as np
from pydantic import Field, model_validator

from emopipe.core.errors import ConfigError
from emopipe.core.options import Number, Options

RATE = 16_000
"""Samples a second of every wave in this module."""

_QUIETEST = 10 ** (-80 / 20)  # a peak under -80 dBFS is hiss, not to be blown up to a voice
_DELTA_WIDTH = 9  # frames under each slope, librosa's own default
_DELTA_MS = 50.0  # deltas are changes per 50 ms: on speech the three channels spread by 1.0, 0.4 and 1.0


class FrameOptions(Options):
    """How a wave is cut into frames and which amplitude counts as 1."""

    window_ms: Number = Field(40.0, gt=0)
    """Length of the Hamming window in milliseconds."""
    hop_ms: Number = Field(10.0, gt=0)
    """Milliseconds from one frame to the next."""
    n_fft: int = Field(800, ge=2)
    """Points of the DFT; at 16 kHz a bin is 16000 / n_fft Hz wide."""
    level: Literal["clip", "full_scale"] = "clip"
    """The reference: the clip's own loudest cell, or, for corpora of one gain, a sine of amplitude 1."""
    range_db: Number = Field(80.0, gt=0)
    """What lies further than this under the reference reads 0."""

    @property
    def window(self) -> int:
        """Length of the window in samples."""
        return round(self.window_ms * RATE / 1000)

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return round(self.hop_ms * RATE / 1000)

    @model_validator(mode="after")
    def _window_fits(self) -> Self:
        if not 1 <= self.window <= self.n_fft:
            raise ValueError(
                f"A window of {self.window_ms:g} ms is {self.window} samples and has to be within 1 and the "
                f"{self.n_fft} points of n_fft; change window_ms or n_fft."
            )
        if self.hop < 1:
            raise ValueError(f"A hop of {self.hop_ms:g} ms is less than a sample; make hop_ms larger.")
        return self


class SpectrogramOptions(FrameOptions):
    """The speech spectrogram; its defaults give 200 bins of 20 Hz, so 0 to 4 kHz."""

    kind: Literal["spectrogram"] = "spectrogram"
    """Tells this block from the log-Mel's."""
    bins: int = Field(200, ge=1)
    """How many of the lowest bins are kept."""

    @model_validator(mode="after")
    def _bins_exist(self) -> Self:
        if self.bins > self.n_fft // 2 + 1:
            raise ValueError(
                f"bins is {self.bins}, but a DFT of n_fft {self.n_fft} has {self.n_fft // 2 + 1}; lower "
                "bins or raise n_fft."
            )
        return self


class LogMelOptions(FrameOptions):
    """The log-Mel spectrogram with deltas and delta-deltas; its shorter window is this project's choice."""

    kind: Literal["logmel"] = "logmel"
    """Tells this block from the spectrogram's."""
    window_ms: Number = Field(25.0, gt=0)
    """Length of the Hamming window in milliseconds."""
    n_fft: int = Field(512, ge=2)
    """Points of the DFT."""
    n_mels: int = Field(64, ge=1)
    """Mel bands."""
    low_hz: Number = Field(20.0, ge=0)
    """Lower edge of the lowest band."""
    high_hz: Number = Field(8000.0, gt=0, le=RATE / 2)
    """Upper edge of the highest band."""

    @model_validator(mode="after")
    def _edges_in_order(self) -> Self:
        if self.low_hz >= self.high_hz:
            raise ValueError(f"low_hz {self.low_hz:g} has to be under high_hz {self.high_hz:g}; move one.")
        return self


def spectrum(wave: np.ndarray, options: SpectrogramOptions | LogMelOptions) -> np.ndarray:
    """The picture that `options` describes: `speech_spectrogram` or `log_mel`, (C, F, T) float32."""
    return log_mel(wave, options) if isinstance(options, LogMelOptions) else speech_spectrogram(wave, options)


def speech_spectrogram(wave: np.ndarray, options: SpectrogramOptions | None = None) -> np.ndarray:
    """Log-magnitude spectrogram of the lowest bins (arXiv 2012.13912, arXiv 1806.01506).

    Args:
        wave: (n,) float samples in [-1, 1] at 16 kHz, n >= 1; any duration.
        options: The paper's framing where left out.

    Returns:
        (1, bins, 1 + n // hop) float32 in decades above the floor: 0 is silence, range_db / 20 the reference.

    Raises:
        ValueError: The wave is empty, not one channel, or holds values that are not finite.

    >>> speech_spectrogram(np.zeros(16000, np.float32)).shape
    (1, 200, 101)
    """
    options = options or SpectrogramOptions()
    amplitude = _amplitude(wave, options)[: options.bins]  # (bins, T)
    return _decades(amplitude, options)[None]


def log_mel(wave: np.ndarray, options: LogMelOptions | None = None) -> np.ndarray:
    """Log-Mel spectrogram, its deltas and its delta-deltas as three channels (arXiv 2012.13912).

    The deltas are librosa's (Savitzky-Golay slopes over 9 frames, edges held), given per 50 ms.

    Args:
        wave: (n,) float samples in [-1, 1] at 16 kHz, n >= 1; any duration.
        options: This project's defaults where left out.

    Returns:
        (3, n_mels, 1 + n // hop) float32; the first channel in decades above the floor as
        `speech_spectrogram`.

    Raises:
        ValueError: The wave is empty, not one channel, or holds values that are not finite.
        ConfigError: A Mel band is narrower than the DFT's bins and would be empty.

    >>> log_mel(np.zeros(16000, np.float32)).shape
    (3, 64, 101)
    """
    options = options or LogMelOptions()
    filters = _filters(options.n_fft, options.n_mels, options.low_hz, options.high_hz)  # (n_mels, bins)
    mel = _decades(np.sqrt(filters @ _amplitude(wave, options) ** 2), options)  # (n_mels, T)
    slopes = [
        librosa.feature.delta(mel, width=_DELTA_WIDTH, order=order, mode="nearest")
        * (_DELTA_MS / options.hop_ms) ** order
        for order in (1, 2)
    ]
    return np.stack([mel, *slopes]).astype(np.float32)  # (3, n_mels, T)


def frame_times(n_frames: int, hop_ms: float = 10.0) -> np.ndarray:
    """Times of the frames' centres in seconds, (n_frames,) float64; frame 0 is centred on the first sample.

    >>> frame_times(3)
    array([0.  , 0.01, 0.02])
    """
    return np.arange(n_frames) * round(hop_ms * RATE / 1000) / RATE


def _amplitude(wave: np.ndarray, options: FrameOptions) -> np.ndarray:
    """Magnitudes, (n_fft // 2 + 1, T) float32; a sine of amplitude 1 on a bin's centre reads 1."""
    if wave.ndim != 1 or wave.size == 0:
        raise ValueError(f"A wave of shape {wave.shape} was given; expected one channel, (n,), with n >= 1.")
    if not np.isfinite(wave).all():
        raise ValueError("The wave holds samples that are not finite; decode the clip again.")
    # Padded here and not by librosa, which warns at clips shorter than the DFT.
    padded = np.pad(wave.astype(np.float32, copy=False), options.n_fft // 2)
    stft = librosa.stft(
        padded,
        n_fft=options.n_fft,
        hop_length=options.hop,
        win_length=options.window,
        window="hamming",
        center=False,
    )  # (n_fft // 2 + 1, T)
    half_sum = librosa.filters.get_window("hamming", options.window).sum() / 2
    return np.abs(stft) / np.float32(half_sum)


def _decades(amplitude: np.ndarray, options: FrameOptions) -> np.ndarray:
    """Decades above the floor; amplitude and result (F, T), float32."""
    reference = max(float(amplitude.max()), _QUIETEST) if options.level == "clip" else 1.0
    decades = options.range_db / 20
    above = np.log10(np.maximum(amplitude / reference, 10**-decades)) + decades
    return np.maximum(above, 0).astype(np.float32)


@lru_cache(maxsize=8)
def _filters(n_fft: int, n_mels: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Triangles of peak 1 on the Mel scale, (n_mels, n_fft // 2 + 1) float32."""
    edges = librosa.mel_frequencies(n_mels + 2, fmin=low_hz, fmax=high_hz)
    narrowest = float(np.diff(edges).min())
    if narrowest < RATE / n_fft / 2:  # a triangle twice this wide may fall between two bins
        raise ConfigError(
            f"The narrowest of {n_mels} Mel bands is {narrowest:.0f} Hz to a side, less than half of the "
            f"DFT's bins of {RATE / n_fft:.0f} Hz, so it could be empty; lower n_mels or raise n_fft (now "
            f"{n_fft})."
        )
    return librosa.filters.mel(sr=RATE, n_fft=n_fft, n_mels=n_mels, fmin=low_hz, fmax=high_hz, norm=None)
