"""What an export reads of a finished run and its cache, and the folders that it writes."""

import shutil
import zipfile

import numpy as np
import pytest

from emopipe.commands.main import load
from emopipe.core import tables
from emopipe.core.errors import CacheError, ConfigError
from emopipe.core.notice import NOTICE
from emopipe.export import choice, formats, media_paths
from emopipe.export.clip import OUT_OF_FOLD, REPORTED, Video
from emopipe.export.contents import Contents
from emopipe.export.folders import NOTICE_FILE, file_name, new_folder
from emopipe.export.timeline import present, stretches
from emopipe.inference.run_results import load_run
from tests.export_runs import CLIPS, SIZE, TIMES, finished_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return finished_run(tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="module")
def clips(run):
    with Contents(run, features=True, needs_video=True) as contents:
        return {clip.id: clip for clip in contents.clips()}


@pytest.mark.slow
def test_no_clip_is_dropped(clips):
    assert list(clips) == CLIPS["clip"].tolist()
    assert {clip.id: clip.status for clip in clips.values() if clip.status != "ok"} == {
        "no_face": "no_face",
        "undecodable": "undecodable",
    }
    assert clips["no_face"].reason == "no_face: No face was found in 4 sampled frames."


@pytest.mark.slow
def test_labels_are_those_of_the_run_if_another_one_has_changed_the_clip_table(tmp_path, clips):
    run = finished_run(tmp_path)
    (path,) = tmp_path.glob("**/cache/*/clips.csv")
    tables.write(tables.read(path).assign(label="0.5;0.1"), path)
    with Contents(run) as contents:
        assert {clip.id: clip.label for clip in contents.clips()} == {clip.id: clip.label for clip in clips.values()}
        assert contents.remarks[0].startswith(f"{path} has other labels now")


def test_answers_are_reported_or_out_of_fold(clips):
    assert {clip.answers[0].source for clip in clips.values() if clip.split == "train"} == {OUT_OF_FOLD}
    assert {clip.answers[0].source for clip in clips.values() if clip.split != "train"} == {REPORTED}
    answer = clips["unlabelled"].answers[0]
    assert (answer.model, answer.pred, answer.covered) == ("ensemble", "Happy", True)
    assert answer.values["Happy"] == pytest.approx(0.4)
    assert not clips["no_face"].answers[0].covered


def test_faces_are_tracks(clips):
    (faces,) = clips["two <&> faces"].faces
    main, other = faces.tracks
    assert (main.is_main, main.frame.tolist(), main.time.tolist()) == (True, [0, 1, 3], TIMES[[0, 1, 3]].tolist())
    assert (other.is_main, other.frame.tolist(), other.score.tolist()) == (False, [1], [pytest.approx(0.8)])
    assert faces.frame_size == SIZE
    assert faces.shares(main.box)[0].tolist() == [0.25, 0.25, 0.5, 0.75]
    assert faces.shares(other.box)[0].tolist() == [0, 0, 0.25, 0.5]  # what is beside the picture is cut
    assert clips["no_face"].faces[0].tracks == [] and clips["no_face"].faces[0].time.tolist() == TIMES.tolist()


def test_attention_of_an_ensemble_is_that_of_its_members(clips, run):
    assert [(part.model, part.stream) for part in clips["part"].attention] == [("face_a", "net")]
    assert clips["no_face"].attention == []
    assert choice.with_attention(run, ["ensemble"]) == ["face_a"]


def test_vectors(clips):
    assert clips["part"].features["net"].x.shape == (4, 2)
    assert clips["undecodable"].features["net"].x.shape == (0, 2)


def test_headers_and_parts(clips):
    assert clips["unlabelled"].video.rate == pytest.approx(10)
    assert clips["unlabelled"].video.frames in (20, 21)  # the header of an AVI may count one too many
    assert clips["unlabelled"].seconds == pytest.approx(2, abs=0.2)
    assert (clips["part"].start, clips["part"].end, clips["part"].seconds) == (1, 3, 2)
    assert clips["undecodable"].video is None and clips["undecodable"].seconds is None


@pytest.mark.slow  # a process decodes
def test_sizes_of_frames_that_are_not_in_the_cache(tmp_path):
    run = finished_run(tmp_path)
    shutil.rmtree(tmp_path / "cache/own/media")
    with Contents(run, needs_video=True) as contents:
        assert {each.faces[0].frame_size for each in contents.clips() if each.faces[0].tracks} == {SIZE}
    shutil.rmtree(tmp_path / "clips")
    with Contents(run, needs_video=True) as contents:
        found = list(contents.clips())
    assert {(each.faces[0].frame_size, each.video) for each in found} == {(None, None)}
    assert {each.seconds for each in found if each.id == "unlabelled"} == {TIMES[-1]}


@pytest.mark.slow
def test_a_cache_without_faces_is_said(tmp_path):
    run = finished_run(tmp_path)
    shutil.rmtree(tmp_path / "cache/own/faces")
    with Contents(run) as contents:
        assert "no faces of the preset main" in contents.remarks[0]
        assert all(clip.faces == [] for clip in contents.clips())


def test_a_cache_that_is_not_that_of_the_run(tmp_path):
    run = finished_run(tmp_path)
    table = tmp_path / "cache/own/clips.csv"
    tables.write(CLIPS.iloc[1:], table)
    with pytest.raises(CacheError, match="happy%2Fs01 of the run small are not in"):
        Contents(run)
    table.unlink()
    with pytest.raises(CacheError, match="is missing"):
        Contents(run)


def test_ids_are_texts(tmp_path):
    run = finished_run(tmp_path)
    tables.write(CLIPS.iloc[:1].assign(clip="007"), tmp_path / "cache/own/clips.csv")
    tables.write(tables.read(run / "ledger.csv").iloc[:1].assign(clip="007"), run / "ledger.csv")
    with Contents(run) as contents:
        assert [clip.id for clip in contents.clips()] == ["007"]


def test_choice_of_models(run):
    results = load_run(run)
    assert choice.choose(results, []) == ["ensemble"]
    assert choice.choose(results, ["all"]) == ["ensemble", "face_a"]
    assert choice.choose(results, ["face_a", "face_a"]) == ["face_a"]
    with pytest.raises(ConfigError, match="all or one of ensemble, face_a"):
        choice.choose(results, ["face_b"])


# --- folders


def test_a_folder_appears_as_a_whole(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(RuntimeError), new_folder(out) as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with new_folder(out) as folder:
        (folder / "whole").touch()
    assert sorted(path.name for path in out.iterdir()) == [NOTICE_FILE, "whole"]
    assert (out / NOTICE_FILE).read_text() == f"{NOTICE}\n"
    with new_folder(out) as folder:
        pass
    assert [path.name for path in out.iterdir()] == [NOTICE_FILE]


def test_a_zip(tmp_path):
    for _ in range(2):  # the second one replaces the first one
        with new_folder(tmp_path / "out.zip") as folder:
            (folder / "whole").touch()
    assert sorted(zipfile.ZipFile(tmp_path / "out.zip").namelist()) == [NOTICE_FILE, "whole"]
    assert [path.name for path in tmp_path.iterdir()] == ["out.zip"]


def test_what_is_not_an_export_is_never_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").touch()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    for name in ("mine", "link", "mine/thesis.txt"):
        with pytest.raises(ConfigError, match=r"no earlier export wrote|a file or a link"), new_folder(tmp_path / name):
            pass
    assert (tmp_path / "mine/thesis.txt").exists()


def test_file_names_stay_in_their_folder(tmp_path):
    ids = ["a/b", "a%2Fb", "..", "../x", "/etc/passwd", "a\\b", "x\n", "é" * 300, "é" * 301]
    names = [file_name(clip, ".json") for clip in ids]
    assert len(set(names)) == len(ids)
    for name in names:
        (tmp_path / name).touch()
        assert (tmp_path / name).resolve().parent == tmp_path.resolve()


def test_places_of_clips(tmp_path):
    assert media_paths.relative(tmp_path / "clips", "s/a.mp4", tmp_path / "out/x") == "../../clips/s/a.mp4"
    assert media_paths.below("s3://bucket/clips", "a.mp4") == "s3://bucket/clips/a.mp4"


# --- time


def test_stretches_cover_the_clip():
    time = np.array([0.25, 0.75, 1.25, 1.75])
    assert stretches(time, 2.0).tolist() == [[0, 0.5], [0.5, 1.0], [1.0, 1.5], [1.5, 2.0]]
    assert stretches(np.empty(0), 2.0).shape == (0, 2)
    assert present(time, np.array([True, True, False, True]), 2.0) == [(0, 1.0), (1.5, 2.0)]


def test_numbers_of_frames():
    video = Video(rate=10.0, frames=20, seconds=2.0)
    assert [video.frame(time) for time in (0.0, 0.2, 1.9, 5.0)] == [1, 3, 20, 20]
    assert Video(rate=10.0, frames=20, seconds=2.5, origin=0.5).frame(0.7) == 3  # sound begins half a second earlier
    assert Video(None, 0, None).frame(1.0) == 1


# --- the command


def test_options_without_effect_are_refused(run, tmp_path):
    command = load("export")
    with pytest.raises(ConfigError, match="--features has no effect with --to elan"):
        command(["--to", "elan", "--out", str(tmp_path / "x"), "--features", str(run)], standalone_mode=False)


@pytest.mark.parametrize("name", formats.FORMATS)
def test_every_format_has_its_function(name):
    assert callable(formats.load(name).write)
