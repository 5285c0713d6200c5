"""A schedule of two phases through Snakemake: run for real once, then what a change would run again."""

import copy
import re

import cv2
import numpy as np
import pandas as pd
import pytest

from emopipe.cache import metadata
from emopipe.core.labels import CLASSES
from tests.conftest import write_clip
from tests.workflow.conftest import Workflow, copy_of_the_code, made_once, write_config

WEIGHTS = "cache/tiny/weights/face.step1.safetensors"


def draw_stills(root, seed):
    for number, label in enumerate(CLASSES):
        for still in range(2):
            path = root / label / f"{still}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(100 * seed + 2 * number + still).integers(0, 30, (16, 16))
            cv2.imwrite(str(path), (30 * number + noise).astype(np.uint8))


def tiny_config(work):
    phase = {"epochs": 1, "batch": 7}
    return {
        "run": "tiny",
        "corpus": {"name": "tiny", "kind": "folder"},
        "corpus_root": str(work / "corpus"),
        "shards": 1,
        "threads": 1,
        "device": "cpu",
        "decode": {"few": {"policy": "count", "count": 2}},
        "faces": {"main": {"detector": "mtcnn"}},
        "sources": {name: {"kind": "folder", "path": str(work / name)} for name in ("first", "second")},
        "backbones": {
            "face": {
                "kind": "expression",
                "options": {"size": 16, "width": 2, "units": [1, 1, 1], "dim": 4},
                "schedule": [{"sources": ["first"], **phase}, {"sources": ["second"], **phase}],
            }
        },
    }


def run_chain(folder):
    """Run the chain, and nothing after it."""
    work = folder / "work"
    for split, seconds in (("train", 0.3), ("val", 0.4)):  # one content in two splits would be refused
        write_clip(work / "corpus" / split / "Happy" / f"{split}.avi", seconds=seconds)
    for seed, name in enumerate(("first", "second")):
        draw_stills(work / name, seed)
    (folder / "code").mkdir()
    workflow = Workflow(copy_of_the_code(folder / "code"), work)
    workflow.snakemake(WEIGHTS, "--configfile", write_config(work / "tiny.yaml", tiny_config(work)))


@pytest.fixture(scope="module")
def chained(tmp_path_factory):
    """A workflow in which the chain has run."""
    folder = made_once(tmp_path_factory, "chained", run_chain)
    return Workflow(folder / "code", folder / "work")


def steps(workflow, change=None):
    """The phases of the schedule that would run with the config, changed."""
    config = copy.deepcopy(tiny_config(workflow.work))
    if change:
        change(config)
    path = write_config(workflow.work / "changed.yaml", config)
    output = workflow.snakemake("--dry-run", WEIGHTS, "--configfile", path)
    return sorted({int(step) for step in re.findall(r"wildcards: backbone=face, step=(\d+)", output)})


def test_both_steps_ran(chained):
    cache = chained.work / "cache/tiny"
    made = {path.name for path in (cache / "weights").iterdir()}
    assert made == {f"face.step{step}.{suffix}" for step in (0, 1) for suffix in ("safetensors", "csv", "png")}
    assert pd.read_csv(cache / "weights/face.step1.csv")["epoch"].tolist() == [1]
    for step in (0, 1):
        assert list((cache / f"logs/chain/face.{step}").glob("events.out.tfevents.*"))
        assert "14 training samples, 0 validation samples" in (cache / f"logs/chain/face.{step}.log").read_text()
        assert metadata.read_metadata(cache / f"weights/face.step{step}.safetensors")["device"] == "cpu"
    assert steps(chained) == []


def test_a_changed_step_runs_again_with_those_after_it(chained):
    def last(config):
        config["backbones"]["face"]["schedule"][1]["lr"] = 0.01

    def first(config):
        config["backbones"]["face"]["schedule"][0]["lr"] = 0.01

    assert (steps(chained, last), steps(chained, first)) == ([1], [0, 1])


def test_a_changed_corpus_runs_its_steps_again(chained):
    still = chained.work / "second/Happy/new.png"
    cv2.imwrite(str(still), np.zeros((16, 16), np.uint8))
    assert steps(chained) == [1]
    still.unlink()
    still = chained.work / "first/Happy/0.png"
    before = still.read_bytes()
    still.write_bytes(before + b"\0")
    assert steps(chained) == [0, 1]
    still.write_bytes(before)


def test_features_come_after_the_chain(chained):
    jobs = chained.jobs("--configfile", write_config(chained.work / "changed.yaml", tiny_config(chained.work)))
    assert set(jobs) == {"corpus", "decode 00", "faces 00", "features face 00", "merge face"}
