"""Every wild file gets a row with the right status, in bounded memory, and nothing is written elsewhere."""

import csv
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from emopipe.core.errors import CorpusError
from emopipe.corpora.ids import safe_id
from emopipe.stages import decode
from tests.wild import __main__ as table
from tests.wild.corpus import decoded, listing, scan, write_corpus
from tests.wild.files import OK, UNREADABLE, wild_files
from tests.wild.making import whole

MOST_MEMORY_KB = 400_000
"""Above what the process needs for frames of 3840 x 2160 pixels; whole clips of them would need more."""


class Measured(decode.ClipReader):
    """Remembers how much memory its processes came to need."""

    peaks: list[int] = []  # noqa: RUF012 - shared on purpose

    def _stop(self):
        if self._process is not None:
            status = Path(f"/proc/{self._process._popen.pid}/status")
            peak = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
            self.peaks.extend(map(int, peak))
        super()._stop()


class Run:
    """The wild corpus, decoded once for all tests."""

    def __init__(self, folder):
        self.root, self.work, home, temporary = (folder / name for name in ("corpus", "work", "home", "tmp"))
        for each in (self.work, home, temporary):
            each.mkdir()
        shared = os.environ.get("EMOPIPE_SHARED")
        self.files = write_corpus(self.root, wild_files(Path(shared) if shared else None))
        watched = (self.root, folder / "elsewhere", self.work, home, temporary)
        before = listing(*watched)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(decode, "ClipReader", Measured)
            for name, value in {"HOME": home, "TMPDIR": temporary}.items():
                patch.setenv(name, str(value))
            patch.chdir(self.work)
            self.rows = decoded(self.root, self.work)
        self.new = listing(*watched) - before
        self.gone = before - listing(*watched)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("wild"))


def test_there_are_enough_of_them(run):
    assert len(run.files) >= 130


def test_every_file_has_a_row(run):
    assert set(run.rows) == set(run.files)
    assert len({row.clip for row in run.rows.values()}) == len(run.files)


def test_statuses_are_right(run):
    wrong = {
        path: run.rows[path].status for path, file in run.files.items() if run.rows[path].status not in file.status
    }
    assert not wrong, {path: run.rows[path].reason for path in wrong}


def test_what_a_status_says_is_there(run):
    """Frames that are pictures and sound that is not silent, or neither; and why, in one line."""
    has_frames = {path for path, row in run.rows.items() if len(row.arrays["jpeg_size"])}
    has_sound = {path for path, row in run.rows.items() if len(row.arrays["audio"])}
    assert len(has_frames) > 80 and len(has_sound) > 80
    assert has_frames == {path for path, row in run.rows.items() if row.status in (OK, "no_audio")}
    assert has_sound == {path for path, row in run.rows.items() if row.status in (OK, "no_video")}
    assert [path for path in has_sound if not run.rows[path].arrays["audio"].any()] == []
    assert {len(jpegs(run.rows[path])) for path in has_frames} == {1, 2, 3}
    assert [path for path in has_frames if not all(map(is_picture, jpegs(run.rows[path])))] == []
    assert [path for path, row in run.rows.items() if len(row.arrays["time"]) != len(row.arrays["jpeg_size"])] == []
    assert all(np.isfinite(row.arrays["time"]).all() for row in run.rows.values())


def test_what_is_not_ok_has_a_reason_in_one_line(run):
    reasons = {path: row.reason for path, row in run.rows.items() if row.status != OK}
    assert len(reasons) > 30 and all(reasons.values())
    assert [row.reason for row in run.rows.values() if not row.reason.isprintable()] == []


def jpegs(row):
    sizes = row.arrays["jpeg_size"]
    return np.split(row.arrays["jpeg"], np.cumsum(sizes)[:-1]) if len(sizes) else []


def is_picture(jpeg):
    return cv2.imdecode(jpeg, cv2.IMREAD_COLOR) is not None


def test_some_are_as_they_were_made(run):
    rows = {file.name: run.rows[path] for path, file in run.files.items()}

    def sizes(name):
        return {cv2.imdecode(jpeg, cv2.IMREAD_COLOR).shape[:2] for jpeg in jpegs(rows[name])}

    assert sizes("one pixel.mkv") == {(1, 1)}
    assert sizes("one row.mkv") == {(2, 1280)} and sizes("one column.mkv") == {(1280, 2)}
    assert sizes("turned 90.mp4") == sizes("turned -90.mp4") == {(64, 48)}
    assert sizes("turned 180.mp4") == {(48, 64)}
    assert sizes("growing.ts") == {(48, 64), (80, 96)}
    assert len(rows["one frame.avi"].arrays["time"]) == 1
    assert len(rows["10 minutes.avi"].arrays["audio"]) == 600 * 16_000
    assert rows["10 minutes.avi"].arrays["time"].tolist() == pytest.approx([100, 300, 500], abs=1)
    assert rows["late.ts"].arrays["time"].min() >= 0 and rows["late.ts"].arrays["time"].max() < 2
    assert len(rows["trimmed.mp4"].arrays["audio"]) == pytest.approx(0.7 * 16_000, rel=0.05)


def test_memory_is_bounded(run):
    assert Measured.peaks and max(Measured.peaks) < MOST_MEMORY_KB


def test_nothing_is_written_but_the_cache(run):
    assert run.new and all(Path(path).is_relative_to(run.work / "cache") for path in run.new)
    assert not run.gone


def test_the_digests_of_the_readable_are_remembered(run):
    unreadable = {path for path, row in run.rows.items() if row.digest == UNREADABLE}
    assert unreadable == {path for path, file in run.files.items() if file.status == {UNREADABLE}}
    again = scan(run.root, run.work).set_index("path")["digest"]
    assert again.to_dict() == {path: row.digest for path, row in run.rows.items()}


def test_they_can_be_shown_as_a_table(run):
    lines = table.markdown(run.files, run.rows).splitlines()
    assert len(lines) == 2 + len(run.files) and len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert '| it\'s "quoted".mp4 | quotes | ok | 3 | 2.0 |  |' in lines
    assert any(line.startswith("| two\\nlines.mp4 | a line break | ok |") for line in lines)


def test_the_command_prints_the_table(monkeypatch, capsys):
    monkeypatch.setattr(table, "wild_files", lambda shared: wild_files(shared)[-30:-28])
    table.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[1] == "|---|---|---|---|---|---|"


def test_ids_that_lead_elsewhere_lead_nowhere(tmp_path):
    ids = ["../../x", "/etc/passwd", "..", "two\nlines", "-", "..%2F..%2Fx", "é" * 200]
    root, work = tmp_path / "corpus", tmp_path / "work"
    root.mkdir()
    with (root / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["clip", "path", "label", "split"])
        for number, clip in enumerate(ids):
            (root / f"{number}.avi").write_bytes(whole("avi"))
            rows.writerow([clip, f"{number}.avi", "Happy", "train"])
    rows = decoded(root, work, "table")
    assert [rows[f"{number}.avi"].status for number in range(len(ids))] == [OK] * len(ids)
    assert [rows[f"{number}.avi"].clip for number in range(len(ids))] == [
        "..%2F..%2Fx",
        "%2Fetc%2Fpasswd",
        "%2E%2E",
        "two%0Alines",
        "-",
        "..%252F..%252Fx",
        safe_id("é" * 200),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "work"]


@pytest.mark.parametrize("path", ["../outside.avi", "/etc/passwd"])
def test_rows_that_lead_out_of_the_corpus_are_refused(tmp_path, path):
    (tmp_path / "outside.avi").write_bytes(whole("avi"))
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/clips.csv").write_text(f"path,label,split\n{path},Happy,train\n")
    with pytest.raises(CorpusError, match="is not below the corpus folder"):
        scan(tmp_path / "corpus", tmp_path / "work", "table")
