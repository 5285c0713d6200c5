import hashlib
import os
from pathlib import Path

import pytest

from emopipe.corpora import digests
from emopipe.corpora.table import from_rows


@pytest.fixture
def corpus(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    for clip in "abc":
        (root / f"{clip}.avi").write_bytes(clip.encode() * 10)
    return root


@pytest.fixture
def reads(monkeypatch):
    seen = []
    digest = digests._digest
    monkeypatch.setattr(digests, "_digest", lambda path: (seen.append(path.name), digest(path))[1])
    return seen


def digested(root, index, **options):
    files = sorted(path.name for path in root.iterdir())
    table = from_rows({"clip": name[:-4], "path": name} for name in files)
    return digests.content_digests(root, table, index, **options)


def test_digests_are_sha256_of_content(corpus, tmp_path):
    table = digested(corpus, tmp_path / "index.csv")
    assert table["digest"].tolist() == [hashlib.sha256(c.encode() * 10).hexdigest() for c in "abc"]
    assert table.columns[-1] == "digest" and table["digest"].dtype == "str"


def test_unchanged_files_are_not_read_again(corpus, tmp_path, reads):
    first = digested(corpus, tmp_path / "index.csv")
    assert sorted(reads) == ["a.avi", "b.avi", "c.avi"]
    reads.clear()
    assert digested(corpus, tmp_path / "index.csv").equals(first)
    assert reads == []


def test_only_what_changed_is_read(corpus, tmp_path, reads):
    first = digested(corpus, tmp_path / "index.csv")
    reads.clear()
    before = (corpus / "b.avi").stat()
    (corpus / "b.avi").write_bytes(b"x" * 10)  # same size, and the old time put back: ctime tells
    os.utime(corpus / "b.avi", ns=(before.st_atime_ns, before.st_mtime_ns))
    (corpus / "d.avi").write_bytes(b"")
    (corpus / "c.avi").unlink()
    second = digested(corpus, tmp_path / "index.csv").set_index("clip")["digest"]
    assert sorted(reads) == ["b.avi", "d.avi"]
    assert second["b"] == hashlib.sha256(b"x" * 10).hexdigest()
    assert second["d"] == hashlib.sha256(b"").hexdigest()
    assert second["a"] == first.set_index("clip")["digest"]["a"]
    assert "c.avi" not in (tmp_path / "index.csv").read_text()


def test_progress_counts_the_files_that_are_read(corpus, tmp_path):
    calls = []
    digested(corpus, tmp_path / "index.csv", progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    digested(corpus, tmp_path / "index.csv", progress=lambda done, total: calls.append((done, total)))
    assert len(calls) == 3


HEAD = b"path,size,mtime_ns,ctime_ns,digest\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not,an,index\n1,2,3\n",
        b"\xff\xfe",
        b'path,size\n"',
        HEAD + b"a.avi,ten,1,1,d\n",
        HEAD + b"a.avi,99999999999999999999,1,1,d\n",
    ],
)
def test_broken_index_costs_a_reading_only(corpus, tmp_path, reads, content, caplog):
    (tmp_path / "index.csv").write_bytes(content)
    assert len(digested(corpus, tmp_path / "index.csv")) == 3
    assert len(reads) == 3
    assert "Every clip is read again" in caplog.text
    digested(corpus, tmp_path / "index.csv")
    assert len(reads) == 3


@pytest.mark.slow
def test_a_first_reading_that_is_cut_off_goes_on_where_it_was(corpus, tmp_path, reads, monkeypatch):
    for number in range(100):
        (corpus / f"e{number:03d}.avi").write_bytes(b"%d" % number)
    monkeypatch.setattr(digests, "_SAVE_SECONDS", 0.0)

    def cut_off(done, total):
        if done == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        digested(corpus, tmp_path / "index.csv", progress=cut_off)
    reads.clear()
    table = digested(corpus, tmp_path / "index.csv").set_index("clip")["digest"]
    assert len(reads) == 103 - 59
    assert table["e007"] == hashlib.sha256(b"7").hexdigest() and table["e099"] == hashlib.sha256(b"99").hexdigest()


def test_a_repeated_or_foreign_row_of_the_index_does_no_harm(corpus, tmp_path, reads):
    first = digested(corpus, tmp_path / "index.csv")
    index = tmp_path / "index.csv"
    lines = index.read_text().splitlines(keepends=True)
    index.write_text("".join([*lines, lines[1], "gone.avi,1,2,3,d\n"]))
    reads.clear()
    assert digested(corpus, index).equals(first)
    assert reads == [] and index.read_text() == "".join(lines)


def test_unwritable_index_is_a_warning(corpus, tmp_path, caplog):
    (tmp_path / "file").touch()
    assert len(digested(corpus, tmp_path / "file" / "index.csv")) == 3  # a file is in the folder's place
    assert "cannot be written" in caplog.text


def unreadable(corpus, kind, monkeypatch):
    path = corpus / "z.avi"
    if kind == "dangling":
        path.symlink_to("nowhere.avi")
    elif kind == "circular":
        path.symlink_to(path.name)
    elif kind == "device":
        path.symlink_to("/dev/zero")  # which has no end
    elif kind == "pipe":
        os.mkfifo(path)  # which nobody writes to
    else:
        path.write_bytes(b"z")
        path.chmod(0)
        opened = Path.open

        def forbidden(self, *arguments, **options):  # as root may read anything
            if self == path:
                raise PermissionError(13, "Permission denied")
            return opened(self, *arguments, **options)

        monkeypatch.setattr(Path, "open", forbidden)


@pytest.mark.parametrize("kind", ["dangling", "circular", "device", "pipe", "forbidden"])
def test_a_file_that_cannot_be_read_is_told_and_keeps_nobody_waiting(corpus, tmp_path, monkeypatch, caplog, kind):
    unreadable(corpus, kind, monkeypatch)
    digest = digested(corpus, tmp_path / "index.csv").set_index("clip")["digest"]
    assert digest["z"] == digests.UNREADABLE and digest["a"] == hashlib.sha256(b"a" * 10).hexdigest()
    assert f"{corpus}: 1 of 4 files cannot be read, such as 'z.avi'" in caplog.text
    assert "z.avi" not in (tmp_path / "index.csv").read_text()
    monkeypatch.undo()
    (corpus / "z.avi").unlink()
    (corpus / "z.avi").write_bytes(b"back")
    assert (
        digested(corpus, tmp_path / "index.csv").set_index("clip")["digest"]["z"] == hashlib.sha256(b"back").hexdigest()
    )


def test_names_of_any_bytes_are_remembered(corpus, tmp_path, reads):
    (corpus / os.fsdecode(b"two\nlines \xff.avi")).write_bytes(b"x")
    first = digested(corpus, tmp_path / "index.csv")
    assert len(reads) == 4
    assert digested(corpus, tmp_path / "index.csv").equals(first) and len(reads) == 4
