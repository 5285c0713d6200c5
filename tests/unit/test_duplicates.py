"""Clips of the same content: what is refused before anything runs, what the config may choose, what the tables say."""

import logging
import re
import shutil

import pandas as pd
import pytest
import yaml
from pydantic import ValidationError
from typer.testing import CliRunner

from emopipe.commands.main import app
from emopipe.core.errors import CorpusError
from emopipe.corpora import duplicates
from emopipe.media.clip import read_clip
from emopipe.media.decoded import Span
from emopipe.media.spans import read_spans
from emopipe.report import results, summary, writing
from emopipe.workflow import config as configs
from emopipe.workflow import scan
from emopipe.workflow.plan import Plan
from tests.conftest import write_clip
from tests.pages import REPOSITORY
from tests.unit.test_files_taken import put, wav

FAIL = duplicates._fail
CONFIG = yaml.safe_load("""
run: same
corpus: {name: same, kind: folder, options: {clip_id: path}}
corpus_root: corpus
decode: {one: {policy: count, count: 1}}
backbones: {voice: {kind: speech, weights: speech_logmel}}
""")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A corpus of sounds that all differ, in the current folder; clips are opened in this process, which is faster."""
    monkeypatch.setattr(duplicates, "_fail", lambda clips: [_status(*clip) == "undecodable" for clip in clips])
    monkeypatch.chdir(tmp_path)
    names = [f"{split}/{label}/{name}.wav" for split in ("train", "val") for label in ("Happy", "Sad") for name in "ab"]
    for number, name in enumerate(names):
        put(tmp_path / "corpus", name, wav(0.1 + number / 100))
    return tmp_path / "corpus"


def _status(path, span):
    if span:
        return next(read_spans(path, duplicates._LOOK, [span])).status
    return read_clip(path, duplicates._LOOK).status


def config(**corpus):
    return configs.parse({**CONFIG, "corpus": {**CONFIG["corpus"], **corpus}})


def listed(root, rows, choice="refuse"):
    """The config of a table of clips, which is written."""
    (root / "clips.csv").write_text("\n".join(["path,split,label,start,end", *rows]))
    return config(kind="table", options={}, duplicates=choice)


def copy(root, source, *targets):
    for target in targets:
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / source, root / target)


def paths(choice):
    return set(scan.scan(config(duplicates=choice))["path"])


def test_different_contents_are_no_duplicates(root):
    assert len(scan.scan(config())) == 8 and not (scan.cache_folder(config()) / duplicates.FILE).exists()


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("train/Happy/a.wav", "val/Happy/z.wav", "train/Happy/a.wav (train, Happy) and val/Happy/z.wav (val, Happy)"),
        ("val/Sad/b.wav", "val/Happy/c.wav", "val/Happy/c.wav (val, Happy) and val/Sad/b.wav (val, Sad)"),
        ("train/Sad/a.wav", "test/other.wav", "test/other.wav (test) and train/Sad/a.wav (train, Sad)"),
    ],
)
def test_one_content_in_two_splits_or_labels_is_refused_with_the_pair(root, source, target, said):
    copy(root, source, target)
    with pytest.raises(CorpusError) as error:
        scan.scan(config())
    text = str(error.value)
    assert text.startswith(f"2 clips in corpus share 1 content, but have different splits or labels: {said}. Expected")
    assert "set duplicates in the block corpus of the config: first uses" in text
    assert text.endswith("cache/same/duplicates.csv lists all of them.")
    listed = pd.read_csv("cache/same/duplicates.csv")
    assert (
        set(listed["path"]) == {source, target} and set(listed["decodes"]) == {"yes"} and set(listed["used"]) == {"no"}
    )


def test_of_videos_too(root):
    write_clip(root / "train/Happy/v.mp4", seconds=0.4)
    copy(root, "train/Happy/v.mp4", "val/Sad/w.mp4", "val/Happy/x.mp4")
    with pytest.raises(CorpusError, match=r"^3 clips in corpus share 1 content.*train/Happy/v\.mp4 .* and 1 more\. "):
        scan.scan(config())


@pytest.mark.slow
def test_the_choices(root, caplog):
    copy(root, "train/Happy/a.wav", "val/Happy/z.wav", "train/Sad/y.wav")
    everything = {path.relative_to(root).as_posix() for path in root.rglob("*.wav")}
    same = {"train/Happy/a.wav", "val/Happy/z.wav", "train/Sad/y.wav"}
    with caplog.at_level(logging.WARNING, "emopipe"):
        assert paths("keep") == everything
    assert (
        "corpus: 3 clips share 1 content across splits or labels, such as train/Happy/a.wav (train, Happy)"
        in caplog.text
    )
    assert paths("first") == everything - same | {"train/Happy/a.wav"}
    used = pd.read_csv("cache/same/duplicates.csv").set_index("path")["used"]
    assert used.to_dict() == {"train/Happy/a.wav": "yes", "val/Happy/z.wav": "no", "train/Sad/y.wav": "no"}
    assert paths("exclude") == everything - same
    for path in same - {"train/Happy/a.wav"}:
        (root / path).unlink()
    assert paths("refuse") == everything - same | {"train/Happy/a.wav"}
    assert not (scan.cache_folder(config()) / duplicates.FILE).exists()


@pytest.mark.parametrize("content", [b"", b"x", b"no clip at all" * 99, wav()[:30], b"\0\0\0\x20ftypisom" + bytes(700)])
def test_what_is_empty_or_does_not_decode_is_no_duplicate(root, content):
    for path in ("train/Happy/x.mp4", "val/Sad/y.mp4", "train/Sad/z.mp4"):
        put(root, path, content)
    assert len(scan.scan(config())) == 11


@pytest.mark.slow
def test_another_process_opens_the_files(root):
    put(root, "x.mp4", b"none")
    files = [("train/Happy/a.wav", None), ("x.mp4", None), ("absent.mp4", None)]
    parts = [("train/Happy/a.wav", Span(0.0, 0.05)), ("train/Happy/a.wav", Span(7.0, 8.0))]
    assert FAIL([(root / path, span) for path, span in files + parts]) == [False, True, True, False, True]


def test_what_decodes_is_asked_once(root, monkeypatch):
    copy(root, "train/Happy/a.wav", "val/Happy/z.wav")
    put(root, "train/Sad/x.wav", b"none")
    put(root, "val/Sad/x.wav", b"none")
    asked = []
    fail = duplicates._fail
    monkeypatch.setattr(duplicates, "_fail", lambda files: asked.append(len(files)) or fail(files))
    assert len(paths("first")) == len(paths("exclude")) + 1 == 10
    assert asked == [2]


def test_copies_of_one_split_and_label_are_a_note(root, caplog):
    copy(root, "train/Happy/a.wav", "train/Happy/c.wav", "train/Happy/d.wav")
    with caplog.at_level(logging.INFO, "emopipe"):
        assert len(scan.scan(config())) == 10
    assert "2 clips are copies of others of the same split and label, such as train/Happy/a.wav and" in caplog.text
    assert caplog.records[-1].levelno == logging.INFO


def test_parts_of_one_file_are_no_duplicates(root):
    put(root, "long.wav", wav(2))
    rows = ["long.wav,train,happy,0,1", "long.wav,val,sad,1,2", "long.wav,train,sad,,", "long.wav,test,fear,0,1.5"]
    assert len(scan.scan(listed(root, rows))) == 4
    # Nor are other parts of a copy, or the same part in one split with one label.
    put(root, "copy.wav", wav(2))
    rows += ["copy.wav,val,sad,0.5,1", "copy.wav,train,happy,0:00,0:01"]
    assert len(scan.scan(listed(root, rows))) == 6


@pytest.mark.slow
@pytest.mark.parametrize("path", ["copy.wav", "deep/copy.wav"])
def test_the_same_part_of_a_copy_is_a_duplicate(root, path):
    put(root, "long.wav", wav(2))
    put(root, path, wav(2))
    rows = ["long.wav,train,happy,0,1", f"{path},val,happy,,0:01.0", f"{path},val,sad,1,", "long.wav,test,,1,"]
    said = f"{path}#t=0,1 (val, Happy) and long.wav#t=0,1 (train, Happy)"
    with pytest.raises(CorpusError, match=re.escape(said)):
        scan.scan(listed(root, rows))
    assert set(pd.read_csv("cache/same/duplicates.csv")["path"]) == {
        "long.wav#t=0,1", f"{path}#t=0,1", f"{path}#t=1", "long.wav#t=1",
    }  # fmt: skip
    assert scan.scan(listed(root, [*rows, "val/Sad/a.wav,val,sad,,"], "exclude"))["path"].tolist() == ["val/Sad/a.wav"]
    # Where the part is not, nothing decodes.
    late = [row.replace(",0,1", ",7,8").replace(",,0:01.0", ",7,8") for row in rows[:2]]
    assert len(scan.scan(listed(root, [*late, "val/Sad/a.wav,val,sad,,"]))) == 3


def test_that_no_clip_remains_is_said(root):
    put(root, "copy.wav", (root / "val/Sad/a.wav").read_bytes())
    with pytest.raises(CorpusError, match=r"^No clip of corpus remains, because 2 clips share 1 content .*exclude\)\."):
        scan.scan(listed(root, ["copy.wav,train,sad,,", "val/Sad/a.wav,val,sad,,"], "exclude"))


def test_a_long_file_with_parts_is_not_read_to_check_it(root):
    put(root, "long.wav", wav(2))
    table = scan.clips(listed(root, ["long.wav,train,happy,0,1", "long.wav,val,sad,1,2", "val/Sad/a.wav,val,sad,,"]))
    assert not duplicates.candidates(table, root).any()
    assert duplicates.with_possible_digests(table, root, None)["digest"].tolist() == ["", "", ""]


def test_a_folder_that_repeats_another_is_named(root):
    for split, name in ((s, n) for s in ("train", "val") for n in "ab"):
        copy(root, f"{split}/Happy/{name}.wav", f"{'val' if split == 'train' else 'train'}/Sad/more/{name}{split}.wav")
    copy(root, "train/Happy/a.wav", "val/Happy/copy/Happy/a.wav")
    with pytest.raises(CorpusError, match=r"share 4 contents.*; and 1 more contents\. Expected"):
        scan.scan(config())


def test_check_refuses_what_the_run_refuses_and_writes_nothing(root, tmp_path):
    copy(root, "train/Happy/a.wav", "val/Happy/z.wav")
    for choice, code in (("refuse", 1), ("first", 0), ("keep", 0), ("exclude", 0)):
        raw = {**CONFIG, "corpus": {**CONFIG["corpus"], "duplicates": choice}}
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(raw))
        result = CliRunner().invoke(app, ["check", "c.yaml"])
        assert result.exit_code == code, result.output
        assert ("2 clips in corpus share 1 content" if code else f"corpus.duplicates: {choice}") in result.output
    assert not (tmp_path / "cache").exists()


def test_an_unknown_choice_is_refused():
    with pytest.raises(ValidationError):
        configs.CorpusBlock(name="a", kind="folder", duplicates="second")


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["keep", "first", "exclude"])
def test_the_tables_repeat_it(root, choice):
    copy(root, "train/Happy/a.wav", "val/Happy/z.wav")
    checked = config(duplicates=choice)
    recipe = Plan(checked, scan.scan(checked), REPOSITORY / "workflow_scripts").report()
    (remark,) = recipe["remarks"]
    assert remark.startswith(
        "2 clips share 1 content across splits or labels, such as train/Happy/a.wav (train, Happy)"
    )
    assert f"(corpus.duplicates: {choice})" in remark
    assert remark in writing._results_notes(pd.DataFrame(columns=results.COLUMNS), recipe)
    scores = pd.DataFrame(columns=["model", "split", "accuracy", "n", "uar", "macro_f1", "coverage"])
    assert summary.markdown(scores, "same", "", recipe["remarks"]).endswith(f"\n\n{remark}\n")


def test_tables_say_nothing_of_a_sound_corpus(root):
    recipe = Plan(config(), scan.scan(config()), REPOSITORY / "workflow_scripts").report()
    assert "remarks" not in recipe
