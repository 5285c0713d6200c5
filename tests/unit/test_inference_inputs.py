"""Which files inputs stand for, which windows a file has, and how it is read in parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.cache import status
from emopipe.core.errors import CorpusError
from emopipe.inference.inputs import expand
from emopipe.inference.windows import Grid, Timeline, ready
from emopipe.media.clip import read_clip
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions, Media
from emopipe.media.parts import read_parts
from emopipe.media.sandbox import PartReader
from tests.conftest import write_clip


@pytest.fixture
def folder(tmp_path):
    for name in ("b.mp4", "a.WAV", "c.jpg", "deep/d.webm", "notes.txt", ".hidden.mp4", "odd[1].mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(found, folder):
    return [str(name).removeprefix(f"{folder}/") for name in found]


def test_a_folder_stands_for_its_media(folder):
    assert names(expand(folder), folder) == ["a.WAV", "b.mp4", "c.jpg", "deep/d.webm", "odd[1].mp4"]


def test_a_pattern_stands_for_what_matches_and_a_file_with_brackets_for_itself(folder):
    assert names(expand(f"{folder}/*.mp4"), folder) == ["b.mp4", "odd[1].mp4"]
    assert names(expand(f"{folder}/odd[1].mp4"), folder) == ["odd[1].mp4"]
    assert names(expand(f"{folder}/**/*.webm"), folder) == ["deep/d.webm"]


def test_a_table_stands_for_its_paths(folder):
    (folder / "list.csv").write_text("\ufeffpath,label\nb.mp4,Happy\ndeep/d.webm,\n,Sad\n", encoding="utf-8")
    (folder / "list.tsv").write_text("clip\tpath\n1\tc.jpg\n")
    assert names(expand([folder / "list.csv", folder / "list.tsv"]), folder) == ["b.mp4", "deep/d.webm", "c.jpg"]


def test_a_file_is_named_once_and_need_not_exist(folder):
    given_twice = [f"{folder}/b.mp4", folder, f"{folder}/no.mp4"]
    assert names(expand(given_twice), folder) == ["b.mp4", "a.WAV", "c.jpg", "deep/d.webm", "odd[1].mp4", "no.mp4"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "No input was given"),
        (["{folder}/*.avi"], r"No file matches .*\.avi"),
        (["{folder}/empty"], "holds no video, image or sound file"),
        (["{folder}/none.csv"], "cannot be read"),
        (["{folder}/wrong.csv"], "has no column path. Its columns are: file, label"),
    ],
)
def test_what_is_refused(folder, inputs, message):
    (folder / "empty").mkdir()
    (folder / "wrong.csv").write_text("file,label\nb.mp4,Happy\n")
    with pytest.raises(CorpusError, match=message):
        expand([name.format(folder=folder) for name in inputs])


@pytest.mark.slow
@given(
    length=st.floats(0.1, 10),
    step=st.floats(0.05, 10),
    end=st.floats(0.01, 60),
    cuts=st.lists(st.floats(0, 60), max_size=5),
)
def test_windows_do_not_depend_on_the_parts_and_reach_the_end(length, step, end, cuts):
    grid = Grid(length, step)
    at_once = ready(grid, 0, end, is_last=True)
    found = []
    for cut in sorted(cut for cut in cuts if cut < end):
        found += ready(grid, len(found), cut, is_last=False)
    found += ready(grid, len(found), end, is_last=True)
    assert found == at_once and found
    assert all(begin == number * step for number, (begin, _) in enumerate(found))
    assert all(stop - begin <= length + 1e-6 and stop <= end + 1e-6 for begin, stop in found)
    # Only less than half a step at the end has no window; with a step longer than a window, pauses have none either.
    assert end - found[-1][1] <= max(step / 2, step - length) + 1e-6


@pytest.mark.slow
def test_a_whole_file_in_parts_is_the_file(tmp_path):
    path = write_clip(tmp_path / "clip.avi", seconds=3)
    options = DecodeOptions(policy="fps", fps=5)
    whole, parts = read_clip(path, options), list(read_parts(path, options, 0.8))
    assert [part.status for part in parts] == [status.PART] * 4 + [status.OK]
    assert [jpeg for part in parts for jpeg in part.jpegs] == whole.jpegs and len(whole.jpegs) == 16
    np.testing.assert_array_equal(np.concatenate([part.times for part in parts]), whole.times)
    np.testing.assert_array_equal(np.concatenate([part.audio for part in parts]), whole.audio)
    for number, part in enumerate(parts[:-1]):
        assert ((part.times >= number * 0.8) & (part.times < (number + 1) * 0.8)).all()
        assert abs(len(part.audio) / AUDIO_RATE - 0.8) < 0.02 or number == 3
    with PartReader(options, 0.8) as read:
        again = list(read(path))
    assert [part.jpegs for part in again] == [part.jpegs for part in parts]


@pytest.mark.parametrize(
    ("streams", "outcome"),
    [({"audio": None}, status.NO_AUDIO), ({"video": None, "audio": "pcm_s16le"}, status.NO_VIDEO)],
)
def test_parts_of_one_stream(tmp_path, streams, outcome):
    path = write_clip(tmp_path / ("clip.avi" if streams.get("video", 1) else "clip.wav"), seconds=2, **streams)
    *parts, last = read_parts(path, DecodeOptions(policy="fps", fps=5), 0.5)
    assert last.status == outcome and len(parts) == 4
    assert sum(len(part.jpegs) for part in parts) == (10 if outcome == status.NO_AUDIO else 0)
    assert (sum(len(part.audio) for part in parts) > 0) == (outcome == status.NO_VIDEO)


@pytest.mark.slow
def test_a_file_that_is_no_clip_has_one_answer(tmp_path):
    (tmp_path / "text.mp4").write_text("This is not a video.")
    with PartReader(DecodeOptions(policy="fps", fps=5), 1.0) as read:
        (last,) = read(tmp_path / "text.mp4")
        (missing,) = read(tmp_path / "nothing.mp4")
        *parts, whole = read(write_clip(tmp_path / "good.avi"))
    assert (last.status, missing.status, whole.status) == (status.UNDECODABLE, status.UNREADABLE, status.OK)
    assert len(parts) == 2  # the sound is a little longer than a second


def test_a_timeline_gives_each_window_its_frames_and_samples_and_forgets_the_past():
    timeline, searched = Timeline(), []

    def detect(jpegs):
        searched.extend(jpegs)
        return [jpeg.tobytes() for jpeg in jpegs]

    wave = np.arange(1, 2 * AUDIO_RATE + 1).astype(np.int16)
    for start in (0.0, 1.0):
        times = start + np.array([0.0, 0.25, 0.5, 0.75])
        audio = wave[round(start * AUDIO_RATE) :][:AUDIO_RATE]
        jpegs = [f"{time}".encode() for time in times]
        timeline.add(Media(status.PART, "", jpegs, times, audio, start), {"main": detect})
    assert len(searched) == 8 and timeline.end == 2.0
    media = timeline.media([(0.5, 1.5), (1.5, 2.5)])
    np.testing.assert_array_equal(media.field("0", "time"), [0.0, 0.25, 0.5, 0.75])  # a window is a clip of its own
    assert timeline.times((0.5, 1.5)) == [0.5, 0.75, 1.0, 1.25]
    np.testing.assert_array_equal(media.field("0", "audio"), wave[8000:24000])
    assert media.field("1", "audio_start").tolist() == [0.0] and len(media.field("1", "audio")) == 8000
    assert timeline.found("main", (0.5, 1.0)) == [b"0.5", b"0.75"]
    timeline.drop(1.5)
    again = timeline.media([(1.5, 2.5)])
    np.testing.assert_array_equal(again.field("0", "audio"), media.field("1", "audio"))
    assert timeline.found("main", (0.0, 9.0)) == [b"1.5", b"1.75"]
