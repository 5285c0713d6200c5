"""The spectrograms against a plain DFT and librosa, and their promises: any duration, any gain, tones in place."""

import warnings

import librosa
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from emopipe.core.errors import ConfigError
from emopipe.media.spectrogram import (
    RATE,
    LogMelOptions,
    SpectrogramOptions,
    band_centres,
    compute_spectrogram,
    frame_times,
    log_mel,
    speech_spectrogram,
)


def noise(n: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


def tone(hz: float, amplitude: float = 0.5, n: int = RATE) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(n) / RATE)).astype(np.float32)


def plain_spectrogram(wave: np.ndarray) -> np.ndarray:
    """The definition, frame by frame and bin by bin: 640-point Hamming window in the middle of 800 points."""
    k = np.arange(640)
    window = np.zeros(800)
    window[80:720] = 0.54 - 0.46 * np.cos(2 * np.pi * k / 640)
    padded = np.pad(wave.astype(np.float64), 400)
    basis = np.exp(-2j * np.pi * np.outer(np.arange(200), np.arange(800)) / 800)
    frames = [window * padded[start : start + 800] for start in range(0, len(wave) + 1, 160)]
    amplitude = np.abs(basis @ np.array(frames).T) / (window.sum() / 2)
    return np.maximum(np.log10(amplitude / amplitude.max()) + 4, 0)


def test_spectrogram_is_the_plain_dft():
    wave = noise(3210)
    drawn = speech_spectrogram(wave)
    assert drawn.shape == (1, 200, 21) and drawn.dtype == np.float32
    np.testing.assert_allclose(drawn[0], plain_spectrogram(wave), atol=2e-4)


@pytest.mark.parametrize("hz", [100, 440, 1000, 3980])
def test_tone_lands_in_its_bin(hz):
    middle = speech_spectrogram(tone(hz))[0, :, 50]
    assert middle.argmax() == hz // 20
    assert middle.max() == pytest.approx(4.0, abs=0.02)  # the reference itself: range_db / 20 decades


def test_tone_lands_in_its_mel_band():
    centres = librosa.mel_frequencies(66, fmin=20, fmax=8000)[1:-1]
    for band in (10, 30, 60):
        assert log_mel(tone(centres[band]))[0, :, 50].argmax() == band


def test_full_scale_level_reads_the_amplitude():
    options = SpectrogramOptions(level="full_scale")
    read = [speech_spectrogram(tone(1000, a), options)[0, 50, 50] for a in (1.0, 0.1, 0.01)]
    np.testing.assert_allclose(read, [4, 3, 2], atol=1e-3)


@pytest.mark.parametrize("draw", [speech_spectrogram, log_mel])
def test_the_recordings_gain_does_not_matter(draw):
    wave = noise(8000)
    np.testing.assert_allclose(draw(0.03 * wave), draw(wave), atol=2e-3)


def test_loudness_within_the_clip_is_kept():
    wave = np.concatenate([tone(1000, 0.5, 8000), tone(1000, 0.005, 8000)])
    loud, soft = speech_spectrogram(wave)[0, 50, [20, 80]]
    assert loud - soft == pytest.approx(2.0, abs=1e-2)


@pytest.mark.parametrize("draw", [speech_spectrogram, log_mel])
def test_silence_is_zero(draw):
    assert not draw(np.zeros(5000, np.float32)).any()


def test_hiss_is_not_blown_up_to_a_voice():
    assert speech_spectrogram(1e-5 * noise(RATE)).max() < 2


@pytest.mark.parametrize(
    ("window_ms", "n_fft", "hop_ms", "n_mels", "low_hz"),
    [(25, 512, 10, 64, 20), (30, 601, 7, 20, 0), (64, 1024, 5, 8, 1200)],
)
def test_the_log_mel_spectrogram_is_made_of_librosas_stft_and_filters(window_ms, n_fft, hop_ms, n_mels, low_hz):
    options = LogMelOptions(window_ms=window_ms, n_fft=n_fft, hop_ms=hop_ms, n_mels=n_mels, low_hz=low_hz)
    wave = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    stft = librosa.stft(
        np.pad(wave, n_fft // 2),
        n_fft=n_fft,
        hop_length=options.hop,
        win_length=options.window,
        window="hamming",
        center=False,
    )
    amplitude = np.abs(stft) / (scipy.signal.get_window("hamming", options.window).sum() / 2)
    filters = librosa.filters.mel(sr=16_000, n_fft=n_fft, n_mels=n_mels, fmin=low_hz, fmax=8000, norm=None)
    mel = np.sqrt(filters @ amplitude**2)
    expected = np.maximum(np.log10(np.maximum(mel / mel.max(), 1e-4)) + 4, 0)
    np.testing.assert_allclose(log_mel(wave, options)[0], expected, atol=1e-5)
    centres = librosa.mel_frequencies(n_mels + 2, fmin=low_hz, fmax=8000)[1:-1]
    np.testing.assert_allclose(band_centres(options), centres, rtol=1e-12)


def test_a_long_wave_is_that_of_its_parts():
    wave = np.random.default_rng(0).normal(0, 0.1, 16_000 * 45).astype(np.float32)  # several blocks of frames
    options = SpectrogramOptions(level="full_scale")
    whole = speech_spectrogram(wave, options)
    part = speech_spectrogram(wave[16_000 * 19 : 16_000 * 23], options)
    np.testing.assert_allclose(whole[..., 1910:2290], part[..., 10:390], atol=1e-6)


def test_logmel_channels_are_librosas_deltas():
    mel, delta, delta2 = log_mel(noise(8000))
    np.testing.assert_allclose(delta, 5 * librosa.feature.delta(mel, mode="nearest"), atol=1e-4)
    np.testing.assert_allclose(delta2, 25 * librosa.feature.delta(mel, order=2, mode="nearest"), atol=1e-3)


def test_deltas_are_per_50_ms_whatever_the_hop():
    rise = np.concatenate([np.zeros(100), 10 ** np.linspace(-3, -0.3, RATE)]) * noise(RATE + 100, 1) * 5
    slopes = [log_mel(rise.astype(np.float32), LogMelOptions(hop_ms=h))[1].mean() for h in (10.0, 5.0)]
    assert slopes[0] == pytest.approx(0.135, abs=0.03) and slopes[1] == pytest.approx(slopes[0], abs=0.03)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 3000))
def test_any_duration(n):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options, shape in ((SpectrogramOptions(), (1, 200)), (LogMelOptions(), (3, 64))):
            drawn = compute_spectrogram(noise(n), options)
            assert drawn.shape == (*shape, 1 + n // 160) and drawn.dtype == np.float32
            assert np.isfinite(drawn).all()


def test_frame_times():
    np.testing.assert_allclose(frame_times(4), [0, 0.01, 0.02, 0.03])
    np.testing.assert_allclose(frame_times(3, 12.5), [0, 0.0125, 0.025])


def test_a_click_lies_at_its_frames_time():
    wave = np.zeros(RATE, np.float32)
    wave[8000] = 1.0
    energy = (10 ** speech_spectrogram(wave)[0]).sum(0)
    assert frame_times(101)[energy.argmax()] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("wave", "said"),
    [
        (np.zeros(0, np.float32), r"shape \(0,\) was given"),
        (np.zeros((2, 100), np.float32), r"shape \(2, 100\) was given"),
        (np.array([0, np.nan], np.float32), "not finite"),
    ],
)
def test_unfit_waves_are_refused(wave, said):
    with pytest.raises(ValueError, match=said):
        speech_spectrogram(wave)


@pytest.mark.parametrize(
    ("make", "keys", "said"),
    [
        (SpectrogramOptions, {"window_ms": 60.0}, "60 ms is 960 samples"),
        (SpectrogramOptions, {"hop_ms": 0.01}, "less than one sample"),
        (SpectrogramOptions, {"bins": 402}, "bins is 402, but a DFT of n_fft 800 has 401"),
        (SpectrogramOptions, {"n_mels": 64}, "Extra inputs"),
        (LogMelOptions, {"low_hz": 5000.0, "high_hz": 4000.0}, "low_hz is 5000, but it has to be below high_hz"),
    ],
)
def test_unfit_options_are_refused(make, keys, said):
    with pytest.raises(ValidationError, match=said):
        make(**keys)


def test_empty_mel_bands_are_refused():
    with pytest.raises(ConfigError, match="Decrease n_mels, or increase n_fft"):
        log_mel(noise(1000), LogMelOptions(n_mels=300))


def test_no_mel_band_is_empty_at_the_limit():
    for n_mels in (64, 128, 190):
        wave = noise(4000)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                drawn = log_mel(wave, LogMelOptions(n_mels=n_mels))
            except ConfigError:
                continue
        assert drawn[0].max(axis=1).min() > 0
