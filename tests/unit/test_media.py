"""Decoding: sampling, times, sound, statuses."""

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from emopipe.cache.status import codes
from emopipe.core.errors import MediaError
from emopipe.media import audio
from emopipe.media.clip import read_clip
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions
from tests.conftest import write_clip


def levels(media):
    """The grey level of each sampled frame, as frame numbers (see write_clip)."""
    images = [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) for jpeg in media.jpegs]
    return [round((image.mean() - 18) / 4) for image in images]  # the codec darkens by about two levels


def count(n):
    return DecodeOptions(policy="count", count=n)


@pytest.mark.parametrize("name", ["a.avi", "a.mp4", "a.mkv", "a.mov"])
def test_containers(tmp_path, name):
    clip = read_clip(
        write_clip(tmp_path / name, seconds=2, audio="aac" if name[2:] in ("mp4", "mov") else "mp3"), count(5)
    )
    assert clip.status == "ok"
    assert levels(clip) == [2, 6, 10, 14, 18]  # the middles of five parts of twenty frames
    assert clip.times == pytest.approx([0.2, 0.6, 1.0, 1.4, 1.8], abs=0.11)  # AVI stamps may be a frame late
    assert len(clip.audio) / AUDIO_RATE == pytest.approx(2, abs=0.1)


def test_policies(tmp_path):
    path = write_clip(tmp_path / "a.avi", seconds=2)
    assert levels(read_clip(path, DecodeOptions(policy="all"))) == list(range(20))
    assert len(read_clip(path, DecodeOptions(policy="fps", fps=5)).jpegs) == 10
    assert len(read_clip(path, DecodeOptions(policy="fps", fps=100)).jpegs) == 20
    assert len(read_clip(path, count(50)).jpegs) == 20
    assert len(read_clip(path, DecodeOptions(policy="all", max_frames=4)).jpegs) == 4


@pytest.mark.parametrize(
    "values", [{"policy": "fps"}, {"policy": "count", "count": 3, "fps": 2.0}, {"policy": "all", "count": 3}]
)
def test_a_policy_takes_its_own_key_alone(values):
    with pytest.raises(ValidationError, match="policy"):
        DecodeOptions(**values)


def test_variable_frame_rate(tmp_path):
    path = write_clip(tmp_path / "a.mkv", times=[0, 1, 2, 3, 30, 31], seconds=3.2)
    clip = read_clip(path, DecodeOptions(policy="all"))
    assert levels(clip) == [0, 1, 2, 3, 4, 5]
    assert clip.times == pytest.approx([0, 0.1, 0.2, 0.3, 3.0, 3.1], abs=0.01)


def test_odd_size_and_limit(tmp_path):
    clip = read_clip(write_clip(tmp_path / "a.avi", size=(66, 34)), DecodeOptions(policy="count", count=1, max_side=33))
    assert cv2.imdecode(np.frombuffer(clip.jpegs[0], np.uint8), 1).shape == (17, 33, 3)


@pytest.mark.parametrize(("rate", "layout"), [(8_000, "mono"), (48_000, "stereo"), (44_100, "5.1")])
def test_sound_is_16_khz_mono(tmp_path, rate, layout):
    path = write_clip(tmp_path / "a.mkv", rate=rate, layout=layout, audio="aac")
    clip = read_clip(path, count(1))
    assert clip.audio.dtype == np.int16
    spectrum = np.abs(np.fft.rfft(clip.audio[2000:14000]))
    assert np.argmax(spectrum) * AUDIO_RATE / 12000 == pytest.approx(440, abs=2)


def test_one_modality(tmp_path):
    silent = read_clip(write_clip(tmp_path / "a.avi", audio=None), count(3))
    assert (silent.status, len(silent.jpegs), len(silent.audio)) == ("no_audio", 3, 0)
    assert codes(silent.reason) == ["no_audio_stream"]
    blind = read_clip(write_clip(tmp_path / "b.mp4", video=None, audio="aac"), count(3))
    assert (blind.status, len(blind.jpegs)) == ("no_video", 0)
    assert len(blind.audio) > 8000


def test_unreadable(tmp_path):
    whole = write_clip(tmp_path / "a.avi", seconds=3).read_bytes()
    for name, content in {
        "empty": b"",
        "head": whole[:700],
        "third": whole[: len(whole) // 3],
        "text": b"no video\n",
    }.items():
        path = tmp_path / f"{name}.avi"
        path.write_bytes(content)
        clip = read_clip(path, count(3))
        assert clip.status == "undecodable", name
        assert clip.reason, name
        assert not clip.jpegs and not len(clip.audio), name


def test_a_file_that_vanished_is_no_status(tmp_path):
    """The disk may come back: a status would be cached."""
    with pytest.raises(MediaError, match=r"absent\.avi cannot be read \(No such file"):
        read_clip(tmp_path / "absent.avi", count(3))


def test_one_broken_stream_leaves_the_other(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.avi")

    def breaks(*_):
        raise ValueError("frame changed its format")

    monkeypatch.setattr(audio, "_audio_frames", breaks)
    found = read_clip(path, count(3))
    assert (found.status, len(found.jpegs)) == ("no_audio", 3)
    assert "frame changed its format" in found.reason


def test_a_truncated_mp4_is_undecodable(tmp_path):
    whole = write_clip(tmp_path / "a.mp4", seconds=3, audio="aac").read_bytes()
    (tmp_path / "b.mp4").write_bytes(whole[: len(whole) // 2])
    assert read_clip(tmp_path / "b.mp4", count(3)).status == "undecodable"


def test_equal_bytes(tmp_path):
    path = write_clip(tmp_path / "a.avi")
    first, second = read_clip(path, count(4)), read_clip(path, count(4))
    assert first.jpegs == second.jpegs
    assert np.array_equal(first.audio, second.audio)


def test_names_are_no_protocols(tmp_path):
    path = write_clip(tmp_path / "concat:a.avi")
    assert read_clip(path, count(1)).status == "ok"
