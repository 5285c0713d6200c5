"""The cache's file format."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from emopipe import __version__
from emopipe.cache import store
from emopipe.cache.store import (
    CHUNK_BYTES,
    SUM_BYTES,
    Field,
    Reader,
    Row,
    Writer,
    attributes,
    clips_digest,
    content_digest,
    made_by,
    relabel,
    stands_for,
)
from emopipe.commands import verify
from emopipe.commands.main import app
from emopipe.core.atomic import replacing
from emopipe.core.errors import CacheError, DamagedCacheError
from emopipe.core.fingerprint import digest, recipe_text
from tests.conftest import too_many_open_files

FIELDS = {"x": Field("f4", (3,)), "bytes": Field("u1")}
RECIPE = {"stage": "test", "lr": 0.1}


def rows():
    rng = np.random.default_rng(0)
    return [
        Row("a", "d1", "ok", "", {"x": rng.normal(size=(4, 3)).astype("f4"), "bytes": np.arange(5, dtype="u1")}),
        Row("ünïcode clip", "d2", "no_face", "no face — none", {}),
        Row("c", "d3", "ok", "", {"x": rng.normal(size=(1, 3)).astype("f4")}),
    ]


def write(path, content=None, recipe=RECIPE):
    with Writer(path, FIELDS, stage="test", recipe=recipe) as writer:
        for row in rows() if content is None else content:
            writer.add(row)
        writer.note(device="cpu")
    return path


def test_what_is_written_is_read(tmp_path):
    with Reader(write(tmp_path / "a.h5")) as reader:
        assert reader.clips == ["a", "ünïcode clip", "c"]
        for row, found in zip(rows(), reader.rows(), strict=True):
            assert (found.clip, found.digest, found.status, found.reason) == (
                row.clip,
                row.digest,
                row.status,
                row.reason,
            )
            for name, field in FIELDS.items():
                expected = row.arrays.get(name, np.empty((0, *field.row), field.dtype))
                np.testing.assert_array_equal(found.arrays[name], expected)
                assert found.arrays[name].dtype == field.dtype
        data, offsets = reader.flat("x")
        assert data.shape == (5, 3)
        assert offsets.tolist() == [0, 4, 4, 5]
        assert reader.attributes["device"] == "cpu"
        assert reader.fields == {"x": Field("<f4", (3,)), "bytes": Field("|u1")}
        assert "c" in reader and "b" not in reader


def test_no_clips(tmp_path):
    with Reader(write(tmp_path / "a.h5", [])) as reader:
        assert reader.clips == []
        assert reader.flat("x")[0].shape == (0, 3)


@pytest.mark.slow
def test_equal_content_equal_bytes(tmp_path):
    first = write(tmp_path / "a.h5").read_bytes()
    time.sleep(1.1)  # time stamps of HDF5 have a resolution of a second
    assert write(tmp_path / "b.h5").read_bytes() == first


def test_absent_after_a_failure(tmp_path):
    path = tmp_path / "a.h5"
    with pytest.raises(RuntimeError), Writer(path, FIELDS, stage="test", recipe=RECIPE) as writer:
        writer.add(rows()[0])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    write(path)
    before = path.read_bytes()
    with (
        pytest.raises(ValueError, match="Rows of x"),
        Writer(path, FIELDS, stage="test", recipe=RECIPE) as writer,
    ):
        writer.add(Row("a", "d", "ok", "", {"x": np.zeros((2, 4), "f4")}))
    assert path.read_bytes() == before  # what stood there stands there still


def test_an_unknown_field_is_refused(tmp_path):
    with pytest.raises(KeyError, match="y"), Writer(tmp_path / "a.h5", FIELDS, stage="test", recipe=RECIPE) as writer:
        writer.add(Row("a", "d", "ok", "", {"y": np.zeros(2)}))


def test_made_by(tmp_path):
    path = write(tmp_path / "a.h5")
    clips = clips_digest(sorted((row.clip, row.digest) for row in rows()))
    assert made_by(path, RECIPE)
    assert made_by(path, {"lr": 0.1, "stage": "test"})  # the order of keys does not count
    assert not made_by(path, {**RECIPE, "lr": 0.2})
    assert stands_for(path, RECIPE, clips)
    assert not stands_for(path, RECIPE, clips_digest([("a", "d1")]))
    assert not made_by(tmp_path / "absent.h5", RECIPE)
    (tmp_path / "text.h5").write_text("no HDF5")
    assert not made_by(tmp_path / "text.h5", RECIPE)


def test_what_is_no_cache_file_is_refused(tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    path = write(tmp_path / "schema.h5")
    with h5py.File(path, "a") as file:
        file.attrs["schema"] = 99
    whole = write(tmp_path / "whole.h5").read_bytes()
    (tmp_path / "half.h5").write_bytes(whole[: len(whole) // 2])
    for name in ("absent", "text", "other", "schema", "half"):
        with pytest.raises(CacheError, match=f"{name}.h5"):
            Reader(tmp_path / f"{name}.h5")


@pytest.mark.slow
@pytest.mark.parametrize("where", range(0, 100, 7))
def test_no_damaged_byte_goes_unseen(tmp_path, where):
    """Of the data itself, every one; of the rest, none gives other rows than were written."""
    path = write(tmp_path / "a.h5")
    with Reader(path) as reader:
        expected = [(row.clip, row.status, row.arrays["x"].tobytes()) for row in reader.rows()]
    content = bytearray(path.read_bytes())
    content[len(content) * where // 100] ^= 0x55
    path.write_bytes(content)
    try:
        with Reader(path) as reader:
            found = [(row.clip, row.status, row.arrays["x"].tobytes()) for row in reader.rows()]
    except CacheError:
        return
    assert found == expected


@pytest.mark.parametrize(
    "read",
    [lambda r: r["a"], lambda r: r.field("a", "bytes"), lambda r: r.flat("bytes")],
    ids=["clip", "field", "flat"],
)
def test_damaged_data_is_told(tmp_path, read):
    path = write(tmp_path / "a.h5")
    content = bytearray(path.read_bytes())
    content[content.index(np.arange(5, dtype="u1").tobytes()) + 2] ^= 1
    path.write_bytes(content)
    with Reader(path) as reader:
        assert len(reader.field("a", "x")) == 4  # the other field is whole
        with pytest.raises(DamagedCacheError, match=r"a\.h5 is damaged: bytes of the clip a is not what was written"):
            read(reader)


@pytest.mark.parametrize("block", [1, 20, 1 << 23], ids=["clip by clip", "two clips", "all"])
def test_a_file_appended_to_another_is_as_if_its_clips_were_added(tmp_path, monkeypatch, block):
    monkeypatch.setattr(store, "BLOCK_BYTES", block)
    more = [replace(row, clip=f"{row.clip} 2") for row in rows()]
    parts, joined = [write(tmp_path / "a.h5"), write(tmp_path / "b.h5", more), write(tmp_path / "c.h5", [])], []
    with Writer(tmp_path / "joined.h5", FIELDS, stage="test", recipe=RECIPE) as writer:
        for path in parts:
            with Reader(path) as reader:
                writer.append(reader)
                joined += list(reader.rows())
    assert [row.clip for row in joined] == [row.clip for row in [*rows(), *more]]
    one_by_one = write(tmp_path / "added.h5", joined)
    assert content_digest(tmp_path / "joined.h5") == content_digest(one_by_one)
    with Reader(tmp_path / "joined.h5") as reader, Reader(one_by_one) as expected:
        for name in FIELDS:
            for found, wanted in zip(reader.flat(name), expected.flat(name), strict=True):
                np.testing.assert_array_equal(found, wanted)


def test_a_damaged_file_is_not_appended(tmp_path):
    path = write(tmp_path / "a.h5")
    content = bytearray(path.read_bytes())
    content[content.index(np.arange(5, dtype="u1").tobytes()) + 2] ^= 1
    path.write_bytes(content)
    with (
        pytest.raises(DamagedCacheError, match=r"a\.h5 is damaged: bytes of the clip a is not what was written"),
        Reader(path) as reader,
        Writer(tmp_path / "joined.h5", FIELDS, stage="test", recipe=RECIPE) as writer,
    ):
        writer.append(reader)
    assert not (tmp_path / "joined.h5").exists()


@pytest.mark.parametrize("fields", [{"x": FIELDS["x"]}, {**FIELDS, "x": Field("f4", (4,))}], ids=["names", "shape"])
def test_a_file_of_other_fields_is_not_appended(tmp_path, fields):
    with (
        pytest.raises(ValueError, match="expected"),
        Reader(write(tmp_path / "a.h5")) as reader,
        Writer(tmp_path / "joined.h5", fields, stage="test", recipe=RECIPE) as writer,
    ):
        writer.append(reader)


def test_only_what_the_recipe_made_is_read_where_one_is_asked_for(tmp_path):
    path = write(tmp_path / "a.h5")
    Reader(path, digest(RECIPE))
    with pytest.raises(CacheError, match=r"a\.h5 was made with other options, code or weights"):
        Reader(path, digest({**RECIPE, "lr": 0.2}))


def test_a_file_that_the_system_cannot_open_just_now_is_not_called_damaged(tmp_path):
    path = write(tmp_path / "00.h5")
    with too_many_open_files(), pytest.raises(OSError, match="Too many open files") as refusal:
        Reader(path)
    assert refusal.value.errno == errno.EMFILE


LOCKING = "Unable to synchronously open file (unable to lock file, errno = {0}, error message = '{1}')"
READING = "\"Can't open object (file read failed: time = now, filename = 'a.h5', errno = {0}, error message = '{1}')\""


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EAGAIN, errno.ENOSYS, errno.EIO, errno.ESTALE, errno.EREMOTEIO])
@pytest.mark.parametrize("kind", [OSError, KeyError, RuntimeError], ids=lambda kind: kind.__name__)
def test_what_the_system_refuses_is_no_damage_whatever_h5py_raises(tmp_path, monkeypatch, number, kind):
    """Only some of HDF5's errors are an OSError with a number; the others have it in their text alone."""
    path, text = write(tmp_path / "a.h5"), os.strerror(number)

    def refuse(*_, **__):
        raise OSError(number, LOCKING.format(number, text)) if kind is OSError else kind(READING.format(number, text))

    monkeypatch.setattr(h5py, "File", refuse)
    for read in (Reader, attributes, lambda path: made_by(path, RECIPE)):
        with pytest.raises(OSError, match=text) as refusal:
            read(path)
        assert refusal.value.errno == number


def test_a_file_that_may_not_be_read_is_neither_damaged_nor_missing(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Unable to synchronously open file (unable to open file)")

    path = write(tmp_path / "a.h5")
    monkeypatch.setattr(h5py, "File", refuse)
    for read in (Reader, attributes, lambda path: made_by(path, RECIPE)):
        with pytest.raises(
            CacheError, match=r"a\.h5 cannot be read \(Permission denied\)\. Make it readable"
        ) as refusal:
            read(path)
        assert not isinstance(refusal.value, DamagedCacheError)


def test_a_file_is_read_and_relabelled_while_it_is_locked(tmp_path):
    """On a file system without locks, every lock fails. Files are replaced as a whole, so none is needed."""
    path = write(tmp_path / "a.h5")
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with Reader(path) as reader:
            assert reader["a"].status == "ok"
        assert made_by(path, RECIPE)
        relabel(path, {"stage": "another"})
        assert made_by(path, {"stage": "another"})


NO_LOCKS = """
#include <errno.h>
int flock(int file, int operation) { (void)file; (void)operation; errno = ENOLCK; return -1; }
"""
TWICE = """
import sys
from pathlib import Path
import numpy as np
from emopipe.cache.incremental import making
from emopipe.cache.store import Field, Reader, Row
path = Path(sys.argv[1])
for _ in range(2):
    with making(path, {"x": Field("f4", (3,))}, stage="test", recipe={}) as output:
        row = output.earlier("a", "1")
        if row:
            output.take(row)
        else:
            output.add(Row("a", "1", "ok", "", {"x": np.ones((2, 3), "f4")}))
with Reader(path) as reader:
    print(output.computed, output.taken, reader["a"].arrays["x"].sum())
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc, which makes a flock that fails")
def test_a_file_system_without_locks_can_hold_a_cache(tmp_path):
    (tmp_path / "no_locks.c").write_text(NO_LOCKS)
    library = tmp_path / "no_locks.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "no_locks.c"], check=True)
    path = tmp_path / "a.h5"
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    run = subprocess.run([sys.executable, "-c", TWICE, path], capture_output=True, text=True, env=environment)
    assert (run.returncode, run.stdout) == (0, "0 1 6.0\n"), run.stderr
    assert run.stderr.count("cannot be locked (No locks available). Make sure that no other run makes") == 2


def test_a_format_that_this_hdf5_does_not_know_is_no_damage(tmp_path):
    path = write(tmp_path / "a.h5")
    content = bytearray(path.read_bytes())
    content[8] = 99  # the version of the superblock, the first number of every HDF5 file
    path.write_bytes(content)
    with pytest.raises(
        CacheError, match=r"a\.h5 has a format that h5py .* does not know .*install that one"
    ) as refusal:
        Reader(path)
    assert not isinstance(refusal.value, DamagedCacheError)


def test_an_h5py_that_reads_nothing_says_nothing_of_a_file(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise TypeError("File.__init__() got an unexpected keyword argument")

    path = write(tmp_path / "a.h5")
    monkeypatch.setattr(h5py, "File", fail)
    with pytest.raises(CacheError, match=r"cannot read .*a\.h5 .*a file that it wrote itself") as refusal:
        Reader(path)
    assert not isinstance(refusal.value, DamagedCacheError) and "Install h5py again" in str(refusal.value)


def test_a_missing_file_is_not_called_damaged(tmp_path):
    with pytest.raises(CacheError, match="does not exist") as found:
        Reader(tmp_path / "a.h5")
    assert not isinstance(found.value, DamagedCacheError)


def dangling(file):
    """A group that h5py gives as None."""
    file["fields/ghost"] = h5py.SoftLink("/nowhere")


def no_group(file):
    del file["fields"]
    file["fields"] = 1


def endless(file):
    """More rows than any memory holds, as a flipped bit of a length makes them."""
    del file["fields/bytes/offsets"]
    file.create_dataset("fields/bytes/offsets", (1 << 59,), "i8", chunks=(1024,))


@pytest.mark.parametrize("damage", [dangling, no_group, endless])
def test_whatever_h5py_stumbles_over_is_damage(tmp_path, damage):
    write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        damage(file)
    with pytest.raises(DamagedCacheError, match=r"a\.h5 is damaged: it is not a whole cache file"):
        Reader(tmp_path / "a.h5")


@pytest.mark.parametrize("error", [MemoryError(), np._core._exceptions._ArrayMemoryError((5, 4), np.dtype("u1"))])
def test_too_little_memory_is_no_damage(tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    write(tmp_path / "a.h5")
    with Reader(tmp_path / "a.h5") as reader:
        monkeypatch.setattr(h5py.Dataset, "__getitem__", fail)
        for read in (lambda: reader["a"], lambda: reader.flat("bytes")):
            with pytest.raises(MemoryError):
                read()


def test_verify_leaves_files_that_the_system_cannot_read_just_now(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, "Input/output error")

    write(tmp_path / "00.h5")
    monkeypatch.setattr(verify, "Reader", refuse)
    result = CliRunner().invoke(app, ["verify", str(tmp_path)])
    assert result.exit_code == 1 and result.exception.code == 1
    assert "00.h5 cannot be read (Input/output error). It may be intact" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["00.h5"]


def test_verify_leaves_alone_what_a_job_is_writing(tmp_path):
    write(tmp_path / "00.h5")
    write(tmp_path / ".01.parts/000000.h5")
    with replacing(tmp_path / "01.h5") as whole, replacing(tmp_path / ".01.parts/000001.h5") as part:
        for half in (whole, part):
            half.write_bytes(b"half")
        result = CliRunner().invoke(app, ["verify", str(tmp_path)])
    assert result.exit_code == 0 and "2 of 2 files are intact" in result.output
    assert {path.name for path in tmp_path.rglob("*.h5")} == {"00.h5", "000000.h5", "01.h5", "000001.h5"}


def test_verify_tells_nothing_of_parts_that_a_job_removes_meanwhile(tmp_path, monkeypatch):
    write(tmp_path / "00.h5")

    def vanish(path):
        path.unlink()
        return Reader(path)

    monkeypatch.setattr(verify, "Reader", vanish)
    result = CliRunner().invoke(app, ["verify", str(tmp_path)])
    assert result.exit_code == 0 and "does not exist" not in result.output


def test_verify_puts_damaged_parts_aside(tmp_path):
    path = tmp_path / ".01.parts/000000.h5"
    write(path)
    path.write_bytes(path.read_bytes()[:-100])
    result = CliRunner().invoke(app, ["verify", str(tmp_path)])
    assert result.exit_code == 1 and [file.name for file in path.parent.iterdir()] == ["000000.h5.damaged"]


def test_verify_puts_damaged_files_aside(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"cache/{name}.h5")
    result = CliRunner().invoke(app, ["verify", str(tmp_path / "cache")])
    assert result.exit_code == 0 and "2 of 2 files are intact" in result.output
    path = tmp_path / "cache/b.h5"
    content = bytearray(path.read_bytes())
    content[content.index(np.arange(5, dtype="u1").tobytes()) + 2] ^= 1
    path.write_bytes(content)
    result = CliRunner().invoke(app, ["verify", str(tmp_path / "cache")])
    assert result.exit_code == 1 and "1 of 2 files are intact" in result.output and "b.h5 is damaged" in result.output
    assert sorted(file.name for file in (tmp_path / "cache").iterdir()) == ["a.h5", "b.h5.damaged"]
    assert CliRunner().invoke(app, ["verify", str(tmp_path / "nothing")]).exit_code == 1


# --- sizes, digests, and files that get another recipe

OTHER = {"stage": "test", "lr": 0.2}


def test_the_bytes_of_a_field_are_those_of_its_rows(tmp_path):
    with Reader(write(tmp_path / "a.h5")) as reader:
        assert (reader.field_bytes("x"), reader.field_bytes("bytes")) == ((4 + 1) * 3 * 4, 5)


def test_rows_that_were_dropped_are_asked_for_with_a_remedy(tmp_path):
    with Writer(tmp_path / "a.h5", FIELDS, stage="test", recipe=RECIPE) as writer:
        for row in rows():
            writer.add(row)
        writer.note(dropped="bytes")
    with Reader(tmp_path / "a.h5") as reader:
        assert reader.field("a", "x").shape == (4, 3)
        with pytest.raises(CacheError) as caught:
            reader.field("a", "bytes")
    assert str(caught.value) == (
        f"The pictures in {tmp_path / 'a.h5'} were dropped by `emopipe cache --faces`, but this job needs them. Delete "
        "the file and run again, which makes it again."
    )


def test_the_content_digest_follows_the_clips_and_their_data_alone(tmp_path):
    file = write(tmp_path / "a.h5")
    assert content_digest(file) == content_digest(write(tmp_path / "b.h5", recipe=OTHER), digest(OTHER))
    changed = [Row("a", "d1", "ok", "", {"x": np.zeros((4, 3), "f4")}), *rows()[1:]]
    assert content_digest(write(tmp_path / "c.h5", changed)) != content_digest(file)
    with pytest.raises(CacheError, match="was made with other options"):
        content_digest(file, digest(OTHER))


@pytest.mark.parametrize("digests", [None, {"a": "new"}])
def test_relabelling_changes_what_made_a_file_and_not_its_data(tmp_path, digests):
    file = write(tmp_path / "a.h5")
    os.utime(file, ns=(1_000, 2_000))
    before, found = attributes(file), [*Reader(file).rows()]
    relabel(file, OTHER, digests=digests, device="gpu")
    # 1. What made it: as if the other recipe had written clips of these digests.
    expected = [Row(r.clip, (digests or {}).get(r.clip, r.digest), r.status, r.reason, r.arrays) for r in rows()]
    whole = attributes(write(tmp_path / "b.h5", expected, OTHER))
    assert attributes(file) == {**whole, "device": "gpu"} and before["recipe"] != whole["recipe"]
    assert made_by(file, OTHER) and not made_by(file, RECIPE)
    assert stands_for(file, OTHER, clips_digest(sorted((row.clip, row.digest) for row in expected)))
    # 2. Its data and its times.
    with Reader(file, digest(OTHER)) as reader:
        assert reader.digest == {row.clip: row.digest for row in expected}
        for row in found:
            assert (reader.status[row.clip], reader.reason[row.clip]) == (row.status, row.reason)
            for name, array in row.arrays.items():
                np.testing.assert_array_equal(reader[row.clip].arrays[name], array)
    assert file.stat().st_mtime_ns == 2_000


# --- the layout, which other programs read


def test_the_layout_of_a_file(tmp_path):
    """Attributes, groups, types and the HDF5 format: other programs read these files, too."""
    with h5py.File(write(tmp_path / "a.h5"), "r") as file:
        assert set(file.attrs) == {
            "schema", "package", "stage", "recipe", "recipe_digest", "clips_digest", "index_digest", "device"
        }  # fmt: skip
        assert (file.attrs["package"], file.attrs["stage"]) == (__version__, "test")
        assert file.attrs["recipe"] == recipe_text(RECIPE) and file.attrs["recipe_digest"] == digest(RECIPE)
        assert set(file) == {"clips", "fields"} and set(file["fields/x"]) == {"data", "offsets", "sums"}
        assert file["clips/id"][:].tolist() == [b"a", "ünïcode clip".encode(), b"c"]
        assert all(file[f"clips/{name}"].dtype.kind == "S" for name in ("id", "digest", "status", "reason"))
        assert file["fields/x/offsets"][:].tolist() == [0, 4, 4, 5] and file["fields/x/offsets"].dtype == "<i8"
        assert file["fields/x/sums"].shape == (3, SUM_BYTES) and file["fields/x/data"].dtype == "<f4"
        assert file["fields/x/data"].chunks == (CHUNK_BYTES // 12, 3)
        assert file["fields/bytes/data"].chunks == (CHUNK_BYTES,)
        assert file.id.get_create_plist().get_version()[0] >= 2  # libver="latest"
    with Writer(tmp_path / "none.h5", {}, stage="test", recipe=RECIPE) as writer:
        writer.add(Row("a", "d", "ok", "", {}))
    with h5py.File(tmp_path / "none.h5", "r") as file:
        assert set(file) == {"clips", "fields"} and len(file["fields"]) == 0


def test_a_row_larger_than_a_chunk_has_a_chunk_of_its_own(tmp_path):
    field = Field("f8", (CHUNK_BYTES // 8 + 1,))
    with Writer(tmp_path / "a.h5", {"x": field}, stage="test", recipe=RECIPE) as writer:
        writer.add(Row("a", "d", "ok", "", {"x": np.ones((2, *field.row))}))
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert file["fields/x/data"].chunks == (1, *field.row)


def test_rows_are_stored_in_the_type_of_their_field(tmp_path):
    with Writer(tmp_path / "a.h5", FIELDS, stage="test", recipe=RECIPE) as writer:
        writer.add(Row("a", "d", "ok", "", {"x": np.arange(6).reshape(2, 3)}))  # whole numbers
    with Reader(tmp_path / "a.h5") as reader:
        assert reader["a"].arrays["x"].dtype == np.float32 and reader["a"].arrays["x"].tolist() == [
            [0, 1, 2],
            [3, 4, 5],
        ]


def test_rows_of_another_shape_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^Rows of x of the clip a are \(2,\), expected \(3,\)\.$"):
        write(tmp_path / "a.h5", [Row("a", "d", "ok", "", {"x": np.zeros((4, 2), "f4")})])
    assert not (tmp_path / "a.h5").exists()


def test_what_is_gathered_is_written_a_chunk_at_a_time(tmp_path, monkeypatch):
    """Memory is bounded: at most a chunk of rows waits."""
    monkeypatch.setattr("emopipe.cache.store.CHUNK_BYTES", 4)
    sizes = []
    with Writer(tmp_path / "a.h5", {"bytes": Field("u1")}, stage="test", recipe=RECIPE) as writer:
        for number in range(5):
            writer.add(Row(str(number), "d", "ok", "", {"bytes": np.full(2, number, "u1")}))
            sizes.append(len(writer._data["bytes"]))
    assert sizes == [0, 4, 4, 8, 8]
    with Reader(tmp_path / "a.h5") as reader:
        assert reader.flat("bytes")[0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize("change", ["status", "reason", "offsets", "data"])
def test_the_content_digest_sees_every_part(tmp_path, change):
    x = np.arange(6, dtype="f4").reshape(2, 3)
    two = [Row("a", "d", "ok", "why", {"x": x[:1]}), Row("b", "d", "ok", "", {"x": x[1:]})]
    other = {
        "status": [Row("a", "d", "no_face", "why", {"x": x[:1]}), two[1]],
        "reason": [Row("a", "d", "ok", "because", {"x": x[:1]}), two[1]],
        "offsets": [Row("a", "d", "ok", "why", {"x": x}), Row("b", "d", "ok", "", {})],
        "data": [two[0], Row("b", "d", "ok", "", {"x": x[1:] + 1})],
    }[change]
    digests = [content_digest(write(tmp_path / f"{n}.h5", rows)) for n, rows in enumerate((two, two, other))]
    assert digests[0] == digests[1] != digests[2]


def test_a_table_of_clips_that_was_changed_is_damage_with_the_files_name(tmp_path):
    file = write(tmp_path / "a.h5")
    with h5py.File(file, "r+") as opened:
        opened["clips/status"][0] = b"no"
    with pytest.raises(DamagedCacheError) as caught:
        Reader(file)
    assert str(file) in str(caught.value) and "its table of clips is not what was written" in str(caught.value)


def test_a_failure_while_a_file_is_finished_leaves_the_old_one(tmp_path, monkeypatch):
    file = write(tmp_path / "a.h5")
    before = file.read_bytes()
    monkeypatch.setattr(Writer, "_finish", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(file)
    assert file.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["a.h5"]
