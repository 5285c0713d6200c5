"""Sound that would be lost or invented: opposite channels, samples that are not finite, wrong scales, clipping."""

import json

import numpy as np
import pytest

from emopipe.cache.status import codes
from emopipe.media import mono
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions
from emopipe.media.samples import Magnitudes
from tests.unit.test_sound_shapes import in_parts, loudness, pitch, read
from tests.wild.making import clip, stored, tone, wav

RATE = 48_000
WAVE = tone(300, RATE, 2)


def told(media, code):
    """The values of a reason of a clip; None without it."""
    return next((values for name, values in json.loads(media.reason) if name == code), None)


def check_the_same_in_parts(folder, found):
    samples, last = in_parts(folder)
    np.testing.assert_array_equal(samples if samples.any() else samples[:0], found.audio)
    assert (last.status, last.reason) == (found.status, found.reason)


# --- channels that cancel each other


@pytest.mark.slow
@pytest.mark.parametrize(
    ("container", "kind"), [("wav", "f4"), ("wav", "i2"), ("matroska", "f4"), ("mov", "i4"), ("aiff", "i2")]
)
@pytest.mark.parametrize("right", [-1.0, -0.95, -1.1])
def test_opposite_channels_leave_the_louder_one(tmp_path, container, kind, right):
    full = {"i2": 32767, "i4": 2**31 - 1}.get(kind, 1)
    found = read(tmp_path, stored(container, full * np.stack([WAVE, right * WAVE], 1), kind=kind))
    assert codes(found.reason) == ["no_video_stream", "channels_cancel"]
    assert told(found, "channels_cancel") == {"seconds": pytest.approx(2, abs=0.01)}
    assert pitch(found.audio, 0.2, 1.8) == pytest.approx(300, abs=2) and len(found.audio) == 2 * AUDIO_RATE
    assert loudness(found.audio) == pytest.approx(0.3 * max(1, -right), rel=0.01)
    check_the_same_in_parts(tmp_path, found)


def test_opposite_channels_of_a_lossy_codec(tmp_path):
    """MP4 with AAC: the samples are nearly opposite."""
    from emopipe.media import audio_packets

    packets = audio_packets.audio_frames

    def turned(packet):
        for frame in packets(packet):
            x = frame.to_ndarray()
            x[1] *= -1
            other = type(frame).from_ndarray(x, frame.format.name, frame.layout)
            other.sample_rate, other.pts, other.time_base = frame.sample_rate, frame.pts, frame.time_base
            yield other

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emopipe.media.audio.audio_frames", turned)
        found = read(tmp_path, clip("mp4", layout="stereo", pitch=300))
    assert found.status == "ok" and codes(found.reason) == ["channels_cancel"]
    assert pitch(found.audio, 0.2, 1.8) == pytest.approx(300, abs=2)
    assert loudness(found.audio) == pytest.approx(0.3, rel=0.05)


def test_only_the_opposite_part_is_replaced(tmp_path):
    sign = np.where(np.arange(2 * RATE) < RATE, 1, -1)
    found = read(tmp_path, wav(np.stack([WAVE, sign * WAVE], 1)))
    assert told(found, "channels_cancel") == {"seconds": 1.0}
    for half in np.split(found.audio, 2):
        assert loudness(half) == pytest.approx(0.3, rel=0.01)


def test_nothing_clicks_where_the_channel_takes_over(tmp_path):
    sign = np.clip(3 - np.arange(3 * RATE) / RATE * 2, -1, 1)  # the right channel turns round within a second
    wave = tone(300, RATE, 3)
    found = read(tmp_path, wav(np.stack([wave, sign * wave], 1)))
    assert 0.9 < told(found, "channels_cancel")["seconds"] < 1.3
    spectrum = np.abs(np.fft.rfft(found.audio * np.hanning(len(found.audio))))
    far = np.abs(np.arange(len(spectrum)) * AUDIO_RATE / len(found.audio) - 300) > 200
    assert spectrum[far].max() < 2e-3 * spectrum.max()
    assert loudness(found.audio[: AUDIO_RATE // 2]) == pytest.approx(0.3, rel=0.01)
    assert loudness(found.audio[-AUDIO_RATE // 2 :]) == pytest.approx(0.3, rel=0.01)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0, -0.5])
def test_ordinary_stereo_is_mixed(tmp_path, share):
    other = tone(700, RATE, 2)
    found = read(tmp_path, wav(np.stack([WAVE, share * WAVE + 0.3 * other], 1)))
    assert codes(found.reason) == ["no_video_stream"]


def mixed_by_blocks(mixer, *channels):
    x = np.stack(channels).astype(np.float32)
    return np.concatenate([mixer.mix(part) for part in np.split(x, x.shape[1] // mono.BLOCK, 1)])


def test_the_channel_does_not_change_with_every_block():
    """Channels that are about equally loud: the one that was taken stays."""
    mixer, rng = mono._Mixer((0.5, 0.5)), np.random.default_rng(0)
    wave = np.sin(np.arange(10 * mono.BLOCK) * 0.1)
    louder = np.repeat(rng.uniform(0.9, 1.1, 10), mono.BLOCK)
    found = mixed_by_blocks(mixer, wave, -louder * wave)
    assert mixer.replaced == len(wave)
    expected = wave if louder[0] < 1 else -louder * wave
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_pause_between_opposite_words_stays_with_the_channel():
    mixer = mono._Mixer((0.5, 0.5))
    wave = np.sin(np.arange(3 * mono.BLOCK) * 0.1).astype(np.float32)
    wave[mono.BLOCK : 2 * mono.BLOCK] *= 1e-4
    found = mixed_by_blocks(mixer, wave, -wave)
    np.testing.assert_array_equal(found, wave)


def test_noise_below_hearing_is_no_cancellation(tmp_path):
    """Codecs write such residues into pauses."""
    found = read(tmp_path, wav(np.stack([1e-4 * WAVE, -1e-4 * WAVE], 1)))
    assert (found.status, found.audio.any()) == ("undecodable", False)
    assert "silent" in codes(found.reason)


def test_sound_in_the_bass_channel_alone_is_not_lost(tmp_path):
    wave = np.zeros((len(WAVE), 6))
    wave[:, 3] = tone(60, RATE, 2)
    found = read(tmp_path, stored("wav", wave))
    assert told(found, "channels_cancel") and pitch(found.audio, 0.1, 1.9) == pytest.approx(60, abs=2)


# --- samples that are not finite


@pytest.mark.slow
@pytest.mark.parametrize("container", ["wav", "matroska", "mov", "aiff", "caf"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_become_zero(tmp_path, container, kind, value):
    holes = WAVE.copy()
    holes[RATE : RATE + 10] = value
    found = read(tmp_path, stored(container, holes, kind=kind))
    assert found.status == "no_video" and codes(found.reason) == ["no_video_stream", "not_finite"]
    assert told(found, "not_finite") == {"samples": 10, "total": 2 * RATE}
    whole = read(tmp_path, stored(container, np.where(np.isfinite(holes), holes, 0), kind=kind))
    np.testing.assert_array_equal(found.audio, whole.audio)
    assert pitch(found.audio, 0.2, 1.8) == pytest.approx(300, abs=2)


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_sound_without_a_finite_sample_is_none(tmp_path, kind):
    found = read(tmp_path, stored("wav", np.full((RATE, 2), np.nan), kind=kind))
    assert found.status == "undecodable" and told(found, "not_finite") == {"samples": 2 * RATE, "total": 2 * RATE}
    check_the_same_in_parts(tmp_path, found)


def test_a_channel_without_a_finite_sample_leaves_the_other(tmp_path):
    found = read(tmp_path, wav(np.stack([np.full_like(WAVE, np.nan), WAVE], 1), kind="f8"))
    assert told(found, "not_finite") == {"samples": 2 * RATE, "total": 4 * RATE}
    assert pitch(found.audio, 0.2, 1.8) == pytest.approx(300, abs=2)
    assert loudness(found.audio) == pytest.approx(0.15, rel=0.01)


def test_one_huge_sample_spoils_nothing_but_itself(tmp_path):
    holes = WAVE.copy()
    holes[RATE] = 1e30
    found, plain = read(tmp_path, wav(holes)), read(tmp_path, wav(WAVE))
    assert codes(found.reason) == ["no_video_stream"]
    assert np.count_nonzero(np.abs(found.audio.astype(int) - plain.audio) > 300) < 60


# --- integers that are stored as floating-point numbers


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [7, 15, 23, 31])
@pytest.mark.parametrize("are_whole", [True, False])
@pytest.mark.parametrize(("container", "kind"), [("wav", "f4"), ("mov", "f8")])
def test_integers_stored_as_floats_are_scaled(tmp_path, exponent, are_whole, container, kind):
    wave = tone(300, RATE, 1, 0.6) * 2.0**exponent
    found = read(tmp_path, stored(container, np.rint(wave) if are_whole else wave, kind=kind))
    assert codes(found.reason) == ["no_video_stream", "not_in_unit_range"]
    assert told(found, "not_in_unit_range") == {"exponent": exponent}
    assert loudness(found.audio) == pytest.approx(0.6, rel=0.01)
    assert pitch(found.audio, 0.1, 0.9) == pytest.approx(300, abs=2)
    check_the_same_in_parts(tmp_path, found)


def test_scaled_sound_that_begins_with_silence_and_quiet(tmp_path):
    wave = np.rint(32768 * tone(300, RATE, 2) * np.clip(np.arange(2 * RATE) / RATE - 0.5, 0, 1) ** 3)
    found = read(tmp_path, wav(wave))
    assert told(found, "not_in_unit_range") == {"exponent": 15}
    np.testing.assert_allclose(found.audio, read(tmp_path, wav(wave, kind="i2")).audio, atol=1)


@pytest.mark.parametrize("peak", [0.5, 1.0, 1.2, 3.0])
def test_floats_that_are_a_little_loud_are_not_scaled(tmp_path, peak):
    found = read(tmp_path, wav(tone(300, RATE, 1, peak)))
    assert told(found, "not_in_unit_range") is None
    assert (told(found, "clipped") is not None) == (peak > 1)
    assert np.abs(found.audio.astype(int)).max() == pytest.approx(32767 * min(1, peak), abs=40)


def test_magnitudes():
    def exponent(*values):
        magnitudes = Magnitudes()
        for x in values:
            magnitudes.add(np.array(x, float))
        return magnitudes.exponent

    assert exponent([]) == exponent([0, 0]) == exponent([np.nan, np.inf]) == exponent([-1, 0, 1]) == 0
    assert exponent([0.5, 1.5, -2.25]) == 0
    assert exponent([0, 5], [-3]) == exponent([128, -100]) == 7
    assert exponent([129]) == exponent([-32768]) == exponent([12.5] * 10, [3e4]) == 15
    assert exponent([32769, -(2**23)]) == 23 and exponent([2**31]) == 31 and exponent([2.0**40]) == 63
    assert exponent([0.1] * 1000, [1e9]) == 0  # one wrong sample
    assert exponent([1234.5] * 1000, [33_000.5]) == 15  # a peak that a filter added


# --- clipping


@pytest.mark.parametrize(("kind", "full"), [("f4", 1), ("i2", 32767), ("i4", 2**31 - 1), ("f8", 1)])
@pytest.mark.parametrize(("gain", "is_told"), [(10, True), (2, True), (0.9, False)])
def test_clipping_is_reported(tmp_path, kind, full, gain, is_told):
    wave = np.clip(gain * tone(300, RATE, 1, 1.0), -1, 1)
    found = read(tmp_path, stored("wav", full * wave, kind=kind))
    assert (told(found, "clipped") is not None) == is_told
    if is_told:
        assert told(found, "clipped")["percent"] == pytest.approx(100 * (1 - 2 / np.pi * np.arcsin(1 / gain)), abs=2)
    assert found.status == "no_video" and pitch(found.audio, 0.1, 0.9) == pytest.approx(300, abs=2)


def test_clipped_bytes_are_reported(tmp_path):
    wave = np.rint(128 + 127 * np.clip(5 * tone(300, 8_000, 1, 1.0), -1, 1)).astype(np.uint8)
    found = read(tmp_path, wav(wave, rate=8_000, kind="u1"))
    assert told(found, "clipped") and pitch(found.audio, 0.1, 0.9) == pytest.approx(300, abs=2)


def test_a_limit_is_reported_beside_the_rest(tmp_path):
    options = DecodeOptions(policy="count", count=1, max_audio_seconds=0.5)
    found = read(tmp_path, wav(np.stack([32768 * WAVE, -32768 * WAVE], 1)), options)
    assert codes(found.reason) == ["no_video_stream", "sound_limited", "not_in_unit_range", "channels_cancel"]
    assert len(found.audio) == AUDIO_RATE // 2
