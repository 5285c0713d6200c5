"""The sound of a file beside a silent video: copied or encoded, of a part, in time, and never in this process."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from emopipe.media import joining
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions, Span
from emopipe.media.joining import add_sound
from emopipe.media.sandbox import ClipReader
from tests.conftest import write_clip

ALL = DecodeOptions(policy="all")


def burst(path: Path, codec: str, seconds: float = 1.0, begin: float = 0.5) -> Path:
    """A file without video that is silent but for a tone from `begin` on."""
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * 48_000)) / 48_000)
    wave[: round(begin * 48_000)] = 0
    with av.open(str(path), "w") as out:
        sound = out.add_stream(codec, rate=48_000, layout="mono")
        resampler = av.AudioResampler(
            sound.codec_context.format, "mono", 48_000, sound.codec_context.frame_size or 1024
        )
        frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), "fltp", "mono")
        frame.rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        for block in (*resampler.resample(frame), *resampler.resample(None), None):
            out.mux(sound.encode(block))
    return path


def sound_of(path: Path) -> tuple[str, float, float]:
    """The codec, the length and the time of the first loud sample."""
    with av.open(str(path)) as container:
        (track,) = container.streams.audio
        name = track.codec_context.name
    with ClipReader(ALL) as read:
        media = read(path)
    loud = np.abs(media.audio.astype(int)) > 3000
    return name, len(media.audio) / AUDIO_RATE, media.audio_start + loud.argmax() / AUDIO_RATE


@pytest.fixture
def silent(tmp_path):
    return write_clip(tmp_path / "silent.mp4", seconds=1.0, audio=None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "codec", "expected"),
    [
        ("a.mp4", "aac", "aac"),
        ("a.ts", "aac", "aac"),
        ("a.avi", "mp3", "mp3float"),
        ("a.mkv", "libopus", "opus"),
        ("a.avi", "pcm_s16le", "aac"),
        ("a.mov", "pcm_s16le", "aac"),
    ],
)
def test_sound_is_copied_where_mp4_holds_it_and_stays_in_time(tmp_path, silent, name, codec, expected):
    source = burst(tmp_path / name, codec)
    assert add_sound(silent, source, tmp_path / "out.mp4", ALL)
    found, seconds, begin = sound_of(tmp_path / "out.mp4")
    assert found == expected and seconds == pytest.approx(1, abs=0.1)
    assert begin == pytest.approx(sound_of(source)[2], abs=0.03) and begin == pytest.approx(0.5, abs=0.06)
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert sum(1 for _ in out.decode(video=0)) == 10


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_a_part_has_its_own_sound(tmp_path, silent, codec):
    source = burst(tmp_path / "long.mkv", codec, 4.0, 2.0)
    assert add_sound(silent, source, tmp_path / "out.mp4", ALL, Span(1.5, 2.5))
    _, seconds, begin = sound_of(tmp_path / "out.mp4")
    assert seconds == pytest.approx(1, abs=0.1) and begin == pytest.approx(0.5, abs=0.06)


@pytest.mark.slow
def test_without_sound_nothing_is_written(tmp_path, silent):
    source = write_clip(tmp_path / "mute.mkv", audio=None)
    assert not add_sound(silent, source, tmp_path / "out.mp4", ALL)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.slow
def test_packets_that_cannot_be_copied_are_encoded(tmp_path, silent, monkeypatch):
    source, tried = write_clip(tmp_path / "a.mp4", audio="aac"), []

    def run(asked, seconds):
        tried.append(asked.may_copy)
        return -11 if asked.may_copy else real(asked, seconds)

    real = joining._run
    monkeypatch.setattr(joining, "_run", run)
    assert add_sound(silent, source, tmp_path / "out.mp4", ALL) and tried == [True, False]
    assert sound_of(tmp_path / "out.mp4")[0] == "aac"
    monkeypatch.setattr(joining, "_run", lambda asked, seconds: -9)
    assert not add_sound(silent, source, tmp_path / "other.mp4", ALL)


@pytest.mark.slow
def test_a_damaged_file_harms_nothing(tmp_path, silent):
    source = write_clip(tmp_path / "a.mp4", audio="aac")
    content = bytearray(source.read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    source.write_bytes(content)
    made = add_sound(silent, source, tmp_path / "out.mp4", ALL)
    assert made == (tmp_path / "out.mp4").exists()
    assert not add_sound(silent, tmp_path / "nothing.mp4", tmp_path / "none.mp4", ALL)
