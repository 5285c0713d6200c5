"""What becomes of clips that fail: rows or the end of the job, another try, and too few of them."""

import errno
import os
from pathlib import Path

import pandas as pd
import pytest

from emopipe.cache.failures import FailurePolicy
from emopipe.cache.status import FAILED, OK, UNREADABLE, text
from emopipe.cache.store import Field, Reader, Row, Writer, clips_digest
from emopipe.core import tables
from emopipe.core.atomic import set_aside
from emopipe.core.errors import CacheError, CoverageError, LittleMemoryError, MediaError, WeightsError
from emopipe.core.fingerprint import digest
from emopipe.media import files
from emopipe.stages import decode, merge
from emopipe.workflow.job import job_log
from emopipe.workflow.retry import retry_counter
from tests.conftest import write_clip
from tests.unit.test_memory import TOO_LITTLE_MEMORY

RECIPE = {"stage": "decode", "options": {"policy": "count", "count": 2}}


def fails(error):
    def compute():
        raise error

    return compute


# --- on_failure


@pytest.mark.parametrize(
    ("error", "status"), [(MediaError(Path("a.mp4"), "its disk is away"), UNREADABLE), (ValueError("odd"), FAILED)]
)
def test_keep_going_makes_a_failure_a_row(error, status):
    policy = FailurePolicy("keep_going")
    assert policy.row("a", "1", lambda: Row("a", "1", OK, "", {})).status == OK
    row = policy.row("b", "2", fails(error))
    assert (row.clip, row.digest, row.status, row.arrays) == ("b", "2", status, {})
    assert (error.why if status == UNREADABLE else str(error)) in text(row.reason)
    policy.check(0)


def test_what_the_system_refuses_is_no_clips_fault():
    for error in (OSError(24, "Too many open files"), RuntimeError("CUDA error: an illegal memory access")):
        with pytest.raises(type(error), match=str(error.args[-1])):
            FailurePolicy("keep_going").row("a", "1", fails(error))


@pytest.mark.parametrize("error", TOO_LITTLE_MEMORY)
def test_too_little_memory_ends_the_job_once_all_other_clips_are_tried(error):
    policy = FailurePolicy("keep_going")
    assert policy.row("a", "1", fails(error)).status == FAILED
    assert policy.row("b", "2", lambda: Row("b", "2", OK, "", {})).status == OK
    with pytest.raises(LittleMemoryError, match=r"The memory was too small for 1 of 2 clips: a \(.*run again"):
        policy.check(reused=10)
    with pytest.raises(LittleMemoryError, match="1 of 1 clips: a "):
        FailurePolicy("stop").row("a", "1", fails(error))


def test_many_clips_without_memory_are_not_all_named():
    policy = FailurePolicy("keep_going")
    for number in range(7):
        policy.row(f"c{number}", "", fails(MemoryError()))
    with pytest.raises(LittleMemoryError, match=r"7 of 7 clips: c0, c1, c2, c3, c4 and 2 more \(MemoryError: \)"):
        policy.check(0)


@pytest.mark.slow
def test_a_clip_without_memory_is_computed_by_the_next_run(shard, monkeypatch):
    read = decode.ClipReader.__call__
    asked = []

    def starved(self, path, *more):
        asked.append(path.name)
        if path.name == "a.avi" and len(asked) < 3:
            raise MemoryError("The decoder was killed (SIGKILL); perhaps the machine ran out of memory.")
        return read(self, path, *more)

    monkeypatch.setattr(decode.ClipReader, "__call__", starved)
    with pytest.raises(LittleMemoryError, match=r"1 of 2 clips: a .*was killed"):
        decoded(shard)
    assert not (shard / "00.h5").exists()
    assert decoded(shard) == {"a": OK, "b": OK} and asked == ["a.avi", "b.avi", "a.avi"]


def test_reasons_can_be_written_whatever_a_file_is_called():
    for error in (MediaError(Path("odd\udcff.mp4"), "odd\udcff"), ValueError("odd\udcff\nname")):
        FailurePolicy("keep_going").row("a", "1", fails(error)).reason.encode()


def test_stop_ends_the_job():
    with pytest.raises(ValueError, match="odd"):
        FailurePolicy("stop").row("a", "1", fails(ValueError("odd")))


def test_errors_that_are_not_the_clips_always_end_the_job():
    with pytest.raises(WeightsError):
        FailurePolicy("keep_going").row("a", "1", fails(WeightsError("missing")))


def after_failures(failed, well=0):
    """The policy of a job after so many clips that failed and so many that did not."""
    policy = FailurePolicy("keep_going")
    for number in range(failed):
        policy.row(f"bad {number}", "1", fails(ValueError(f"error {number}")))
    for number in range(well):
        policy.row(f"good {number}", "1", lambda: Row("good", "1", OK, "", {}))
    return policy


@pytest.mark.slow
@pytest.mark.parametrize(("failed", "well"), [(1, 0), (2, 0), (2, 1), (7, 0), (8, 1), (500, 1)])
def test_a_few_bad_clips_do_not_end_a_run_that_keeps_going(failed, well):
    after_failures(failed, well).check(0)


@pytest.mark.slow
@pytest.mark.parametrize("failed", [8, 500])
def test_where_all_of_many_clips_fail_it_is_not_the_clips(failed):
    with pytest.raises(ValueError, match="error 0"):
        after_failures(failed).check(0)
    after_failures(failed).check(reused=1)  # others went well, in an earlier run


# --- clips that cannot be read


@pytest.fixture
def shard(tmp_path):
    for name in ("a", "b"):
        write_clip(tmp_path / f"{name}.avi", seconds=0.4)
    rows = [{"clip": name, "path": f"{name}.avi", "digest": f"digest {name}"} for name in ("a", "b")]
    tables.write(pd.DataFrame(rows, dtype=str), tmp_path / "shard.csv")
    return tmp_path


def decoded(folder, **keys):
    """The statuses after decoding."""
    paths = folder / "shard.csv", folder / "00.h5", folder / "00.status.h5"
    decode.run(RECIPE, folder, *paths, **keys)
    with Reader(paths[1]) as media, Reader(paths[2]) as statuses:
        assert media.status == statuses.status
        return media.status


PATHS = {"a": "a.avi", "b": "b.avi"}


@pytest.mark.slow
def test_a_clip_that_cannot_be_read_is_tried_again_once_it_can_be(shard):
    (shard / "b.avi").rename(shard / "hidden")
    status_file = shard / "00.status.h5"
    assert retry_counter(status_file, shard, PATHS) == 0
    assert decoded(shard) == {"a": OK, "b": UNREADABLE}
    assert retry_counter(status_file, shard, PATHS) == 0  # it is still away: nothing is worth a try
    (shard / "hidden").rename(shard / "b.avi")
    assert retry_counter(status_file, shard, PATHS) == 1
    assert decoded(shard, retries=1) == {"a": OK, "b": OK}
    assert retry_counter(status_file, shard, PATHS) == 1  # as the job was told: it is not run again


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_could_never_be_read_is_not_tried_again_and_does_not_hold_up_planning(shard, kind):
    (shard / "b.avi").unlink()
    os.mkfifo(shard / "b.avi") if kind == "pipe" else (shard / "b.avi").symlink_to("/dev/zero")
    assert decoded(shard) == {"a": OK, "b": UNREADABLE}
    assert retry_counter(shard / "00.status.h5", shard, PATHS) == 0


@pytest.mark.slow
def test_a_file_whose_end_cannot_be_read_is_not_tried_again(shard, monkeypatch):
    (shard / "b.avi").rename(shard / "hidden")
    decoded(shard)
    (shard / "hidden").rename(shard / "b.avi")

    def fail(file, _most):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files.os, "read", fail)
    assert retry_counter(shard / "00.status.h5", shard, PATHS) == 0


@pytest.mark.slow
def test_several_clips_that_stay_unreadable_do_not_end_a_later_run(shard):
    table = tables.read(shard / "shard.csv")
    gone = pd.DataFrame([{"clip": n, "path": f"{n}.avi", "digest": f"digest {n}"} for n in ("c", "d")])
    tables.write(pd.concat([table, gone]), shard / "shard.csv")
    expected = {"a": OK, "b": OK, "c": UNREADABLE, "d": UNREADABLE}
    assert decoded(shard) == expected and decoded(shard) == expected


@pytest.mark.slow
def test_a_small_shard_of_bad_clips_is_decoded(shard):
    for name in ("a", "b"):
        (shard / f"{name}.avi").unlink()
    assert decoded(shard) == {"a": UNREADABLE, "b": UNREADABLE}


@pytest.mark.slow
def test_stop_keeps_what_was_decoded(shard):
    (shard / "b.avi").rename(shard / "hidden")
    with pytest.raises(MediaError, match=r"b\.avi cannot be read"):
        decoded(shard, on_failure="stop")
    assert not (shard / "00.h5").exists()
    with Reader(shard / ".00.parts/000000.h5") as part:
        assert part.status == {"a": OK}


@pytest.mark.slow
def test_a_clip_that_could_not_be_read_at_first_has_no_content_to_trust(shard):
    table = tables.read(shard / "shard.csv")
    table.loc[1, "digest"] = UNREADABLE
    tables.write(table, shard / "shard.csv")
    assert decoded(shard) == {"a": OK, "b": UNREADABLE}


# --- merging: whose features, and of how many clips


FEATURES = {"stage": "features"}
MERGE = {"stage": "merge", "features": digest(FEATURES)}


def features(path, statuses, recipe=FEATURES):
    with Writer(path, {"x": Field("f4", (1,))}, stage="features", recipe=recipe) as writer:
        for clip, status in statuses.items():
            writer.add(Row(clip, "", status, "too dark" if status != OK else "", {}))
        writer.note(**dict.fromkeys(merge.SAME, ""), **dict.fromkeys(merge.JOINED, ""))
    return path


def merged(folder, shards, **keys):
    clips = clips_digest(sorted((clip, "") for shard in shards for clip in shard))
    paths = [features(folder / "net" / f"{n}.h5", shard) for n, shard in enumerate(shards)]
    merge.run(MERGE, paths, folder / "net.h5", **{"clips": clips, **keys})


def test_too_few_clips_with_features_stop_the_run_with_their_list(tmp_path):
    shards = [{"a": OK, "b": "no_face"}, {"c": OK, "d": OK}]
    merged(tmp_path, shards, min_coverage=0.75)
    (tmp_path / "net.h5").unlink()
    with pytest.raises(CoverageError, match=r"3 of 4 clips have features of net.*0\.8.*\n  b: no_face, too dark$"):
        merged(tmp_path, shards, min_coverage=0.8)
    assert not (tmp_path / "net.h5").exists()


@pytest.mark.parametrize(("good", "total"), [(93, 100), (68, 100), (1, 3), (29, 50)])
def test_exactly_the_share_that_is_asked_for_is_enough(tmp_path, good, total):
    shard = {f"{n:03d}": OK if n < good else "no_face" for n in range(total)}
    merged(tmp_path, [shard], min_coverage=good / total)
    with pytest.raises(CoverageError):
        merged(tmp_path, [shard], min_coverage=(good + 0.01) / total)


def test_shards_of_other_clips_or_another_recipe_are_refused(tmp_path):
    with pytest.raises(CacheError, match="do not match the current corpus"):
        merged(tmp_path, [{"a": OK}], clips=clips_digest([("b", "")]))
    path = features(tmp_path / "0.h5", {"a": OK}, recipe={"stage": "features", "lr": 2})
    with pytest.raises(CacheError, match=r"0\.h5 was made with other options, code or weights"):
        merge.run(MERGE, [path], tmp_path / "net.h5", clips=clips_digest([("a", "")]))


# --- what a job says at its end


def test_a_damaged_file_is_told_of_and_put_out_of_the_way(tmp_path, capsys):
    path = tmp_path / "00.h5"
    path.write_bytes(b"no cache file")
    with pytest.raises(SystemExit), job_log(tmp_path / "log"):
        Reader(path)
    assert not path.exists() and (tmp_path / "00.h5.damaged").read_bytes() == b"no cache file"
    assert "00.h5 is damaged" in (tmp_path / "log").read_text() and "Traceback" not in capsys.readouterr().err
    assert set_aside(path) == tmp_path / "00.h5.damaged"  # gone already, as another job did it


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "free some space"),
        (PermissionError(13, "Permission denied"), "permission to"),
    ],
)
def test_what_the_system_refuses_is_a_sentence(tmp_path, error, said):
    with pytest.raises(SystemExit), job_log(tmp_path / "log"):
        raise error
    text = (tmp_path / "log").read_text()
    assert said in text and str(error) in text and "Traceback" not in text
