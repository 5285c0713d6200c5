"""What a run on a cluster records for its jobs, so that nodes look at neither weights nor corpora again."""

import json
from pathlib import Path

import pandas as pd
import pytest

from emopipe.workflow import config as configs
from emopipe.workflow import digests, submission
from emopipe.workflow.plan import Plan

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
CONFIG = {
    "run": "x",
    "corpus": {"name": "c", "kind": "folder"},
    "corpus_root": "/nowhere",
    "decode": {"some": {"policy": "count", "count": 4}},
    "faces": {"main": {"detector": "mtcnn"}},
    "sources": {"stills": {"kind": "folder", "path": "stills"}},
    "backbones": {
        "face": {"kind": "expression", "weights": "net.safetensors", "schedule": [{"sources": ["stills"], "epochs": 1}]}
    },
}


def table(clips=100):
    names = [f"clip_{number:03d}" for number in range(clips)]
    columns = {"clip": names, "path": names, "split": "train", "label": "Sad", "subject": "", "digest": names}
    return pd.DataFrame(columns, dtype=str)


@pytest.fixture
def submitted(tmp_path, monkeypatch):
    """The plan of a run that submits jobs."""
    monkeypatch.chdir(tmp_path)
    Path("net.safetensors").write_bytes(b"some weights")
    for number in range(3):
        path = Path(f"stills/Sad/{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * number)
    plan = Plan(configs.parse(CONFIG), table(), SCRIPTS, cores=None)
    submission.record(plan)
    return plan


def on_node():
    return submission.plan_on_node(configs.parse(CONFIG), SCRIPTS)


@pytest.mark.slow
def test_a_node_has_the_plan_of_the_run_and_reads_nothing(submitted, monkeypatch):
    def refuse(*_):
        raise AssertionError("a node reads what the run has read already")

    for name in ("_sha256_of", "content"):
        monkeypatch.setattr(digests, name, refuse)
    monkeypatch.setattr(submission.scan, "scan", refuse)
    node = on_node()
    node.check_weights()
    assert node.table.equals(submitted.table) and node.shards == submitted.shards
    for recipe in (lambda plan: plan.chain("face", 0), lambda plan: plan.features("face"), Plan.corpus):
        assert recipe(node) == recipe(submitted)


@pytest.mark.slow
def test_a_node_has_the_number_of_shards_of_the_run(submitted):
    other = Plan(configs.parse(CONFIG), table(), SCRIPTS, cores=64)
    assert len(other.shards) != len(submitted.shards)
    submission.record(other)
    assert on_node().shards == other.shards


@pytest.mark.slow
def test_runs_do_not_share_a_record(submitted):
    other = configs.parse(CONFIG | {"run": "y"})
    submission.record(Plan(other, table(10), SCRIPTS))
    assert len(on_node().table) == 100
    submission.clear(other)
    assert len(on_node().table) == 100


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["", "[]", '{"shards": 3}', "{"])
def test_without_a_record_a_node_reads_the_files_and_the_clip_table(submitted, monkeypatch, damage):
    found = table(7)
    monkeypatch.setattr(submission.scan, "recorded", lambda config: found)
    if damage:
        next(submission.FOLDER.glob("*/plan.json")).write_text(damage)
    else:
        submission.clear(submitted.config)
    node = on_node()
    assert node.table is found and node.chain("face", 0) == submitted.chain("face", 0)
    monkeypatch.setattr(submission.scan, "recorded", lambda config: None)
    monkeypatch.setattr(submission.scan, "scan", lambda config: found)
    assert on_node().table is found


def test_what_is_recorded(submitted):
    found = json.loads(next(submission.FOLDER.glob("*/plan.json")).read_text())
    assert {"net.safetensors", "stills"} <= set(found["digests"]) and found["shards"] == 1
    submission.clear(submitted.config)
    assert not list(submission.FOLDER.iterdir())
