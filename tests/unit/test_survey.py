"""What of a file is there: cut files, wrong headers, starts between keyframes, fields, layers; status and reason."""

import io
from functools import cache, partial

import av
import numpy as np
import pytest

from emopipe.cache.status import codes, text
from emopipe.media import shown, structure, survey
from emopipe.media.clip import read_clip
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions
from emopipe.media.parts import read_parts
from tests.wild.making import clip, cut, noisy, whole
from tests.wild.streams import (
    chained,
    copied,
    doubled_length,
    encoded,
    fields,
    filtered,
    longer_asf,
    longer_mp4,
    muxed,
    raw,
    with_layers,
)

EIGHT = DecodeOptions(policy="count", count=8)
WEB = {"container": "webm", "video": "libvpx", "audio": "libopus", "rate": 48_000}
LIVE = {"container": "matroska", "video": "libx264", "options": {"live": "1"}}
WINDOWS = {"container": "asf", "video": "wmv2", "audio": "wmav2"}
PLAIN = {"container": "avi", "audio": "pcm_s16le", "rate": 8_000}
PIECES = {"container": "mp4", "video": "libx264", "options": {"movflags": "frag_keyframe+empty_moov"}}
SHAPES = {"webm": WEB, "live mkv": LIVE, "wmv": WINDOWS, "pieces": PIECES, "plain avi": PLAIN}


@cache
def source(name):
    """A whole file of 2 s, with 20 frames and with sound."""
    return clip(**SHAPES[name]) if name in SHAPES else whole(name)


@pytest.fixture
def read(tmp_path):
    """Reads bytes as a clip, and checks that the reader of parts gives the same frames, sound, status and reason."""

    def read(data):
        path = tmp_path / "clip"
        path.write_bytes(data)
        media = read_clip(path, EIGHT)
        *parts, last = read_parts(path, EIGHT, 0.5)
        assert (last.status, last.reason) == (media.status, media.reason)
        if media.status != "undecodable":
            jpegs = [jpeg for part in parts for jpeg in part.jpegs]
            assert jpegs == media.jpegs or not media.jpegs
            assert sum(len(part.audio) for part in parts) >= len(media.audio)
        return media

    return read


# --- cut files


@pytest.mark.slow
@pytest.mark.parametrize("name", ["faststart mp4", "avi", "flv", "mkv", "webm", "wmv"])
@pytest.mark.parametrize(("share", "status"), [(0.42, "undecodable"), (0.8, "ok")])
def test_a_cut_file_is_used_from_one_half_of_its_length_on(read, name, share, status):
    found = read(cut(source(name), share))
    assert found.status == status, text(found.reason)
    assert survey.USABLE_FROM == 0.5
    assert {code.split("_")[0] for code in codes(found.reason)} & {"truncated"}
    if status == "ok":
        assert len(found.jpegs) == 8 and 1 < found.times[-1] < 1.9
        assert 1 < len(found.audio) / AUDIO_RATE < 2


@pytest.mark.parametrize("name", ["live mkv", "pieces"])
def test_a_cut_file_that_states_no_length_is_used(read, name):
    found = read(cut(source(name), 0.4))
    assert found.status == "ok" and "truncated_end" in codes(found.reason)
    assert found.times[-1] < 1.2


@pytest.mark.parametrize("name", ["faststart mp4", "avi", "flv", "mkv", "wmv"])
def test_a_header_alone_is_undecodable(read, name):
    found = read(source(name)[:700])
    assert found.status == "undecodable" and not found.jpegs and not len(found.audio)


@pytest.mark.parametrize(
    ("first", "status", "reason"),
    [("audio", "no_video", "truncated_packets"), ("video", "no_audio", "truncated_sound")],
)
def test_one_stream_counts_where_the_other_is_cut_off(read, first, status, reason):
    """In a file that is not interleaved, one stream comes last."""
    data = one_after_the_other(source("plain avi"), first)
    assert read(data).status == "ok"
    with av.open(io.BytesIO(data)) as file:
        places = [packet.pos for packet in file.demux() if packet.size and packet.stream.type != first]
    found = read(data[: places[len(places) // 3]])
    assert (found.status, codes(found.reason)[0]) == (status, reason)
    assert len(found.audio) / AUDIO_RATE == pytest.approx(2 if first == "audio" else 0, abs=0.1)
    assert len(found.jpegs) == (0 if first == "audio" else 8)


def one_after_the_other(data, first):
    """The same clip in AVI, with all of one stream before the other."""
    buffer = io.BytesIO()
    with (
        av.open(io.BytesIO(data)) as file,
        av.open(buffer, "w", format="avi", options={"max_interleave_delta": "1"}) as out,
    ):
        streams = {stream.index: out.add_stream_from_template(stream) for stream in file.streams}
        packets = [packet for packet in file.demux() if packet.size]
        for packet in sorted(packets, key=lambda packet: packet.stream.type != first):
            packet.stream = streams[packet.stream_index]
            out.mux(packet)
    return buffer.getvalue()


# --- wrong headers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("webm", doubled_length, "wrong_length"),
        ("mkv", partial(doubled_length, times=50), "wrong_length"),
        ("live mkv", lambda data: data, ""),
        ("webm", partial(doubled_length, times=0.25), "wrong_length"),
        ("flv", partial(doubled_length, name=b"duration\0"), "wrong_length"),
        ("wmv", longer_asf, "wrong_length"),
        ("mp4", longer_mp4, ""),  # its tables count all packets: nothing else is asked
    ],
)
def test_a_header_is_not_a_measure(read, name, change, reason):
    plain, found = read(source(name)), read(change(source(name)))
    assert (plain.status, plain.reason, found.status) == ("ok", "", "ok")
    assert codes(found.reason) == ([reason] if reason else [])
    assert found.jpegs == plain.jpegs and np.array_equal(found.audio, plain.audio)


def counting(data, frames):
    """An AVI whose headers count so many frames."""
    for name, offset in ((b"avih", 24), (b"strh", 40)):
        at = data.index(name) + offset
        data = data[:at] + frames.to_bytes(4, "little") + data[at + 4 :]
    return data


@pytest.mark.parametrize("frames", [2, 50, 0x7FFFFFFF])
def test_a_wrong_count_of_frames_is_reported_and_no_more(read, frames):
    found = read(counting(source("avi"), frames))
    assert (found.status, codes(found.reason)) == ("ok", ["wrong_frame_count"])
    assert found.jpegs == read(source("avi")).jpegs


def test_a_wrong_header_of_a_cut_file_is_believed(read):
    """Nothing else says how long the file was."""
    data = doubled_length(source("flv"), b"duration\0")
    assert read(cut(data, 0.4)).status == "undecodable"


def test_a_file_filled_up_with_zeros_is_not_whole(read):
    data = source("webm")
    found = read(data[: len(data) // 4].ljust(len(data), b"\0"))
    assert (found.status, codes(found.reason)) == ("undecodable", ["truncated_time"])


# --- starts between keyframes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("mpegts", "libx264"), ("mpegts", "mpeg2video"), ("mpeg", "mpeg2video"), ("matroska", "libx265"),
        ("webm", "libvpx"), ("mp4", "libvpx-vp9"), ("matroska", "mpeg4"), ("flv", "flv"), ("asf", "wmv2"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("skipped", [3, 20])
def test_a_start_between_keyframes_is_not_an_end_cut_off(read, container, codec, skipped):
    sound = {"mpegts": "mp2", "mpeg": "mp2", "matroska": "libopus", "webm": "libopus"}.get(container, "")
    packets = [copied(packet, pts=n) for n, packet in enumerate(encoded(codec, range(50), gop=25)[skipped:])]
    found = read(muxed(container, codec, packets, sound=sound))
    assert found.status == ("ok" if sound else "no_audio")
    assert codes(found.reason)[-1] == "lost_start" and "damaged_video" not in codes(found.reason)
    assert len(found.jpegs) == 8 and found.times[0] >= (25 - skipped) / 25 - 0.01
    assert found.times[-1] <= (50 - skipped) / 25 + 0.1


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_a_start_between_keyframes_without_a_container(read, codec):
    found = read(raw(encoded(codec, range(50), gop=25)[12:]))
    assert (found.status, codes(found.reason)) == ("no_audio", ["no_audio_stream", "lost_start"])
    assert len(found.jpegs) == 8 and found.times[0] >= 0.5


def test_a_keyframe_that_an_edit_list_hides_is_there(read):
    data = clip("mp4", video="libx264", start=-1.3)
    found = read(data)
    assert (found.status, found.reason, len(found.jpegs)) == ("ok", "", 7)
    assert found.times[0] == pytest.approx(0, abs=0.01)


def test_no_keyframe_at_all_is_no_video(read):
    found = read(muxed("mpegts", "libx264", encoded("libx264", range(50))[1:], sound="mp2"))
    assert (found.status, codes(found.reason)[0]) == ("no_video", "no_frame_decodes")
    assert len(found.audio) / AUDIO_RATE == pytest.approx(2, abs=0.1)


# --- packets that are not frames


@pytest.mark.parametrize("container", ["matroska", "avi", "mpegts", "mpeg"])
def test_packets_that_are_fields(read, container):
    found = read(muxed(container, "mpeg2video", fields(range(20)), size=(64, 96)))
    assert (found.status, codes(found.reason), len(found.jpegs)) == ("no_audio", ["no_audio_stream"], 8)
    assert found.times[-1] == pytest.approx(1.5, abs=0.1)


def test_fields_that_begin_between_keyframes_or_are_cut_are_judged_alike(read):
    data = muxed("avi", "mpeg2video", fields(range(20)), size=(64, 96))
    assert read(cut(data, 0.75)).status == "no_audio" and read(cut(data, 0.4)).status == "undecodable"


@pytest.mark.parametrize(("codec", "unit"), [("libx264", b"\x74\x80\0\0"), ("libx265", b"\x02\x09")])
def test_packets_of_a_second_layer(read, codec, unit):
    found = read(muxed("matroska", codec, with_layers(encoded(codec, range(20)), unit)))
    assert (found.status, codes(found.reason), len(found.jpegs)) == ("no_audio", ["no_audio_stream"], 8)


def test_packets_that_are_hidden_frames(read):
    packets = encoded("libsvtav1", range(50), size=(64, 64))
    split = filtered("matroska", "libsvtav1", packets, "av1_frame_split", size=(64, 64))
    assert len(split) > 60
    found = read(muxed("matroska", "libsvtav1", split, size=(64, 64)))
    assert (found.status, codes(found.reason), len(found.jpegs)) == ("no_audio", ["no_audio_stream"], 8)


# --- broken streams beside whole ones, and changes


@pytest.mark.parametrize(("broken", "status"), [(20, "ok"), (40, "no_video")])
def test_a_video_that_decodes_by_less_than_half_leaves_the_sound(read, broken, status):
    packets = encoded("libvpx", range(50), gop=1)
    packets[5 : 5 + broken] = [copied(packet, b"\xff" * 40) for packet in packets[5 : 5 + broken]]
    found = read(muxed("webm", "libvpx", packets, sound="libopus"))
    assert found.status == status and {"damaged_video", "lost_frames"} <= {*codes(found.reason)}
    assert len(found.audio) / AUDIO_RATE == pytest.approx(2, abs=0.1)
    assert (len(found.jpegs) > 0) == (status == "ok")


def test_damage_in_the_middle_loses_nothing_before_it(read):
    data = source("avi")
    found = read(noisy(data, 0.6, 0.7))
    assert found.status == "ok" and len(found.jpegs) >= 6


def test_frames_before_one_that_cannot_be_converted_are_kept(read, monkeypatch):
    real = shown._to_jpeg

    def refuses(frame, display, options):
        if frame.width == 96:
            raise ValueError("this format cannot be converted")
        return real(frame, display, options)

    monkeypatch.setattr(shown, "_to_jpeg", refuses)
    first, second = encoded("libx264", range(20)), encoded("libx264", range(20), size=(96, 80))
    found = read(muxed("mpegts", "libx264", chained(first, second), sound="mp2"))
    assert found.status == "ok" and len(found.jpegs) == 4
    assert "this format cannot be converted" in text(found.reason)


@pytest.mark.parametrize("name", ["mp4", "faststart mp4", "avi", "flv", "mkv", "webm", "live mkv", "wmv", "pieces"])
@pytest.mark.parametrize("cut_bytes", [0, 1, 37])
def test_the_structure_says_whether_a_file_is_whole(tmp_path, name, cut_bytes):
    path = tmp_path / "clip"
    data = source(name)
    path.write_bytes(data[: len(data) - cut_bytes])
    container = {"mkv": "matroska,webm", "live mkv": "matroska,webm", "webm": "matroska,webm", "wmv": "asf"}
    with path.open("rb") as file:
        is_whole = structure.is_whole(file.fileno(), container.get(name, name if name in ("avi", "flv") else "mov,mp4"))
    assert is_whole == (cut_bytes == 0)
