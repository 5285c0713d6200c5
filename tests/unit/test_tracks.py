"""Which track of a file is used, where there are several."""

import json

import cv2
import numpy as np
import pytest
from av.stream import Disposition
from pydantic import ValidationError

from emopipe.cache.status import codes
from emopipe.media import tracks as choosing
from emopipe.media.clip import read_clip
from emopipe.media.decoded import DecodeOptions
from emopipe.media.parts import read_parts
from tests.unit.test_sound_shapes import pitch
from tests.wild.making import tracks

VIDEO = {"codec": "mpeg4", "level": 100}
QUIET = {"loudness": 0}


def read(folder, data, **options):
    (folder / "clip").write_bytes(data)
    given = DecodeOptions(policy="count", count=2, **options)
    found = read_clip(folder / "clip", given)
    *parts, last = read_parts(folder / "clip", given, 0.4)
    assert (last.status, last.reason) == (found.status, found.reason)
    assert [jpeg for part in parts for jpeg in part.jpegs] == found.jpegs
    heard = np.concatenate([part.audio for part in parts]) if parts else np.empty(0, np.int16)
    np.testing.assert_array_equal(heard if heard.any() else heard[:0], found.audio)
    return found


def which(media, code):
    """How many tracks there were, and which was taken; None if that is not told."""
    values = next((values for name, values in json.loads(media.reason or "[]") if name == code), None)
    return values and (values["found"], values["taken"])


def shown(media):
    """The size of the first frame, and its grey level."""
    image = cv2.imdecode(np.frombuffer(media.jpegs[0], np.uint8), cv2.IMREAD_COLOR)
    return image.shape[1::-1], round(float(image.mean()))


# --- sound


@pytest.mark.slow
@pytest.mark.parametrize(
    ("container", "codec"),
    [("matroska", "aac"), ("mp4", "aac"), ("mov", "pcm_s16le"), ("mpegts", "mp2"), ("avi", "mp3"), ("matroska", "flac"),
     ("asf", "wmav2"), ("mov", "pcm_f32le")],
)  # fmt: skip
@pytest.mark.parametrize("silent", [1, 2])
def test_the_silent_tracks_are_passed_over(tmp_path, container, codec, silent):
    sounds = [{"codec": codec, **QUIET}] * silent + [{"codec": codec, "pitch": 700}]
    video = {"codec": "mpeg2video", "fps": 25} if container == "mpegts" else VIDEO
    found = read(tmp_path, tracks(container, [video], sounds))
    assert found.status == "ok" and which(found, "audio_tracks") == (silent + 1, silent + 1)
    assert pitch(found.audio, 0.2, 0.8) == pytest.approx(700, abs=3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("container", "flags", "layouts", "taken"),
    [
        ("matroska", (0, 1), ("mono", "mono"), 2),
        ("matroska", (0, 1), ("stereo", "mono"), 2),  # the flag comes before the channels
        ("matroska", (0, 0), ("mono", "stereo"), 2),
        ("matroska", (1, 1), ("mono", "stereo"), 2),
        ("matroska", (1, 1), ("mono", "mono"), 1),
        ("matroska", (0, 0, 0), ("mono", "5.1", "stereo"), 2),
        ("mp4", (0, 1), ("mono", "mono"), 2),
        ("mp4", (1, 1), ("mono", "stereo"), 2),
        ("mpegts", (0, 1), ("stereo", "mono"), 1),  # it has no such flag
        ("mpegts", (0, 1), ("mono", "stereo"), 2),
        ("avi", (0, 1), ("mono", "mono"), 1),
    ],
)
def test_of_those_that_are_heard_the_flag_then_the_channels_then_the_order_decide(
    tmp_path, container, flags, layouts, taken
):
    pitches = (300, 700, 1100)
    sounds = [
        {"default": bool(flag), "layout": layout, "pitch": hertz, "codec": "mp3" if container == "avi" else "aac"}
        for flag, layout, hertz in zip(flags, layouts, pitches, strict=False)
    ]
    found = read(tmp_path, tracks(container, (), sounds))
    assert found.status == "no_video" and which(found, "audio_tracks") == (len(flags), taken)
    assert pitch(found.audio, 0.2, 0.8) == pytest.approx(pitches[taken - 1], abs=3)


def test_a_default_track_that_is_silent_is_passed_over(tmp_path):
    sounds = [{"pitch": 300, "default": False}, {**QUIET, "default": True, "layout": "stereo"}]
    found = read(tmp_path, tracks("matroska", [VIDEO], sounds))
    assert which(found, "audio_tracks") == (2, 1) and pitch(found.audio, 0.2, 0.8) == pytest.approx(300, abs=3)


def test_a_track_that_is_nearly_silent_is_passed_over_unless_it_is_all(tmp_path):
    faint = {"codec": "flac", "loudness": 8e-5}
    found = read(tmp_path, tracks("matroska", [VIDEO], [faint, {"codec": "flac", "pitch": 700}]))
    assert which(found, "audio_tracks") == (2, 2)
    found = read(tmp_path, tracks("matroska", [VIDEO], [{"codec": "flac", **QUIET}, faint]))
    assert found.status == "ok" and which(found, "audio_tracks") == (2, 2) and found.audio.any()


def test_tracks_that_are_all_silent(tmp_path):
    found = read(tmp_path, tracks("matroska", [VIDEO], [QUIET, QUIET]))
    assert found.status == "no_audio" and codes(found.reason) == ["silent", "audio_tracks"]


def test_one_track_is_not_looked_at_before(tmp_path, monkeypatch):
    def never(*_):
        raise AssertionError

    monkeypatch.setattr(choosing, "_first_heard", never)
    monkeypatch.setattr(choosing, "_first_moving", never)
    found = read(tmp_path, tracks("mp4", [VIDEO], [{}]))
    assert (found.status, found.reason) == ("ok", "")


def test_the_look_ends_with_the_first_sound(tmp_path, monkeypatch):
    decoded = []
    frames = choosing.audio_frames
    monkeypatch.setattr(choosing, "audio_frames", lambda packet: decoded.append(packet) or frames(packet))
    found = read(tmp_path, tracks("matroska", (), [{"codec": "flac"}, {"codec": "flac", "pitch": 700}], seconds=5))
    assert which(found, "audio_tracks") == (2, 1) and len(decoded) <= 2 * 3


# --- video


@pytest.mark.slow
@pytest.mark.parametrize(
    ("container", "flags", "sizes", "taken"),
    [
        ("matroska", (0, 1), (64, 64), 2),
        ("matroska", (0, 1), (128, 64), 2),
        ("matroska", (0, 0), (64, 128), 2),
        ("matroska", (1, 1), (128, 64), 1),
        ("mp4", (0, 1), (64, 64), 2),
        ("mp4", (1, 1), (64, 128), 2),
        ("avi", (0, 1), (64, 64), 1),
        ("avi", (0, 0), (64, 128), 2),
    ],
)
def test_of_videos_the_flag_then_the_size_then_the_order_decide(tmp_path, container, flags, sizes, taken):
    levels = (60, 180)
    videos = [
        {"codec": "mpeg4", "default": bool(flag), "size": (side, side), "level": level}
        for flag, side, level in zip(flags, sizes, levels, strict=True)
    ]
    found = read(tmp_path, tracks(container, videos, [{"codec": "mp3"}]))
    assert found.status == "ok" and which(found, "video_tracks") == (2, taken)
    (width, height), level = shown(found)
    assert (width, height) == (sizes[taken - 1],) * 2 and level == pytest.approx(levels[taken - 1], abs=6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("container", "codec", "pix_fmt"),
    [("matroska", "mjpeg", "yuvj420p"), ("mp4", "mjpeg", "yuvj420p"), ("avi", "mjpeg", "yuvj420p"),
     ("avi", "png", "rgb24"), ("mov", "png", "rgb24"), ("mov", "mpeg4", "yuv420p")],
)  # fmt: skip
@pytest.mark.parametrize("first", [True, False])
def test_a_still_picture_is_no_video(tmp_path, container, codec, pix_fmt, first):
    """A picture that is a track like any other, larger than the video, and the default."""
    still = {"codec": codec, "pix_fmt": pix_fmt, "frames": 1, "level": 220, "size": (256, 256), "default": True}
    pair = [still, {**VIDEO, "default": False}]
    found = read(tmp_path, tracks(container, pair if first else pair[::-1], [{"codec": "mp3"}]))
    assert found.status == "ok" and which(found, "video_tracks") == (2, 2 if first else 1)
    assert shown(found) == ((64, 48), pytest.approx(100, abs=6)) and len(found.jpegs) == 2


def test_cover_pictures_are_no_tracks(tmp_path):
    cover = {"codec": "mjpeg", "pix_fmt": "yuvj420p", "frames": 1, "disposition": Disposition.attached_pic}
    found = read(tmp_path, tracks("mp4", [cover, VIDEO], [{}]))
    assert (found.status, found.reason) == ("ok", "") and shown(found)[0] == (64, 48)
    found = read(tmp_path, tracks("mp4", [cover], [{}]))
    assert found.status == "no_video" and codes(found.reason) == ["no_video_stream"]


def test_a_picture_alone_is_a_video(tmp_path):
    still = {"codec": "mjpeg", "pix_fmt": "yuvj420p", "frames": 1, "level": 220}
    found = read(tmp_path, tracks("avi", [still], [{"codec": "mp3"}]))
    assert (found.status, found.reason) == ("ok", "") and shown(found)[1] == pytest.approx(220, abs=6)


# --- options


SOUNDS = [{"pitch": 300, "language": "eng"}, {"pitch": 700, "language": "ger"}, {"pitch": 1100, "language": "fra"}]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("track", "taken"),
    [(1, 1), (2, 2), (3, 3), ("eng", 1), ("ENG", 1), ("ger", 2), ("deu", 2), ("Deu", 2), ("fra", 3), ("fre", 3)],
)
@pytest.mark.parametrize("container", ["matroska", "mp4", "mpegts"])
def test_a_sound_track_can_be_asked_for(tmp_path, container, track, taken):
    found = read(tmp_path, tracks(container, (), SOUNDS), audio_track=track)
    assert which(found, "audio_tracks") == (3, taken)
    assert pitch(found.audio, 0.2, 0.8) == pytest.approx((300, 700, 1100)[taken - 1], abs=3)


@pytest.mark.parametrize("track", [4, "ita", "und"])
def test_a_clip_without_the_sound_track_has_no_sound(tmp_path, track):
    found = read(tmp_path, tracks("matroska", [VIDEO], SOUNDS), audio_track=track)
    assert found.status == "no_audio" and json.loads(found.reason) == [
        ["no_such_audio_track", {"track": str(track), "found": 3}]
    ]


def test_a_silent_track_that_is_asked_for_is_silent(tmp_path):
    found = read(tmp_path, tracks("matroska", [VIDEO], [{}, QUIET]), audio_track=2)
    assert found.status == "no_audio" and codes(found.reason) == ["silent", "audio_tracks"]


def test_of_a_language_the_rules_choose(tmp_path):
    sounds = [{"pitch": 300, "language": "eng"}, {**QUIET, "language": "deu"}, {"pitch": 700, "language": "deu"}]
    found = read(tmp_path, tracks("matroska", [VIDEO], sounds), audio_track="ger")
    assert which(found, "audio_tracks") == (3, 3)


@pytest.mark.parametrize(("track", "taken"), [(1, 1), (2, 2), ("eng", 1), ("jpn", 2)])
def test_a_video_track_can_be_asked_for(tmp_path, track, taken):
    videos = [{**VIDEO, "language": "eng", "level": 60}, {**VIDEO, "language": "jpn", "level": 180}]
    found = read(tmp_path, tracks("matroska", videos, [{}]), video_track=track)
    assert which(found, "video_tracks") == (2, taken)
    assert shown(found)[1] == pytest.approx((60, 180)[taken - 1], abs=6)


def test_a_clip_without_the_video_track_has_no_video(tmp_path):
    found = read(tmp_path, tracks("mp4", [VIDEO], [{}]), video_track=2)
    assert found.status == "no_video" and codes(found.reason) == ["no_such_video_track"] and found.audio.any()
    found = read(tmp_path, tracks("mp4", [VIDEO], [{}]), video_track=2, audio_track="eng")
    assert found.status == "undecodable"
    assert codes(found.reason) == ["nothing_decodes", "no_such_video_track", "no_such_audio_track"]


@pytest.mark.parametrize("track", [0, -1, "en", "english", "", 1.5, True, "e g"])
@pytest.mark.parametrize("key", ["audio_track", "video_track"])
def test_what_is_no_track_is_refused(key, track):
    with pytest.raises(ValidationError, match=key):
        DecodeOptions(policy="all", **{key: track})


def test_languages_have_two_spellings():
    assert len(choosing._SPELLINGS) == 20
    assert {choosing._spelling(language) for language in ("cze", "ces", "CES")} == {"ces"}
