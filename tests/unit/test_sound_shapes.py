"""Sound of any channels, rate and sample format, which may change in the middle of a stream."""

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emopipe.cache.status import codes
from emopipe.media import audio, mono
from emopipe.media.clip import read_clip
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions
from emopipe.media.parts import read_parts
from tests.wild.making import caf, clip, joined, tone, wav

OPTIONS = DecodeOptions(policy="count", count=1)


def read(folder, data, options=OPTIONS):
    (folder / "clip").write_bytes(data)
    return read_clip(folder / "clip", options)


def in_parts(folder, options=OPTIONS, seconds=0.7):
    *parts, last = read_parts(folder / "clip", options, seconds)
    return np.concatenate([part.audio for part in parts]), last


def pitch(samples, begin, end):
    """The strongest frequency between two times in seconds, in Hz."""
    part = samples[round(begin * AUDIO_RATE) : round(end * AUDIO_RATE)].astype(float)
    return np.abs(np.fft.rfft(part * np.hanning(len(part)))).argmax() * AUDIO_RATE / len(part)


def loudness(samples):
    """The amplitude of a tone, from its middle."""
    middle = samples[len(samples) // 4 : -len(samples) // 4] / 32768
    return float(np.sqrt(2 * np.mean(np.square(middle))))


# --- changes in the middle


@pytest.mark.slow
@pytest.mark.parametrize(
    ("container", "codec", "first", "second"),
    [
        ("mp3", "mp3", (44_100, "stereo", 300), (22_050, "mono", 700)),
        ("mp3", "mp3", (16_000, "mono", 300), (48_000, "stereo", 700)),
        ("adts", "aac", (44_100, "stereo", 300), (22_050, "mono", 700)),
        ("adts", "aac", (24_000, "mono", 300), (48_000, "5.1", 700)),
        ("ac3", "ac3", (48_000, "5.1", 300), (44_100, "mono", 700)),
        ("eac3", "eac3", (32_000, "mono", 300), (48_000, "stereo", 700)),
        ("mp2", "mp2", (48_000, "stereo", 300), (16_000, "mono", 700)),
        ("flac", "flac", (44_100, "stereo", 300), (44_100, "mono", 700)),
        ("ogg", "flac", (44_100, "stereo", 300), (22_050, "mono", 700)),
        ("ogg", "libopus", (48_000, "stereo", 300), (48_000, "mono", 700)),
        ("ogg", "libopus", (48_000, "mono", 300), (24_000, "stereo", 700)),
        ("ogg", "libopus", (48_000, "mono", 300), (48_000, "mono", 700)),
        ("ogg", "vorbis", (44_100, "stereo", 300), (22_050, "stereo", 700)),
        ("mpegts", "aac", (48_000, "stereo", 300), (32_000, "mono", 700)),
        ("mpegts", "mp2", (48_000, "mono", 300), (44_100, "stereo", 700)),
    ],
)
def test_both_sides_of_a_change_are_heard(tmp_path, container, codec, first, second):
    found = read(tmp_path, joined(container, codec, first, second))
    assert found.status == "no_video"
    # The first frames of an MP3 may need bits of frames before them, which are another file's here.
    assert codes(found.reason) in (["no_video_stream"], ["no_video_stream", "damaged_audio"][: 1 + (codec == "mp3")])
    assert len(found.audio) / AUDIO_RATE == pytest.approx(3.0, abs=0.2)
    middle = len(found.audio) / AUDIO_RATE / 2
    assert pitch(found.audio, 0.2, middle - 0.3) == pytest.approx(300, abs=3)
    assert pitch(found.audio, middle + 0.3, 2 * middle - 0.2) == pytest.approx(700, abs=3)
    assert loudness(found.audio[:AUDIO_RATE]) == pytest.approx(0.3, rel=0.15)  # 64 kbit/s are few for 5.1
    assert loudness(found.audio[-AUDIO_RATE:]) == pytest.approx(0.3, rel=0.15)
    pieces, last = in_parts(tmp_path)
    np.testing.assert_array_equal(pieces, found.audio)
    assert (last.status, last.reason) == (found.status, found.reason)


def test_a_chain_of_many_links_is_read_to_its_end(tmp_path):
    pieces = [(48_000, "mono", 300), (48_000, "stereo", 500), (48_000, "stereo", 700), (48_000, "mono", 900)]
    data = joined("ogg", "libopus", *pieces, seconds=1)
    data += joined("ogg", "flac", (44_100, "stereo", 1100), seconds=1) + b"what follows is not a page"
    found = read(tmp_path, data)
    assert len(found.audio) / AUDIO_RATE == pytest.approx(5.0, abs=0.1)
    for number, hertz in enumerate((300, 500, 700, 900, 1100)):
        assert pitch(found.audio, number + 0.2, number + 0.8) == pytest.approx(hertz, abs=3)


def test_sound_beside_frames_may_change(tmp_path):
    shape = {"container": "mpegts", "video": "mpeg2video", "fps": 25, "audio": "aac"}
    data = clip(**shape, layout="stereo", pitch=300) + clip(**shape, rate=22_050, start=2, pitch=700)
    found = read(tmp_path, data)
    assert (found.status, found.reason) == ("ok", "")
    assert len(found.audio) / AUDIO_RATE == pytest.approx(4.0, abs=0.2)
    assert pitch(found.audio, 0.2, 1.8) == pytest.approx(300, abs=3)
    assert pitch(found.audio, 2.3, 3.8) == pytest.approx(700, abs=3)


def test_what_was_read_before_a_fault_is_kept(tmp_path, monkeypatch):
    """Whatever a stream does in its middle: what came before it is not lost."""
    frames = audio._audio_frames

    def breaks(*stream):
        for number, frame in enumerate(frames(*stream)):
            if number == 30:
                raise ValueError("something new")
            yield frame

    monkeypatch.setattr(audio, "_audio_frames", breaks)
    found = read(tmp_path, clip("adts", video=None, seconds=3))
    assert found.status == "no_video" and codes(found.reason) == ["no_video_stream", "broken_stream"]
    assert len(found.audio) / AUDIO_RATE == pytest.approx(30 * 1024 / 44_100, abs=0.05)
    assert len(in_parts(tmp_path)[0]) == len(found.audio)


# --- channels


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channels", "kind"), [*((n, "f4") for n in (1, 2, 3, 6, 8, 9, 24, 64, 65, 100)), (3, "i2"), (9, "i4"), (7, "f8")]
)
def test_any_number_of_channels_is_mixed_evenly(tmp_path, channels, kind):
    wave = tone(300, 48_000, 1) * {"i2": 32768, "i4": 2.0**31}.get(kind, 1)
    alike = read(tmp_path, wav(np.repeat(wave[:, None], channels, 1), kind=kind))
    assert (alike.status, codes(alike.reason)) == ("no_video", ["no_video_stream"])
    assert len(alike.audio) == pytest.approx(AUDIO_RATE, abs=20)
    assert pitch(alike.audio, 0.1, 0.9) == pytest.approx(300, abs=2)
    assert loudness(alike.audio) == pytest.approx(0.3, rel=0.01)
    one = np.zeros((len(wave), channels))
    one[:, -1] = wave
    assert loudness(read(tmp_path, wav(one, kind=kind)).audio) == pytest.approx(0.3 / channels, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "codec"), [("7.1", "flac"), ("7.1", "aac"), ("5.1", "ac3"), ("7.1", "libopus")])
def test_known_layouts_keep_the_weights_of_ffmpeg(tmp_path, layout, codec):
    found = read(tmp_path, clip("matroska", video=None, audio=codec, rate=48_000, layout=layout))
    assert codes(found.reason) == ["no_video_stream"]
    assert pitch(found.audio, 0.2, 1.8) == pytest.approx(440, abs=2)
    assert loudness(found.audio) == pytest.approx(0.3, rel=0.1)  # the bass has no weight, and the others' sum is 1


@pytest.mark.parametrize(
    "places", [(1, 2), (2, 1), (3, 1, 2), (4, 3), (1, 2, 3, 3), (3, 1, 2, 5, 6, 4), (3, 3, *range(1, 10))]
)
def test_channels_may_be_listed_in_any_order(tmp_path, places):
    """PyAV frees the layout of such frames twice, which ended the process."""
    found = read(tmp_path, caf(tone(300, 48_000, 1), places))
    assert (found.status, codes(found.reason)) == ("no_video", ["no_video_stream"])
    assert len(found.audio) == pytest.approx(AUDIO_RATE, abs=20)
    assert pitch(found.audio, 0.1, 0.9) == pytest.approx(300, abs=2)
    assert loudness(found.audio) == pytest.approx(0.3, rel=0.01)


def test_weights():
    root = np.sqrt(0.5)
    assert mono._weights("mono", 1) == (1.0,) and mono._weights("stereo", 2) == (0.5, 0.5)
    full = np.array([root, root, 1, 0, 0.5, 0.5])  # left, right, centre, bass, sides
    np.testing.assert_allclose(mono._weights("5.1", 6), full / full.sum(), atol=1e-6)
    assert mono._weights("9 channels", 9) == (1 / 9,) * 9
    assert mono._weights("FC+FC", 2) == (0.5, 0.5)
    for layout, channels in (("22.2", 24), ("hexadecagonal", 16), ("ambisonic 3", 16)):
        assert sum(mono._weights(layout, channels)) == pytest.approx(1)


@pytest.mark.parametrize("codec", ["flac", "pcm_s16le"])
def test_sound_that_needs_no_conversion_is_as_it_was(tmp_path, codec):
    found = read(tmp_path, clip("matroska", video=None, audio=codec, rate=AUDIO_RATE, seconds=1))
    expected = np.round(32768 * tone(440, AUDIO_RATE, 1).astype(np.float32))
    assert np.abs(found.audio - expected).max() <= 1 and len(found.audio) == AUDIO_RATE


@pytest.mark.parametrize(
    "shape",
    [
        {"audio": "aac", "rate": 44_100, "layout": "stereo"},
        {"audio": "mp3", "rate": 22_050},
        {"audio": "libopus", "rate": 48_000, "layout": "stereo"},
        {"audio": "pcm_s16le", "rate": 8_000, "layout": "stereo"},
        {"audio": "pcm_s24le", "rate": 96_000},
        {"audio": "pcm_f64le", "rate": 48_000, "layout": "stereo"},
        {"audio": "ac3", "rate": 48_000, "layout": "5.1"},
    ],
)
def test_ordinary_sound_has_the_bytes_of_libswresample(tmp_path, shape):
    """As it mixes and rounds by itself, if it is asked for 16-bit mono at once."""
    found = read(tmp_path, clip("matroska", video=None, **shape))
    resampler, blocks = av.AudioResampler("s16", "mono", AUDIO_RATE), []
    with av.open(str(tmp_path / "clip")) as container:
        for frame in container.decode(audio=0):
            frame.pts = None
            blocks += resampler.resample(frame)
    blocks += resampler.resample(None)
    np.testing.assert_array_equal(found.audio, np.concatenate([block.to_ndarray()[0] for block in blocks]))


# --- any change at all


SHAPES = st.tuples(
    st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000]),
    st.sampled_from(["u8", "u8p", "s16", "s16p", "s32", "s32p", "flt", "fltp", "dbl", "dblp"]),
    st.sampled_from(["mono", "stereo", "2.1", "5.1", "3 channels", "7 channels"]),
    st.sampled_from([250, 500, 900]),
)


def frames_of(rate, format_, layout, hertz, seconds=0.5):
    """A tone in every channel, as frames of a decoder."""
    wave = tone(hertz, rate, seconds, 0.5)
    kind = av.AudioFormat(format_)
    if kind.name.startswith("u8"):
        wave = np.rint(128 + 127 * wave).astype(np.uint8)
    else:
        full = {"s16": 2.0**15, "s32": 2.0**31}.get(kind.packed.name, 1)
        wave = (full * wave).astype({"s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8"}[kind.packed.name])
    channels = av.AudioLayout(layout).nb_channels
    for begin in range(0, len(wave), 1000):
        part = np.repeat(wave[None, begin : begin + 1000], channels, 0)
        array = part if kind.is_planar else np.ascontiguousarray(part.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(array, format_, layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        yield frame


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(SHAPES, min_size=1, max_size=4))
def test_each_piece_of_a_stream_has_its_seconds_and_its_pitch(tmp_path, pieces):
    with pytest.MonkeyPatch.context() as patch:
        given_frames = [frame for piece in pieces for frame in frames_of(*piece)]
        patch.setattr(audio, "_audio_frames", lambda *_: iter(given_frames))
        found = read(tmp_path, wav(np.ones(16), kind="i2"))
    assert found.status == "no_video" and codes(found.reason) == ["no_video_stream"]
    assert len(found.audio) / AUDIO_RATE == pytest.approx(0.5 * len(pieces), abs=0.01 * len(pieces))
    length = len(found.audio) / AUDIO_RATE / len(pieces)
    for number, (_, _, _, hertz) in enumerate(pieces):
        assert pitch(found.audio, number * length + 0.05, (number + 1) * length - 0.05) == pytest.approx(hertz, abs=3)
