"""Every wild file gets a row with the right status, in bounded memory, and nothing is written elsewhere."""

import csv
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from emopipe.cache.status import codes
from emopipe.core import tables
from emopipe.core.errors import CorpusError
from emopipe.corpora.ids import safe_id
from emopipe.stages import decode
from tests.wild import __main__ as table
from tests.wild.corpus import decoded, listing, placed, rows, scan, write_corpus
from tests.wild.files import OK, UNREADABLE, wild_files
from tests.wild.making import whole
from tests.workflow.conftest import made_once

pytestmark = pytest.mark.data  # more files and weights where EMOPIPE_SHARED is set

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


def all_files():
    shared = os.environ.get("EMOPIPE_SHARED")
    return wild_files(Path(shared) if shared else None)


def decode_wild_files(folder):
    """Decode the wild corpus; what came to be where, and the memory that it took, are kept in said.json."""
    root, work, home, temporary = (folder / name for name in ("corpus", "work", "home", "tmp"))
    for each in (work, home, temporary):
        each.mkdir()
    write_corpus(root, all_files())
    watched = (root, folder / "elsewhere", work, home, temporary)
    before = listing(*watched)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "ClipReader", Measured)
        for name, value in {"HOME": home, "TMPDIR": temporary}.items():
            patch.setenv(name, str(value))
        patch.chdir(work)
        decoded(root, work)
    after = listing(*watched)
    said = {"new": sorted(after - before), "gone": sorted(before - after), "peaks": Measured.peaks}
    (folder / "said.json").write_text(json.dumps(said))


class Run:
    """The wild corpus, decoded once for all tests."""

    def __init__(self, folder):
        self.root, self.work, self.files = folder / "corpus", folder / "work", placed(all_files())
        self.rows = rows(self.work, tables.read(self.work / "cache/shards/00.csv"))
        said = json.loads((folder / "said.json").read_text())
        self.new, self.gone, self.peaks = (said[name] for name in ("new", "gone", "peaks"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(made_once(tmp_path_factory, "wild", decode_wild_files, copied=False))


def test_there_are_enough_of_them(run):
    assert len(run.files) >= 235


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
    assert len(has_frames) > 60 and len(has_sound) > 60
    assert has_frames == {path for path, row in run.rows.items() if row.status in (OK, "no_audio")}
    assert has_sound == {path for path, row in run.rows.items() if row.status in (OK, "no_video")}
    assert [path for path in has_sound if not run.rows[path].arrays["audio"].any()] == []
    assert {1, 3} <= {len(jpegs(run.rows[path])) for path in has_frames} <= {1, 2, 3}
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
    found = {file.name: run.rows[path] for path, file in run.files.items()}

    def sizes(name):
        return {cv2.imdecode(jpeg, cv2.IMREAD_COLOR).shape[:2] for jpeg in jpegs(found[name])}

    assert sizes("one pixel.mkv") == {(1, 1)}
    assert sizes("one row.mkv") == {(2, 1280)} and sizes("one column.mkv") == {(1280, 2)}
    assert sizes("turned 90.mp4") == sizes("turned -90.mp4") == {(64, 48)}
    assert sizes("turned 180.mp4") == {(48, 64)}
    assert sizes("growing.ts") == sizes("growing vp9.webm") == sizes("pixel formats.avi") == {(48, 64), (80, 96)}
    assert sizes("turned by a message.ts") == sizes("transposed.mp4") == {(64, 48)}
    assert sizes("wide pixels.mp4") == {(48, 128)} and sizes("wider pixels.ts") == {(48, 64), (48, 128)}
    assert {codes(found[name].reason)[-1] for name in found if name.startswith("between ")} == {"lost_start"}
    assert codes(found["long.webm"].reason) == codes(found["short.webm"].reason) == ["wrong_length"]
    assert codes(found["many frames.avi"].reason) == ["wrong_frame_count"]
    assert len(found["one frame.avi"].arrays["time"]) == 1
    assert len(found["10 minutes.avi"].arrays["audio"]) == 600 * 16_000
    assert found["10 minutes.avi"].arrays["time"].tolist() == pytest.approx([100, 300, 500], abs=1)
    assert found["late.ts"].arrays["time"].min() >= 0 and found["late.ts"].arrays["time"].max() < 2
    assert found["trimmed.mp4"].reason == ""  # its first keyframe is hidden, but it is there
    assert len(found["trimmed.mp4"].arrays["audio"]) == pytest.approx(0.7 * 16_000, rel=0.05)


def test_memory_is_bounded(run):
    assert run.peaks and max(run.peaks) < MOST_MEMORY_KB


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
        table = csv.writer(file)
        table.writerow(["clip", "path", "label", "split"])
        for number, clip in enumerate(ids):
            (root / f"{number}.avi").write_bytes(whole("avi"))
            table.writerow([clip, f"{number}.avi", "Happy", "train"])
    found = decoded(root, work, "table")
    assert [found[f"{number}.avi"].status for number in range(len(ids))] == [OK] * len(ids)
    assert [found[f"{number}.avi"].clip for number in range(len(ids))] == [
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
