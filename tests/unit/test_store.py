"""The cache's file format."""

import contextlib
import errno
import os
import resource
import time

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from emopipe.cache.store import Field, Reader, Row, Writer, clips_digest, made_by, stands_for
from emopipe.commands import verify
from emopipe.commands.main import app
from emopipe.core.atomic import replacing
from emopipe.core.errors import CacheError, DamagedCacheError
from emopipe.core.fingerprint import digest

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
    clips = clips_digest([(row.clip, row.digest) for row in rows()])
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


def test_only_what_the_recipe_made_is_read_where_one_is_asked_for(tmp_path):
    path = write(tmp_path / "a.h5")
    Reader(path, digest(RECIPE))
    with pytest.raises(CacheError, match=r"a\.h5 was made with other options, code or weights"):
        Reader(path, digest({**RECIPE, "lr": 0.2}))


def test_a_file_that_the_system_cannot_open_just_now_is_not_called_damaged(tmp_path):
    path = write(tmp_path / "00.h5")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, before[1]))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        with contextlib.suppress(OSError):
            while True:
                stack.enter_context(open(os.devnull))
        with pytest.raises(OSError, match="Too many open files") as refusal:
            Reader(path)
    assert refusal.value.errno == errno.EMFILE


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
