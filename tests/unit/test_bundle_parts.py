"""What may be in a bundle: weights by their terms, and the config as others may read it."""

import json
import types

import pytest
import torch
import yaml

from emopipe.cache.tensors import read, save_state
from emopipe.core.atomic import sha256
from emopipe.export import public_config, terms
from emopipe.export.weights_inside import WeightsInside
from emopipe.inference.description import Weights
from emopipe.inference.model import FacePreset, Stream
from emopipe.weights import entries
from emopipe.weights.entries import package_registry
from tests.unit.test_backbones import tiny_onnx

PASSED_ON = ["MIT", "BSD-3-Clause", "Apache-2.0", "CC BY-NC 4.0", "CC BY-NC-SA 4.0"]


def registry_of(folder, net, licence):
    """A registry with one network of the kind onnx, whose content is that of a file."""
    entry = {"name": "net", "kind": "onnx", "file": "net.onnx", "url": "https://example.org/net.onnx", "dim": 4}
    entry |= {"sha256": sha256(net), "licence": licence, "noncommercial": True, "citation": "Someone, 2020"}
    entry |= {"input": {"crop_units": 112.0, "size": 4, "colour": "rgb", "mean": [0.0] * 3, "std": [1.0] * 3}}
    (folder / "registry.yaml").write_text(yaml.safe_dump([entry]))
    return entries.read(folder / "registry.yaml")


def stream_of(net, **options):
    return Stream("onnx", {"weights": str(net), "size": 4, **options}, "face", str(net), None, "main", 1)


@pytest.fixture
def run():
    block = types.SimpleNamespace(schedule=[], weights=None)
    config = types.SimpleNamespace(backbones={"face": block}, sources={}, corpus=types.SimpleNamespace(name="c"))
    return types.SimpleNamespace(config=config)


@pytest.mark.parametrize("licence", PASSED_ON)
def test_weights_that_may_be_passed_on_are_copied_with_their_licence(licence, run, tmp_path):
    net = tiny_onnx(tmp_path)
    inside = WeightsInside(run, tmp_path / "b", registry_of(tmp_path, net, licence))
    assert inside.of_stream("face", stream_of(net)) == Weights(path="weights/face/tiny.onnx")
    assert (tmp_path / "b/weights/face/tiny.onnx").read_bytes() == net.read_bytes()
    terms.write_texts(inside.parts, tmp_path / "b/LICENSES", inside.registry)
    listed = (tmp_path / "b/LICENSES/README.md").read_text()
    text = terms.PASSED_ON[licence]
    assert f"`weights/face/tiny.onnx` (the face network face): {licence}, see {text}" in listed
    assert "cite: Someone, 2020" in listed and "for non-commercial use only" in listed
    assert (tmp_path / "b/LICENSES" / text).stat().st_size > 100


@pytest.mark.parametrize("licence", ["InsightFace's own", "MIT for its code", "research use"])
def test_other_weights_are_named_wherever_their_file_lies(licence, run, tmp_path):
    net = tiny_onnx(tmp_path)
    inside = WeightsInside(run, tmp_path / "b", registry_of(tmp_path, net, licence))
    named = Weights(name="net", sha256=sha256(net))
    assert inside.of_stream("face", stream_of(net)) == named
    assert inside.of_faces("main", FacePreset("yunet", {}, str(net), "frames", 95)) == named
    assert not (tmp_path / "b").exists() and [part.path for part in inside.parts] == [None, None]


def test_a_network_of_a_schedule_keeps_its_classes_and_loses_what_names_people(run, tmp_path):
    block, step = run.config.backbones["face"], tmp_path / "face.step0.safetensors"
    block.schedule, block.weights = [{"sources": ["stills"]}, {"sources": ["stills", "more"]}], "/nets/start.pth"
    run.config.sources = {name: types.SimpleNamespace(kind="fer2013") for name in ("stills", "more")}
    seen = {"classes": {"Happy": 3}, "speakers": ["ravdess/07"], "contents": "00ff"}
    about = {"classes": '["Angry"]', "trained_on": json.dumps(seen), "recipe": "/nets/start.pth"}
    save_state({"w": torch.ones(2)}, step, about)
    inside = WeightsInside(run, tmp_path / "b")
    found = inside.of_stream("face", Stream("expression", {}, "face", str(step), None, "main", 1))
    assert found == Weights(path="weights/face.safetensors")
    tensors, kept = read(tmp_path / "b/weights/face.safetensors", sealed=True)
    assert list(tensors) == ["w"] and kept == {"classes": '["Angry"]', "trained_on": '{"classes":{"Happy":3}}'}
    (part,) = inside.parts
    assert (
        part.origin == "trained by the run on fer2013 (stills), fer2013 (more), started from a file of the user's own"
    )
    assert "/nets" not in str(part)


def test_a_file_of_the_user_is_copied_with_its_tensors_and_a_warning(run, tmp_path):
    (tmp_path / "tensors.bin").write_bytes(bytes(12))
    net = tiny_onnx(tmp_path, place="tensors.bin")
    inside = WeightsInside(run, tmp_path / "b")
    assert inside.of_stream("face", stream_of(net)) == Weights(path="weights/face/tiny.onnx")
    assert {path.name for path in (tmp_path / "b/weights/face").iterdir()} == {"tiny.onnx", "tensors.bin"}
    (part,) = inside.parts
    assert part.licence == terms.UNKNOWN and "has to know that they may" in part.note


def test_the_terms_of_every_entry_are_decided():
    """A new licence in the registry has to be looked at: may such weights be in a bundle?"""
    own = {entry.licence for entry in package_registry() if entry.shipped}
    named = {"MIT for its code", "InsightFace's own"}
    assert {entry.licence for entry in package_registry()} == own | named | {*PASSED_ON}
    assert [entry.name for entry in package_registry() if not terms.may_be_passed_on(entry)] == [
        "ir_se50_msceleb", "arcface_r50", "arcface_mobilefacenet", "scrfd_500m", "scrfd_2g5", "scrfd_10g"
    ]  # fmt: skip


PRIVATE = {
    "run": "mine",
    "corpus_root": "/data/people",
    "corpus": {"name": "c", "kind": "table", "options": {"val_subjects": ["anna"]}},
    "backbones": {
        "a": {"weights": "/home/anna/nets/face.pth", "options": {"side": 112}},
        "b": {"weights": "weights/mine.safetensors"},
        "c": {"weights": "~/net.onnx"},
        "d": {"weights": "D:\\nets\\voice.onnx"},
        "e": {"weights": "expression"},
        "f": {"kind": "hf:/home/anna/nets/wav2vec2"},
        "g": {"kind": "timm:resnet18"},
        "h": {"weights": "\\\\server\\share\\voice.pt"},
    },
    "sources": {"s": {"kind": "folder", "path": "/data/stills/", "options": {"subject_pattern": "(?P<subject>anna)"}}},
}


def test_a_config_has_no_paths_and_no_people():
    text = public_config.to_yaml(PRIVATE)
    made = yaml.safe_load(text)
    assert text.startswith("# The config of the run") and "corpus_root" not in made
    assert made["corpus"] == {"name": "c", "kind": "table"}
    weights = [block["weights"] for block in made["backbones"].values() if "weights" in block]
    assert weights == ["face.pth", "weights/mine.safetensors", "net.onnx", "voice.onnx", "expression", "voice.pt"]
    assert made["sources"]["s"] == {"kind": "folder", "path": "stills"}
    assert [made["backbones"][name]["kind"] for name in "fg"] == ["hf:wav2vec2", "timm:resnet18"]
    assert made["backbones"]["a"]["options"] == {"side": 112}
    for private in ("anna", "/data", "D:", "server"):
        assert private not in text
