"""`emopipe cache --faces` after a finished run: nothing runs again until something needs the pictures."""

import copy
import os
import shutil

import pytest
from typer.testing import CliRunner

from emopipe.cache.store import Reader
from emopipe.commands.main import app
from tests.workflow.test_rerun import ANSWER, MODELS, SHARDS, chain, features, fusion, jobs, planned, shard_of


def held_by(workflow):
    """File -> clip -> field -> rows, of media and faces."""
    found = {}
    for stage in ("media/few", "faces/main"):
        for shard in SHARDS:
            with Reader(workflow.work / f"cache/small/{stage}/{shard}.h5") as reader:
                rows = {row.clip: {name: rows.tolist() for name, rows in row.arrays.items()} for row in reader.rows()}
                found[f"{stage}/{shard}"] = rows
    return found


def pictures_in(held):
    return sum(
        len(rows)
        for file in held.values()
        for row in file.values()
        for name, rows in row.items()
        if name in ("jpeg", "crop")
    )


@pytest.fixture(scope="module")
def dropped(finished):
    """The finished run without its pictures, and media and faces as they were."""
    before = held_by(finished)
    here = os.getcwd()
    os.chdir(finished.work)
    try:
        result = CliRunner().invoke(app, ["cache", "--faces", "--yes", "small.yaml"])
    finally:
        os.chdir(here)
    assert result.exit_code == 0, result.output
    assert "media: pictures in 2 files" in result.output and "faces: pictures in 2 files" in result.output
    return finished, before


def one_more(config):
    config["backbones"]["more"] = copy.deepcopy(config["backbones"]["given"]) | {"batch": 3}


def made_again(shards):
    return [f"{stage} {shard}" for stage in ("decode", "faces") for shard in shards]


def test_nothing_runs_again(dropped):
    workflow, before = dropped
    assert pictures_in(before) > 10_000 and pictures_in(held_by(workflow)) == 0
    assert planned(workflow) == jobs()


def test_a_changed_model_needs_no_pictures(dropped):
    workflow, _ = dropped
    assert planned(workflow, lambda config: config["models"]["fused_two"].update(lr=0.002)) == jobs(
        *fusion("fused_two"), *ANSWER
    )
    assert planned(workflow, run="second") == jobs(*fusion(*MODELS), *ANSWER)


def test_a_training_needs_the_pictures_of_all_shards(dropped):
    workflow, _ = dropped
    plan = planned(workflow, lambda config: config["backbones"]["learned"]["pretrain"].update(lr=0.001))
    assert {job for job in plan if job.startswith(("decode", "faces"))} == {*made_again(SHARDS)}


def test_an_added_clip_needs_those_of_its_shard(dropped):
    workflow, _ = dropped
    new, source = (
        workflow.work / "corpus/val/Happy/zz_new_clip.mp4",
        next((workflow.work / "corpus/val/Happy").iterdir()),
    )
    shutil.copy(source, new)
    try:
        assert planned(workflow) == chain(shard_of("zz_new_clip"))
    finally:
        new.unlink()
    assert planned(workflow) == jobs()


def test_a_voice_needs_no_pictures(dropped):
    workflow, _ = dropped
    assert planned(workflow, lambda config: config["backbones"]["voice"].update(batch=7)) == jobs(
        *features("voice"), *fusion("audio_voice", "fused_two"), *ANSWER
    )


def test_a_new_backbone_makes_the_same_pictures_again(dropped):
    """Run for real: vectors that existed keep their bytes, and then there is nothing to do."""
    workflow, before = dropped
    vectors = {path: path.read_bytes() for path in workflow.work.glob("cache/small/features/**/*.h5")}
    plan = planned(workflow, one_more)
    assert {job for job in plan if job.startswith(("decode", "faces"))} == {*made_again(SHARDS)}
    assert {*features("more")} <= {*plan} and not any(job.startswith("pretrain") for job in plan)
    workflow.snakemake("--configfile", str(workflow.work / "changed.yaml"))
    assert held_by(workflow) == before
    assert {path for path, content in vectors.items() if path.read_bytes() != content} == set()
    assert planned(workflow, one_more) == jobs()
    assert planned(workflow) == jobs("report", "page")  # the ledger lists one backbone less
