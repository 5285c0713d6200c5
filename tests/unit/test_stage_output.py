"""Outputs in the making: what is taken over, what a job that breaks off leaves, and who may make a file."""

import contextlib
import errno
import fcntl
import os
import shutil
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest

from emopipe.cache import incremental, partial
from emopipe.cache.incremental import making
from emopipe.cache.status import FAILED, OK, UNREADABLE
from emopipe.cache.store import Field, Reader, Row, Writer
from emopipe.core.atomic import replacing
from emopipe.core.errors import CacheError
from emopipe.core.libraries import installed
from emopipe.workflow.job import job_log

FIELDS = {"x": Field("f4", (2,))}
RECIPE = {"stage": "test"}
CLIPS = {"a": "1", "b": "2", "c": "3", "d": "4"}


def row(clip, status=OK):
    value = np.full((3, 2), ord(clip), np.float32)
    return Row(clip, CLIPS[clip], status, "", {"x": value} if status == OK else {})


def run(path, *, breaks_at="", statuses=None, recipe=RECIPE, **noted):
    """A stage over all clips; the clips that it computed."""
    computed = []
    with making(path, FIELDS, stage="test", recipe=recipe, **noted) as made:
        for clip, digest in CLIPS.items():
            if clip == breaks_at:
                raise RuntimeError("broken off")
            if found := made.earlier(clip, digest):
                made.take(found)
            else:
                computed.append(clip)
                made.add(row(clip, (statuses or {}).get(clip, OK)))
    return computed


def parts(path):
    return path.parent / f".{path.stem}.parts"


def test_a_whole_file_is_taken_over_and_no_parts_stay(tmp_path):
    path = tmp_path / "00.h5"
    assert run(path) == list(CLIPS)
    before = path.read_bytes()
    assert run(path) == [] and path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["00.h5"]


@pytest.mark.parametrize("flush_seconds", [0.0, 1000.0])
def test_what_a_job_computed_before_it_broke_off_is_taken_over(tmp_path, monkeypatch, flush_seconds):
    monkeypatch.setattr(incremental, "FLUSH_SECONDS", flush_seconds)
    undisturbed, path = tmp_path / "other/00.h5", tmp_path / "00.h5"
    run(undisturbed)
    with pytest.raises(RuntimeError, match="broken off"):
        run(path, breaks_at="c")
    assert not path.exists() and list(parts(path).glob("*.h5"))
    assert run(path) == ["c", "d"]
    assert path.read_bytes() == undisturbed.read_bytes()
    assert not parts(path).exists()


def test_parts_are_flushed_when_they_are_large(tmp_path, monkeypatch):
    monkeypatch.setattr(incremental, "FLUSH_BYTES", 2 * 24)
    path = tmp_path / "00.h5"
    with making(path, FIELDS, stage="test", recipe=RECIPE) as made:
        for number, clip in enumerate(CLIPS, start=1):
            made.add(row(clip))
            assert len(list(parts(path).glob("*.h5"))) == number // 2


@pytest.mark.parametrize("change", [{"recipe": {"stage": "another"}}, {"device": "cuda"}])
def test_parts_of_another_recipe_or_device_are_not_taken_over(tmp_path, change):
    path = tmp_path / "00.h5"
    with pytest.raises(RuntimeError):
        run(path, breaks_at="d", **({"device": "cpu"} if "device" in change else {}))
    assert run(path, **change) == list(CLIPS)


def test_clips_that_failed_are_computed_again(tmp_path):
    path = tmp_path / "00.h5"
    assert run(path, statuses={"b": UNREADABLE, "c": FAILED, "d": "no_face"}) == list(CLIPS)
    assert run(path) == ["b", "c"]


def test_a_changed_clip_is_computed_again(tmp_path, monkeypatch):
    path = tmp_path / "00.h5"
    run(path)
    monkeypatch.setitem(CLIPS, "b", "another content")
    assert run(path) == ["b"]


def test_damaged_rows_and_parts_are_computed_again(tmp_path):
    path = tmp_path / "00.h5"
    run(path)
    content = bytearray(path.read_bytes())
    content[content.index(np.float32(ord("b")).tobytes() * 6)] ^= 1
    path.write_bytes(content)
    assert run(path) == ["b"]
    parts(path).mkdir()
    (parts(path) / "000000.h5").write_bytes(b"no part")
    path.unlink()
    assert run(path) == list(CLIPS)


def test_no_two_processes_make_one_file(tmp_path):
    path = tmp_path / "00.h5"
    parts(path).mkdir()
    with open(parts(path) / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CacheError, match=r"Another process is making .*00\.h5 at this moment"):
            run(path)
    assert run(path) == list(CLIPS)


def after_opening(monkeypatch, act):
    """Let `act` happen once, between the opening of the lock and its locking."""
    lock, acts = fcntl.flock, [act]

    def flock(file, operation):
        if acts:
            acts.pop()()
        lock(file, operation)

    monkeypatch.setattr(partial.fcntl, "flock", flock)


def test_a_lock_that_its_holder_removed_meanwhile_holds_nobody_off(tmp_path, monkeypatch):
    """The holder ends between another's opening and locking: a third process would lock a new file."""
    path = tmp_path / "00.h5"
    after_opening(monkeypatch, lambda: shutil.rmtree(parts(path)))
    with partial.partial_folder(path) as folder, open(folder / "lock") as third, pytest.raises(BlockingIOError):
        fcntl.flock(third, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not parts(path).exists()


def test_who_comes_after_another_that_locked_a_new_file_waits(tmp_path, monkeypatch):
    path, third = tmp_path / "00.h5", contextlib.ExitStack()
    lock = fcntl.flock

    def enter():
        shutil.rmtree(parts(path))
        parts(path).mkdir()
        file = third.enter_context((parts(path) / "lock").open("w"))
        lock(file, fcntl.LOCK_EX)

    after_opening(monkeypatch, enter)
    with third, pytest.raises(CacheError, match="Another process is making"):
        run(path)


def test_the_lock_is_removed_last(tmp_path, monkeypatch):
    """Once it is gone the next process may enter, whose files must not be removed."""
    path, held, unlink = tmp_path / "00.h5", [], os.unlink

    def spy(name, **keys):
        if Path(name).name.isdigit():
            held.append((parts(path) / "lock").exists())
        unlink(name, **keys)

    with partial.partial_folder(path) as folder:
        for number in range(20):
            (folder / str(number)).touch()
        monkeypatch.setattr(os, "unlink", spy)
    assert held == [True] * 20 and not parts(path).exists()


def test_rows_that_may_not_be_read_are_not_replaced(tmp_path, monkeypatch):
    path, real = tmp_path / "00.h5", h5py.File
    run(path)
    content = path.read_bytes()

    def refuse(given, *arguments, **keys):
        if given == path:
            raise PermissionError(errno.EACCES, "Unable to synchronously open file (unable to open file)")
        return real(given, *arguments, **keys)

    monkeypatch.setattr(h5py, "File", refuse)
    with pytest.raises(CacheError, match=r"00\.h5 cannot be read"):
        run(path)
    assert path.read_bytes() == content


def test_what_a_killed_process_was_about_to_rename_is_cleared_away(tmp_path):
    path = tmp_path / "00.h5"
    with replacing(path) as temporary:
        orphan = temporary.with_name(temporary.name.replace(".tmp", "1.tmp"))
        orphan.write_bytes(b"half")
        temporary.write_bytes(b"")
    path.unlink()
    run(path)
    assert not orphan.exists()


def test_many_parts_are_joined_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(incremental, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(incremental, "MOST_PARTS", 2)
    undisturbed, path = tmp_path / "other/00.h5", tmp_path / "00.h5"
    run(undisturbed)
    with pytest.raises(RuntimeError, match="broken off"):
        run(path, breaks_at="d")
    assert len(list(parts(path).glob("*.h5"))) == 3
    with pytest.raises(RuntimeError, match="broken off"):
        run(path, breaks_at="a")
    assert [part.name for part in parts(path).glob("*.h5")] == ["000003.h5"]
    assert run(path) == ["d"] and path.read_bytes() == undisturbed.read_bytes()


def test_a_part_is_a_file_of_the_cache(tmp_path):
    path = tmp_path / "00.h5"
    with pytest.raises(RuntimeError):
        run(path, breaks_at="c", device="cpu")
    (part,) = parts(path).glob("*.h5")
    with Reader(part) as reader:
        assert reader.clips == ["a", "b"] and reader.attributes["device"] == "cpu"


def test_the_first_failure_is_told_where_parts_cannot_be_kept_either(tmp_path, monkeypatch):
    class Full(Writer):
        def add(self, row):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(incremental, "Writer", Full)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path / "00.h5")


def test_a_job_that_is_asked_to_end_keeps_what_it_computed(tmp_path):
    path = tmp_path / "00.h5"
    with (
        pytest.raises(SystemExit) as ended,
        job_log(tmp_path / "log"),
        making(path, FIELDS, stage="test", recipe=RECIPE) as made,
    ):
        made.add(row("a"))
        os.kill(os.getpid(), signal.SIGTERM)
        made.add(row("b"))
    assert ended.value.code == 143 and "received SIGTERM" in (tmp_path / "log").read_text()
    assert run(path) == ["b", "c", "d"]


def test_rows_of_other_libraries_are_recorded(tmp_path):
    """With `library_changes: keep` a recipe names the versions that made the first rows; later rows say theirs."""
    recipe = {"libraries": {"h5py": "0.1"}}
    (version,) = installed(["h5py"]).values()
    for clips in (["a"], ["a", "b"], ["a"]):
        with making(tmp_path / "00.h5", {}, stage="s", recipe=recipe) as output:
            for clip in clips:
                if row := output.earlier(clip, "1"):
                    output.take(row)
                else:
                    output.add(Row(clip, "1", OK, "", {}))
        with Reader(tmp_path / "00.h5") as reader:
            assert reader.attributes["other_libraries"] == f"h5py {version}"
    with making(tmp_path / "01.h5", {}, stage="s", recipe={"libraries": {"h5py": version}}) as output:
        output.add(Row("a", "1", OK, "", {}))
    with Reader(tmp_path / "01.h5") as reader:
        assert "other_libraries" not in reader.attributes
