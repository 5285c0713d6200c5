"""Augmented views of clips: what they change, and what they leave."""

import numpy as np
import pytest

from emopipe.extraction import views
from emopipe.media.decoded import AUDIO_RATE


def tone(hertz=400.0, seconds=1.0):
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * AUDIO_RATE)) / AUDIO_RATE).astype(np.float32)


def pitch(wave):
    """The strongest frequency in Hz."""
    return np.abs(np.fft.rfft(wave)).argmax() * AUDIO_RATE / len(wave)


def test_flip_mirrors_left_and_right():
    crops = np.random.default_rng(0).integers(256, size=(2, 4, 5, 3), dtype=np.uint8)
    np.testing.assert_array_equal(views.augment_crops(crops, "flip"), np.stack([np.fliplr(crop) for crop in crops]))
    assert views.augment_crops(crops, "flip").flags.c_contiguous
    assert views.augment_crops(crops, "") is crops
    assert views.augment_crops(crops[:0], "flip").shape == (0, 4, 5, 3)


@pytest.mark.parametrize(("view", "length", "hertz"), [("slow", 1 / 0.9, 360), ("fast", 1 / 1.1, 440)])
def test_speed(view, length, hertz):
    wave = views.augment_wave(tone(), view, "clip")
    assert len(wave) == pytest.approx(length * AUDIO_RATE, abs=2) and wave.dtype == np.float32
    assert pitch(wave) == pytest.approx(hertz, abs=2)
    assert len(wave) / AUDIO_RATE * views.speed_factor(view) == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("view", "semitones"), [("low", -2), ("high", 2)])
def test_pitch(view, semitones):
    wave = views.augment_wave(tone(), view, "clip")
    assert len(wave) == AUDIO_RATE and wave.dtype == np.float32 and views.speed_factor(view) == 1
    assert pitch(wave) == pytest.approx(400 * 2 ** (semitones / 12), rel=0.02)


def test_noise_is_15_db_below_and_each_clips_own():
    wave = tone()
    noise = views.augment_wave(wave, "noise", "clip") - wave
    assert 10 * np.log10((wave**2).mean() / (noise**2).mean()) == pytest.approx(15, abs=0.2)
    np.testing.assert_array_equal(views.augment_wave(wave, "noise", "clip"), wave + noise)
    assert not np.array_equal(views.augment_wave(wave, "noise", "other"), wave + noise)


@pytest.mark.parametrize("view", views.VIEWS["audio"])
@pytest.mark.parametrize("samples", [1, 100, 3000])
def test_short_sounds_survive(view, samples):
    wave = views.augment_wave(tone()[:samples], view, "clip")
    assert len(wave) and np.isfinite(wave).all() and wave.dtype == np.float32


def test_the_plain_view_changes_nothing():
    wave = tone()
    assert views.augment_wave(wave, "", "clip") is wave and views.speed_factor("") == 1
