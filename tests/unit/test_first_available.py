"""Streams that stand for the first of several backbones whose weights exist."""

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import save_file

from emopipe.core.errors import ConfigError
from emopipe.core.fingerprint import digest
from emopipe.doctor import space
from emopipe.workflow import config as configs
from emopipe.workflow.plan import Plan

REPOSITORY = Path(__file__).parents[2]
CONFIG = yaml.safe_load("""
run: x
corpus: {name: c, kind: folder}
corpus_root: /data
decode: {some: {policy: count, count: 4}}
faces: {main: {detector: mtcnn}}
backbones:
  best: {kind: ir50, optional: true, weights: best.pth, views: [flip]}
  good: {kind: resnet18, optional: true, weights: good.pth, views: [flip]}
  small: {kind: expression, weights: small.safetensors}
  voice: {kind: speech, weights: voice.safetensors, views: [noise]}
  far: {kind: vggface, optional: true, weights: far.pth}
first_available:
  face: [best, good, small]
  rare: [best, far]
models:
  face_one: {streams: [face]}
  face_small: {streams: [small]}
  face_rare: {streams: [rare]}
  audio_voice: {streams: [voice]}
  fused_two: {streams: [face, voice], fusion: fbp, augment: true}
ensembles: {ensemble_all: {members: [fused_two, audio_voice]}}
""")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("small.safetensors", "voice.safetensors"):
        save_file({"weight": np.zeros(1)}, name)


def plan(**changes):
    columns = ("clip", "path", "label", "subject", "digest")
    table = pd.DataFrame({name: ["a", "b"] for name in columns} | {"clip": ["a", "b"], "split": ["train", "val"]})
    return Plan(configs.parse(CONFIG | changes), table, REPOSITORY / "workflow_scripts")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("there", "face"), [([], "small"), (["good"], "good"), (["best"], "best"), (["good", "best"], "best")]
)
def test_the_first_one_whose_weights_exist_is_read(there, face):
    for name in there:
        Path(f"{name}.pth").write_text(name)
    found = plan()
    assert found.models["fused_two"].streams == [face, "voice"]
    views = [] if face == "small" else [f"{face}@flip"]
    assert found.inputs("fused_two") == [face, *views, "voice", "voice@noise"]
    assert found.fusion("fused_two")["streams"] == {face: "face", "voice": "audio"}
    assert found.report()["taken"] == {
        name: f"face is {face}." for name in ("face_one", "fused_two", "ensemble_all")
    } | {"ensemble": f"face is {face}." + " rare is best." * ("best" in there)} | (
        {"face_rare": "rare is best."} if "best" in there else {}
    )
    assert found.first_available == f"face is {face}." + " rare is best." * ("best" in there)


def test_a_model_is_the_same_by_either_name():
    """The name is not part of the recipe, so nothing is trained again when a backbone is named itself."""
    named = plan(models={"face_one": {"streams": ["small"]}}, ensembles={})
    assert digest(named.fusion("face_one")) == digest(plan().fusion("face_one"))
    assert "taken" not in named.report() and named.taken("face_one") == {}


def test_without_any_of_them_the_model_is_skipped_with_every_reason():
    found = plan()
    assert "face_rare" not in found.models
    reason = found.missing["face_rare"]
    assert "backbones.best.weights names best.pth, which does not exist" in reason and "far.pth" in reason
    assert set(found.missing) == {"face_rare", "ensemble (whole)"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"small": ["best", "good"]}, r"first_available\.small has the name of a backbone, so a stream would have two"),
        (
            {"face": ["best", "smal"]},
            r"first_available\.face is 'smal', which does not exist\. .* Did you mean 'small'",
        ),
        ({"face": ["best", "best"]}, r"first_available\.face names a backbone twice: best, best"),
        ({"face": ["small", "best"]}, r"names best after small, which is not optional and is therefore always used"),
        ({"face": ["best", "voice"]}, r"mixes backbones of faces and of sound: best \(face\), voice \(audio\)"),
        ({"face": []}, r"first_available\.face is \[\]"),
        ({"sound": ["voice"]}, r"models\.face_one\.streams is 'face', which does not exist"),
        ({"face": ["voice"]}, r"models\.face_one reads audio \(voice\), so its name should begin with audio_"),
    ],
)
def test_mistakes_are_refused(names, message):
    with pytest.raises(ConfigError, match=message):
        plan(first_available=names)


def test_a_model_cannot_read_one_backbone_as_two_streams():
    raw = copy.deepcopy(CONFIG["models"]) | {"face_two": {"streams": ["face", "small"]}}
    with pytest.raises(ConfigError, match=r"models\.face_two\.streams \(face, small\) may stand for small, small, "):
        plan(models=raw)


def test_the_doctor_counts_the_largest_choice():
    needs = space.needs(plan().config, 100, 50)
    assert needs["fusion face_one"] > needs["fusion face_small"]
