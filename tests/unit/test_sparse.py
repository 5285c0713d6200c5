"""Frames that nobody asked for are not decoded, and what is asked for is what decoding everything gives."""

from fractions import Fraction

import av
import numpy as np
import pytest

from emopipe.media import video
from emopipe.media.clip import read_clip
from emopipe.media.decoded import DecodeOptions, Span
from emopipe.media.spans import read_spans
from emopipe.media.sparse import skips

FIVE = DecodeOptions(policy="count", count=5)
N_FRAMES = 75
QUIET = "log-level=none:pools=1:keyint=12:min-keyint=12"
STREAMS = {
    "no B-frames": ("mp4", "libx264", {"bf": "0", "g": "12"}),
    "B-frames": ("mp4", "libx264", {"bf": "3", "g": "12", "x264-params": "b-pyramid=none:b-adapt=0"}),
    "B-pyramid": ("mp4", "libx264", {"bf": "3", "g": "250", "x264-params": "b-pyramid=normal:b-adapt=0"}),
    "start codes": ("ts", "libx264", {"bf": "3", "g": "12"}),
    "Matroska": ("mkv", "libx264", {"bf": "3", "g": "12"}),
    "open GOP": ("mp4", "libx264", {"x264-params": "open-gop=1:bframes=3:keyint=12:min-keyint=12:b-adapt=0"}),
    "intra refresh": ("mp4", "libx264", {"x264-params": "intra-refresh=1:keyint=12:bframes=0"}),
    "fields": ("mp4", "libx264", {"flags": "+ildct+ilme", "g": "12", "bf": "2"}),
    "HEVC": ("mp4", "libx265", {"preset": "ultrafast", "x265-params": f"{QUIET}:open-gop=0"}),
    "HEVC, open GOP": ("mp4", "libx265", {"preset": "ultrafast", "x265-params": f"{QUIET}:open-gop=1"}),
    "MPEG-4": ("mp4", "mpeg4", {"bf": "2", "g": "12"}),
    "MPEG-4 in AVI": ("avi", "mpeg4", {"bf": "2", "g": "12"}),
}
SKIPPING = [name for name in STREAMS if STREAMS[name][1] == "libx264"]


def write(folder, name, steps=None):
    """A file of moving noise; `steps` are milliseconds from one frame to the next."""
    suffix, codec, options = STREAMS[name]
    path = folder / f"a.{suffix}"
    wide = np.random.default_rng(0).integers(0, 256, (8, 40, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options={"threads": "1", **options})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        if steps is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(N_FRAMES):
            frame = av.VideoFrame.from_ndarray(wide[number % 32 :][:96, 3 * number :][:, :128].copy(), "bgr24")
            frame.pts = number if steps is None else int(sum(steps[:number]))
            frame.time_base = Fraction(1, 25 if steps is None else 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def whole(read, monkeypatch):
    """What `read` gives if everything is decoded."""
    with monkeypatch.context() as patch:
        patch.setattr(video, "skips", lambda *_: None)
        return read()


def equal(one, other):
    same = all(getattr(one, name) == getattr(other, name) for name in ("status", "reason", "jpegs"))
    return same and np.array_equal(one.times, other.times)


@pytest.fixture
def never_whole(monkeypatch):
    """Decoding everything fails the test."""

    def refuse(*_):
        raise AssertionError("the whole stream was decoded")

    return lambda: monkeypatch.setattr(video.SampledFrames, "_all", refuse)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 5, 40])
@pytest.mark.parametrize("name", STREAMS)
def test_pixels_times_and_status_are_those_of_the_whole(tmp_path, monkeypatch, never_whole, name, count):
    path, options = write(tmp_path, name), DecodeOptions(policy="count", count=count)
    expected = whole(lambda: read_clip(path, options), monkeypatch)
    assert (expected.status, len(expected.jpegs)) == ("no_audio", count)
    if name in SKIPPING:
        never_whole()
    assert equal(read_clip(path, options), expected)


@pytest.mark.parametrize("name", ["no B-frames", "B-pyramid", "open GOP", "Matroska"])
def test_variable_frame_rate(tmp_path, monkeypatch, never_whole, name):
    path = write(tmp_path, name, np.random.default_rng(1).integers(10, 120, N_FRAMES))
    expected = whole(lambda: read_clip(path, FIVE), monkeypatch)
    never_whole()
    assert equal(read_clip(path, FIVE), expected)


@pytest.mark.parametrize("name", ["B-frames", "open GOP", "Matroska"])
def test_parts_of_a_file(tmp_path, monkeypatch, never_whole, name):
    path, spans = write(tmp_path, name), [Span(0.3, 0.9), Span(1.9, 2.4)]
    expected = whole(lambda: [*read_spans(path, FIVE, spans)], monkeypatch)
    never_whole()
    found = [*read_spans(path, FIVE, spans)]
    assert [len(media.jpegs) for media in found] == [5, 5]
    assert all(map(equal, found, expected))


def places(path):
    """Where each packet lies in a file, and how long it is."""
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


DAMAGES = {
    "zeros": lambda packet, _: bytes(len(packet)),
    "noise": lambda packet, rng: rng.bytes(len(packet)),
    "a noisy head": lambda packet, rng: rng.bytes(min(64, len(packet))) + packet[64:],
    "zeros after the head": lambda packet, _: packet[:40] + bytes(max(0, len(packet) - 40)),
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["no B-frames", "B-frames", "B-pyramid", "open GOP", "Matroska"])
def test_damage_in_any_packet_has_the_status_and_frames_of_the_whole(tmp_path, monkeypatch, name, damage):
    """Also damage in a packet of which no pixels are decoded."""
    path, rng = write(tmp_path, name), np.random.default_rng(2)
    content, reported = path.read_bytes(), 0
    for at, size in places(path)[1::6]:
        path.write_bytes(content[:at] + DAMAGES[damage](content[at : at + size], rng) + content[at + size :])
        expected = whole(lambda: read_clip(path, FIVE), monkeypatch)
        assert equal(read_clip(path, FIVE), expected)
        reported += "damaged_video" in expected.reason
    assert reported or damage == "zeros after the head" or name == "Matroska"


@pytest.mark.slow
def test_a_damaged_header_of_a_frame_that_is_skipped_is_not_noticed(tmp_path, monkeypatch):
    """The one difference: the decoder does not read the slice header of a frame that no other frame refers to."""
    path, unnoticed = write(tmp_path, "B-frames"), 0
    content = path.read_bytes()
    for at, _ in places(path):
        path.write_bytes(content[: at + 5] + bytes([content[at + 5] ^ 0xE0]) + content[at + 6 :])
        expected, found = whole(lambda: read_clip(path, FIVE), monkeypatch), read_clip(path, FIVE)
        assert (found.status, len(found.jpegs)) == (expected.status, len(expected.jpegs))
        unnoticed += found.reason != expected.reason
        assert found.reason == expected.reason or "damaged_video" not in found.reason
    assert 0 < unnoticed < N_FRAMES


@pytest.mark.parametrize("name", [name for name in STREAMS if name not in SKIPPING])
def test_other_codecs_are_decoded_as_a_whole(tmp_path, monkeypatch, name):
    """Pixels of damaged HEVC are what was in memory before: not even two whole decodes give the same."""
    asked = []
    monkeypatch.setattr(video, "skips", lambda *given: asked.append(skips(*given)))
    assert len(read_clip(write(tmp_path, name), FIVE).jpegs) == 5
    assert asked == [None]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["no B-frames", "B-frames"])
def test_a_packet_whose_picture_cannot_be_recognised_is_reported(tmp_path, monkeypatch, name):
    """The byte at 4 is the header of the first NAL unit; a kind that does not exist is in no frame."""
    path, reported = write(tmp_path, name), 0
    content = path.read_bytes()
    for at, _ in places(path)[1::3]:
        path.write_bytes(content[: at + 4] + bytes([content[at + 4] ^ 0x1F]) + content[at + 5 :])
        expected = whole(lambda: read_clip(path, FIVE), monkeypatch)
        assert equal(read_clip(path, FIVE), expected)
        reported += "damaged_video" in expected.reason
    assert reported > 10


@pytest.mark.slow
@pytest.mark.parametrize("name", ["B-frames", "Matroska", "start codes"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_file_has_the_status_and_frames_of_the_whole(tmp_path, monkeypatch, name, share):
    path = write(tmp_path, name)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert equal(read_clip(path, FIVE), whole(lambda: read_clip(path, FIVE), monkeypatch))


def test_a_stream_that_is_lost_for_the_most_part_is_undecodable_though_the_wanted_frame_is_whole(tmp_path):
    path, one = write(tmp_path, "no B-frames"), DecodeOptions(policy="count", count=1)
    content = bytearray(path.read_bytes())
    for at, size in [*places(path)[2:36], *places(path)[38:70]]:  # the 38th frame is wanted, its keyframe is the 37th
        content[at : at + size] = bytes(size)
    path.write_bytes(content)
    found = read_clip(path, one)
    assert (found.status, "lost_frames" in found.reason) == ("undecodable", True)


def test_what_is_skipped():
    times, targets = np.array([0.0, 0.3, 0.1, 0.2, 0.4, 0.5, 0.6]), np.array([0.1, 0.6])
    plan = skips(times, [0, 4, 6], targets)
    assert plan == ["NONREF", "NONREF", "DEFAULT", "ALL", "ALL", "ALL", "DEFAULT"]


@pytest.mark.parametrize(
    ("times", "starts", "targets"),
    [
        ([0.0, 0.1, 0.2], [], [0.1]),  # no IDR picture
        ([0.0, 0.1, 0.1], [0], [0.1]),  # two frames of one time
        ([0.0, 0.1, 0.2], [0], [0.15]),  # a time without a frame
        ([0.0, 0.1, 0.2], [0], [0.0, 0.1, 0.2]),
        ([], [0], [0.1]),  # times are not known
    ],
)
def test_everything_is_decoded_where_it_is_not_clear_what_to_skip(times, starts, targets):
    assert skips(np.array(times), starts, np.array(targets)) is None
