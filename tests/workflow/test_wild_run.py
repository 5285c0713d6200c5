"""A whole run on the wild corpus: every file is in the ledger at every stage, and nothing is written elsewhere."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from tests.wild.corpus import listing, placed, write_corpus
from tests.wild.files import wild_files
from tests.workflow.conftest import Workflow, copy_of_the_code, made_once, write_config

pytestmark = pytest.mark.data  # more files and weights where EMOPIPE_SHARED is set

STAGES = ("decode", "faces", "features/face", "features/voice")
OTHERS_CACHES = (".cache/snakemake", ".cache/matplotlib", ".config/matplotlib")
"""What the programs used here keep in a home folder."""

CONFIG = {
    "run": "wild",
    "corpus": {"name": "wild", "kind": "folder", "options": {"clip_id": "path"}, "duplicates": "keep"},
    "shards": 1,
    "threads": 2,
    "decode": {"few": {"policy": "count", "count": 2, "clip_seconds": 60, "clip_memory_mb": 1024}},
    "faces": {"main": {"detector": "mtcnn"}},
    "backbones": {
        "face": {"kind": "expression", "weights": "expression"},
        "voice": {"kind": "speech", "weights": "speech_logmel"},
    },
    "models": {"fused_two": {"streams": ["face", "voice"], "epochs": 2, "seeds": [0]}},
}


def _is_wanted(file):
    """Of those cut off, which tests/wild decodes at every point, one a container."""
    return not file.name.startswith("cut ") or " 0.5." in file.name


def run_on_wild_files(folder):
    """Run on the wild corpus; what the run said and what came to be where is kept in said.json."""
    work, home, temporary = (folder / name for name in ("work", "home", "tmp"))
    for each in (work, home, temporary, folder / "code"):
        each.mkdir()
    write_corpus(folder / "corpus", wanted_files())
    config = write_config(folder / "wild.yaml", {**CONFIG, "corpus_root": str(folder / "corpus")})
    workflow = Workflow(copy_of_the_code(folder / "code"), work)
    code = {path for path in listing(folder / "code") if "__pycache__" not in path}
    before = listing(folder / "corpus", folder / "elsewhere") | code | {config}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("TMPDIR", str(temporary))
        output = workflow.snakemake("--configfile", config, start=True)
    after = {path for path in listing(folder) if "__pycache__" not in path}
    said = {"output": output, "new": sorted(after - before), "gone": sorted(before - after)}
    (folder / "said.json").write_text(json.dumps(said))


def wanted_files():
    shared = os.environ.get("EMOPIPE_SHARED")
    return [file for file in wild_files(Path(shared) if shared else None) if _is_wanted(file)]


class Run:
    """A finished run: its ledger, and what came to be where."""

    def __init__(self, folder):
        self.work, self.home = folder / "work", folder / "home"
        said = json.loads((folder / "said.json").read_text())
        self.output, self.new, self.gone = (said[name] for name in ("output", "new", "gone"))
        self.files = placed(wanted_files())
        table = pd.read_csv(self.work / "cache/wild/clips.csv", dtype=str, keep_default_na=False,
                            encoding_errors="surrogateescape")  # fmt: skip
        self.clips = dict(zip(table["path"], table["clip"], strict=True))
        ledger = pd.read_csv(self.work / "results/wild/ledger.csv", dtype=str, keep_default_na=False)
        self.fates = ledger.pivot(index="clip", columns="stage", values="status")
        self.reasons = ledger.pivot(index="clip", columns="stage", values="reason")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(made_once(tmp_path_factory, "wild_run", run_on_wild_files, copied=False))


def test_every_file_is_in_the_ledger_at_every_stage(run):
    assert set(run.clips) == set(run.files)
    assert set(run.fates.index) == set(run.clips.values()) and set(run.fates.columns) == set(STAGES)
    assert run.fates.notna().all(axis=None) and not (run.fates == "missing").any(axis=None)


def test_each_has_the_right_status_from_beginning_to_end(run):
    face = {"ok": {"ok", "no_face"}, "no_audio": {"ok", "no_face"}}
    voice = {"ok": {"ok"}, "no_video": {"ok"}}
    for path, file in run.files.items():
        fates = run.fates.loc[run.clips[path]]
        assert fates["decode"] in file.status, path
        assert fates["faces"] in face.get(fates["decode"], {fates["decode"]}), path
        assert fates["features/face"] == fates["faces"], path
        assert fates["features/voice"] in voice.get(fates["decode"], {fates["decode"]}), path
        assert all(run.reasons.loc[run.clips[path]][fates != "ok"]), path


def test_all_are_predicted(run):
    predictions = pd.read_csv(run.work / "results/wild/predictions/ensemble.csv", dtype=str, keep_default_na=False)
    assert set(predictions["clip"]) == {clip for path, clip in run.clips.items() if path.startswith("val/")}


def test_nothing_is_written_but_cache_and_results(run):
    ours = [run.work / name for name in ("cache", "results", ".snakemake")]
    theirs = [run.home / name for name in OTHERS_CACHES]
    stray = [path for path in run.new if not any(Path(path).is_relative_to(folder) for folder in (*ours, *theirs))]
    assert not stray and not run.gone
    assert any(Path(path).is_relative_to(run.work / "cache") for path in run.new)


def test_nothing_came_to_an_unclean_end(run):
    assert "Traceback" not in run.output
