"""Parts of a file as clips of their own: they are what files would be that were cut there."""

import tracemalloc
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from emopipe.cache import status
from emopipe.cache.status import codes, text
from emopipe.cache.store import Reader
from emopipe.core import tables
from emopipe.core.errors import MediaError
from emopipe.media import sandbox, video
from emopipe.media.clip import read_clip
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions, Span
from emopipe.media.sandbox import ClipReader
from emopipe.media.spans import in_order, read_spans, spans_of
from emopipe.stages import decode

FPS, SECONDS = 10, 6
COUNT = DecodeOptions(policy="count", count=3)
ALL = DecodeOptions(policy="all")


def noise(number, size=(64, 48)):
    return (
        np.random.default_rng(number)
        .integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
        .repeat(8, 0)
        .repeat(8, 1)
    )


def sound_of(begin, end):
    """A sound that is different everywhere."""
    numbers = np.arange(round(begin * AUDIO_RATE), round(end * AUDIO_RATE))
    return (8000 * np.sin(numbers / 7) + numbers % 1009).astype(np.int16)


def write(path, begin=0.0, end=SECONDS, video="mjpeg", pix_fmt="yuvj420p", audio=True, options=None, late=0.0):
    """A file of numbered pictures and a sound, from `begin` to `end`; its first stamp is `late`."""
    with av.open(str(path), "w") as out:
        steady = {"qmin": "2", "qmax": "2"}  # else, how well a picture is kept depends on those before it
        pictures = out.add_stream(video, rate=FPS, options=options or steady) if video else None
        sound = out.add_stream("pcm_s16le", rate=AUDIO_RATE, layout="mono") if audio is True else None
        sound = out.add_stream(audio, rate=AUDIO_RATE, layout="mono") if isinstance(audio, str) else sound
        if pictures is not None:
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, pix_fmt
        for number in range(round(begin * FPS), round(end * FPS)):
            if pictures is not None:
                frame = av.VideoFrame.from_ndarray(noise(number), "bgr24")
                frame.pts, frame.time_base = number - round((begin - late) * FPS), Fraction(1, FPS)
                out.mux(pictures.encode(frame))
            if sound is not None:
                samples = sound_of(number / FPS, (number + 1) / FPS)
                block = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
                block.sample_rate, block.time_base = AUDIO_RATE, Fraction(1, AUDIO_RATE)
                block.pts = round((number / FPS - begin + late) * AUDIO_RATE)
                out.mux(sound.encode(block))
        for stream in filter(None, (pictures, sound)):
            out.mux(stream.encode())
    return path


def is_same(part, whole):
    assert (part.status, part.reason) == (whole.status, whole.reason)
    assert part.jpegs == whole.jpegs
    np.testing.assert_allclose(part.times, whole.times, atol=2e-3)  # Matroska counts milliseconds
    np.testing.assert_array_equal(part.audio, whole.audio)
    assert part.audio_start == pytest.approx(whole.audio_start, abs=1e-3)


# --- a part is what a file would be that was cut there

EDGES = [(0.5, 1.2), (0.0, 2.0), (1.9, 2.3), (1.0, 4.0), (2.3, 6.0)]
"""Some overlap, some touch, and one is within another; by their ends."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "video"),
    [
        ("avi", ("mjpeg", "yuvj420p")),
        ("mkv", ("ffv1", "yuv420p")),
        ("mov", ("png", "rgb24")),
        ("nut", ("ffv1", "bgr0")),
    ],
)
@pytest.mark.parametrize(
    "options", [COUNT, ALL, DecodeOptions(policy="fps", fps=4, max_frames=7)], ids=lambda o: o.policy
)
def test_a_part_is_a_file_that_was_cut_there(tmp_path, suffix, video, options):
    path = write(tmp_path / f"whole.{suffix}", video=video[0], pix_fmt=video[1])
    found = list(read_spans(path, options, [Span(*edges) for edges in EDGES]))
    assert len(found) == len(EDGES)
    for number, (edges, part) in enumerate(zip(EDGES, found, strict=True)):
        cut = read_clip(write(tmp_path / f"{number}.{suffix}", *edges, *video), options)
        assert cut.status == status.OK and len(cut.audio) == round((edges[1] - edges[0]) * AUDIO_RATE)
        is_same(part, cut)


def test_parts_have_the_right_pictures_and_samples(tmp_path):
    path = write(tmp_path / "a.avi")
    everything = read_clip(path, ALL)
    first, second = read_spans(path, COUNT, [Span(1.0, 2.0), Span(2.0, 5.0)])
    assert first.jpegs == [everything.jpegs[10 + n] for n in (1, 5, 8)]  # the middles of thirds of ten frames
    np.testing.assert_allclose(first.times, [0.1, 0.5, 0.8], atol=1e-6)
    assert second.jpegs == [everything.jpegs[20 + n] for n in (5, 15, 25)]
    np.testing.assert_array_equal(second.audio, sound_of(2, 5))
    assert (first.status, first.reason, first.audio_start) == (status.OK, "", 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "late"), [("mp4", 0.0), ("ts", 0.0), ("mkv", 1.5)])
def test_pictures_that_depend_on_others_are_those_of_the_whole_file(tmp_path, suffix, late):
    """With frames that refer to later ones, and where the first stamp is not zero."""
    keys = {"bf": "2", "g": "12", "x264-params": "open-gop=1"}
    path = write(tmp_path / f"a.{suffix}", video="libx264", pix_fmt="yuv420p", audio="aac", options=keys, late=late)
    everything = read_clip(path, ALL)
    assert len(everything.jpegs) == SECONDS * FPS
    for span in (Span(1.5, 3.1), Span(4.7)):
        (part,) = read_spans(path, ALL, [span])
        inside = (everything.times >= span.start - 1e-3) & (everything.times < span.end - 1e-3)
        assert part.jpegs == [jpeg for jpeg, is_inside in zip(everything.jpegs, inside, strict=True) if is_inside]
        np.testing.assert_allclose(part.times, everything.times[inside] - span.start, atol=1e-6)
        begin, end = (round((time - everything.audio_start) * AUDIO_RATE) for time in (span.start, min(span.end, 99)))
        np.testing.assert_array_equal(part.audio, everything.audio[begin:end])


@pytest.mark.parametrize("codec", ["wav", "flac"])
def test_parts_of_sound_alone_are_cut_to_the_sample(tmp_path, codec):
    path = write(tmp_path / f"a.{codec}", video=None, audio={"wav": "pcm_s16le", "flac": "flac"}[codec])
    parts = list(read_spans(path, COUNT, [Span(0.25, 0.7501), Span(0.7501, 2), Span(5, float("inf"))]))
    assert [part.status for part in parts] == [status.NO_VIDEO] * 3
    assert [codes(part.reason) for part in parts] == [["no_video_stream"]] * 3
    whole = sound_of(0, SECONDS)
    for part, (begin, end) in zip(parts, [(4000, 12002), (12002, 32000), (80000, 96000)], strict=True):
        np.testing.assert_array_equal(part.audio, whole[begin:end])


def test_sound_of_another_rate_is_that_of_the_whole_file(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as out:
        out.setparams((2, 2, 44_100, 0, "NONE", ""))
        out.writeframes(np.random.default_rng(0).normal(0, 3000, (3 * 44_100, 2)).astype("<i2").tobytes())
    whole = read_clip(tmp_path / "a.wav", COUNT).audio
    first, second = read_spans(tmp_path / "a.wav", COUNT, [Span(0, 1.3), Span(1.3, 3)])
    np.testing.assert_array_equal(np.concatenate([first.audio, second.audio]), whole)
    assert len(first.audio) == 20_800


# --- what a part lacks


def test_sound_that_begins_later_or_is_silent_or_too_long(tmp_path):
    path = write(tmp_path / "a.wav", video=None)
    (long,) = read_spans(path, COUNT.model_copy(update={"max_audio_seconds": 0.5}), [Span(1, 3)])
    assert {*codes(long.reason)} == {"no_video_stream", "sound_limited"} and len(long.audio) == 8000
    np.testing.assert_array_equal(long.audio, sound_of(1, 1.5))
    video = write(tmp_path / "a.avi", audio=None)
    (deaf,) = read_spans(video, COUNT, [Span(1, 3)])
    assert (deaf.status, codes(deaf.reason), len(deaf.jpegs)) == (status.NO_AUDIO, ["no_audio_stream"], 3)
    with wave.open(str(tmp_path / "quiet.wav"), "wb") as out:
        out.setparams((1, 2, AUDIO_RATE, 0, "NONE", ""))
        out.writeframes(bytes(2 * AUDIO_RATE) + sound_of(1, 3).tobytes())
    quiet, loud = read_spans(tmp_path / "quiet.wav", COUNT, [Span(0.2, 0.9), Span(0.5, 3)])
    assert (quiet.status, "silent" in codes(quiet.reason)) == (status.UNDECODABLE, True)
    assert len(loud.audio) == 40_000


def test_limited_sound_is_reported(tmp_path):
    path, options = write(tmp_path / "a.avi"), COUNT.model_copy(update={"max_audio_seconds": 1})
    long, short = read_spans(path, options, [Span(1, 3), Span(2.2, 3.2)])
    assert (
        text(long.reason) == "Only the first 1 s of the sound are used (max_audio_seconds)."
        and len(long.audio) == 16000
    )
    assert short.reason == "" and len(short.audio) == 16000


@pytest.mark.parametrize("name", ["a.avi", "a.wav"])
def test_a_part_that_begins_after_the_end_is_undecodable(tmp_path, name):
    path = write(tmp_path / name, video=None if name == "a.wav" else "mjpeg")
    inside, after, open_end = read_spans(path, COUNT, [Span(4, 6.05), Span(7, 9), Span(6.5)])
    assert "part_beyond_end" not in codes(inside.reason) and len(inside.audio) == 32000
    for part, said in ((after, "7 s to 9 s"), (open_end, "6.5 s to the end")):
        assert part.status == status.UNDECODABLE and not part.jpegs and not len(part.audio)
        assert text(part.reason).startswith(f"The part is {said}, but the file ends at 6 s.")


def test_a_part_that_ends_after_the_end_counts_if_half_of_it_is_there(tmp_path):
    path = write(tmp_path / "a.avi")
    most, least = read_spans(path, ALL, [Span(4, 6.2), Span(5.5, 9)])
    assert (most.status, text(most.reason)) == (status.OK, "The part is 4 s to 6.2 s, but the file ends at 6 s.")
    assert len(most.jpegs) == 20 and len(most.audio) == 32000
    assert (least.status, codes(least.reason)[0], least.jpegs) == (status.UNDECODABLE, "part_beyond_end", [])


def test_a_part_between_frames_has_none(tmp_path):
    path = write(tmp_path / "a.avi")
    (part,) = read_spans(path, ALL, [Span(1.02, 1.08)])
    assert (part.status, codes(part.reason), len(part.audio)) == (status.NO_VIDEO, ["no_frames_in_part"], 960)


@pytest.mark.parametrize("content", [b"", b"no video at all"])
def test_what_is_no_media_file_has_a_reason_for_each_part(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    found = list(read_spans(tmp_path / "a.mp4", COUNT, [Span(0, 1), Span(1, 2)]))
    assert [part.status for part in found] == [status.UNDECODABLE] * 2
    assert codes(found[1].reason)[0] == ("nothing_decodes" if content else "empty_file")


# --- one pass, and its memory


def test_one_pass_serves_all_parts_and_ends_after_the_last(tmp_path, monkeypatch):
    path, shown = write(tmp_path / "a.avi"), []
    frames = video._Frames.__iter__
    monkeypatch.setattr(video._Frames, "__iter__", lambda self: (shown.append(one[0]) or one for one in frames(self)))
    found = list(read_spans(path, COUNT, [Span(0.5, 1), Span(0.7, 1.5), Span(0.0, 2.0)]))
    assert [len(part.jpegs) for part in found] == [3] * 3
    np.testing.assert_allclose(shown, np.arange(17) / FPS, atol=1e-6)  # the last frame that a part needs is at 1.6 s


@pytest.mark.slow
def test_many_parts_of_a_long_file_are_not_held_together(tmp_path):
    path = write(tmp_path / "a.avi", end=40)
    parts = [Span(second, second + 1) for second in range(40)]
    tracemalloc.start()
    sizes = [sum(map(len, media.jpegs)) + media.audio.nbytes for media in read_spans(path, ALL, parts)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(sizes) == 40 and min(sizes) > 32_000
    assert peak < sum(sizes) / 5


# --- in a process of its own

SECONDS_OF = [Span(second, second + 1) for second in range(4)]


def read_all(read, path, parts=SECONDS_OF):
    return [reading() for reading in read.readings([(path, span) for span in parts])]


@pytest.mark.slow
def test_the_process_answers_what_this_one_would(tmp_path):
    path = write(tmp_path / "a.mkv", video="ffv1", pix_fmt="yuv420p")
    edges = [Span(*edge) for edge in EDGES]
    with ClipReader(COUNT) as read:
        found = read_all(read, path, edges)
        again, whole = read(path, edges[0]), read(path)
    expected = [*read_spans(path, COUNT, edges), found[0], read_clip(path, COUNT)]
    for part, other in zip([*found, again, whole], expected, strict=True):
        is_same(part, other)


@pytest.fixture
def unruly(monkeypatch):
    monkeypatch.setattr(sandbox, "WORKER", "tests.unit.unruly_decoder")


@pytest.mark.slow
def test_parts_of_one_file_are_one_request(unruly):
    files = [(Path("a at 9"), span) for span in SECONDS_OF]
    with ClipReader(COUNT) as read:
        found = [reading() for reading in read.readings([*files, (Path("b"), None), *files[2:], files[0]])]
    said = [media.reason.partition(" by ")[0] for media in found]
    assert said == ["0 of 4", "1 of 4", "2 of 4", "3 of 4", "b", "2 of 2", "3 of 2", "0 of 1"]
    assert len({media.reason.split()[-1] for media in found}) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("crash", "The decoder crashed (SIGSEGV)."),
        ("hang", "Decoding takes more than 0.5 s (clip_seconds)."),
        ("bloat", "Decoding needs more than 64 MB (clip_memory_mb)."),
    ],
)
def test_a_part_can_only_undo_itself(unruly, what, reason):
    with ClipReader(DecodeOptions(policy="count", count=3, clip_seconds=0.5, clip_memory_mb=64)) as read:
        found = read_all(read, Path(f"{what} at 1"))
        after = read(Path("b"))
    assert [media.status for media in found] == ["no_video", "undecodable", "no_video", "no_video"]
    assert text(found[1].reason) == reason and after.reason.startswith("b by")
    assert [media.reason.split(" by")[0] for media in found[2:]] == ["2 of 1", "3 of 1"]


@pytest.mark.slow
def test_a_file_that_loses_every_process_is_given_up(monkeypatch):
    tried = []

    class Lost:
        def __init__(self, *_):
            pass

        def read(self, path, spans, how=None):
            tried.append(len(spans))
            raise sandbox._LostError(status.reason("too_much_time", seconds=1), is_sure=True)

        def stop(self):
            pass

    monkeypatch.setattr(sandbox, "_Process", Lost)
    with ClipReader(COUNT) as read:
        found = read_all(read, Path("a"), [Span(second) for second in range(50)])
    assert tried == [50, 1, 1, 1] and {codes(media.reason)[0] for media in found} == {"too_much_time"}


@pytest.mark.slow
def test_a_file_that_cannot_be_read_is_refused_for_each_part(tmp_path):
    with ClipReader(COUNT) as read:
        for reading in read.readings([(tmp_path / "absent.avi", span) for span in SECONDS_OF]):
            with pytest.raises(MediaError, match="No such file"):
                reading()
        assert read(write(tmp_path / "a.avi"), Span(1, 2)).status == status.OK


# --- the stage

RECIPE = {"stage": "decode", "options": COUNT.model_dump()}
ROWS = [  # clip, path, start, end: the ids are not in the order of the times
    ("a", "long.avi", "4", "5.5"), ("b", "other.avi", "", ""), ("c", "long.avi", "0", "1"), ("d", "talk.wav", "2", ""),
    ("e", "long.avi", "3.5", ""), ("f", "long.avi", "9", "12"),
]  # fmt: skip


@pytest.fixture
def corpus(tmp_path):
    write(tmp_path / "long.avi")
    write(tmp_path / "other.avi", 1, 2)
    write(tmp_path / "talk.wav", video=None)
    return tmp_path


def decoded(folder, rows=ROWS):
    """The rows of the stage's file, and how many requests there were."""
    asked, requests = [], sandbox.send_request
    table = pd.DataFrame(rows, columns=["clip", "path", "start", "end"], dtype=str)
    tables.write(table.assign(digest=["-".join(row) for row in rows]), folder / "shard.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "send_request", lambda *given: asked.append(given[1:]) or requests(*given))
        decode.run(RECIPE, folder, folder / "shard.csv", folder / "00.h5", folder / "00.status.h5")
    with Reader(folder / "00.h5") as reader, Reader(folder / "00.status.h5") as statuses:
        assert statuses.attributes["clips_digest"] == reader.attributes["clips_digest"]
        return {clip: reader[clip] for clip in reader.clips}, [(path.name, len(parts)) for path, parts, _ in asked]


def test_parts_of_a_file_come_together_by_their_ends():
    table = pd.DataFrame(ROWS, columns=["clip", "path", "start", "end"], dtype=str)
    assert in_order(table)["clip"].tolist() == ["c", "a", "f", "e", "b", "d"]
    assert spans_of(table)[3:5] == [Span(2.0), Span(3.5)] and spans_of(table)[1] is None
    plain = table[["clip", "path"]]
    assert in_order(plain) is plain and spans_of(plain) == [None] * 6


@pytest.mark.slow
def test_the_stage_decodes_each_file_once(corpus):
    found, asked = decoded(corpus)
    assert asked == [("long.avi", 4), ("other.avi", 0), ("talk.wav", 1)]
    assert {clip: row.status for clip, row in found.items()} == {
        "a": "ok", "b": "ok", "c": "ok", "d": "no_video", "e": "ok", "f": "undecodable",
    }  # fmt: skip
    assert text(found["f"].reason).startswith("The part is 9 s to 12 s, but the file ends at 6 s.")
    np.testing.assert_array_equal(found["a"].arrays["audio"], sound_of(4, 5.5))
    np.testing.assert_array_equal(found["d"].arrays["audio"], sound_of(2, 6))
    np.testing.assert_allclose(found["c"].arrays["time"], [0.1, 0.5, 0.8], atol=1e-6)


@pytest.mark.slow
def test_other_times_decode_one_clip_alone(corpus):
    before, _ = decoded(corpus)
    changed = [("c", "long.avi", "0.5", "1") if row[0] == "c" else row for row in ROWS]
    after, asked = decoded(corpus, changed)
    assert asked == [("long.avi", 1)]
    np.testing.assert_array_equal(after["c"].arrays["audio"], sound_of(0.5, 1))
    np.testing.assert_array_equal(after["a"].arrays["jpeg"], before["a"].arrays["jpeg"])


@pytest.mark.slow
def test_equal_bytes_whatever_was_reused(corpus):
    decoded(corpus, [row for row in ROWS if row[0] in "ae"])
    decoded(corpus)
    reused = (corpus / "00.h5").read_bytes()
    (corpus / "00.h5").unlink()
    decoded(corpus)
    assert (corpus / "00.h5").read_bytes() == reused
