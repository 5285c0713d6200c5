"""The rows of configs/paper.yaml: what is planned without the weights of others, and what with them."""

import functools
import re
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from emopipe.backbones import registry
from emopipe.weights.entries import package_registry
from emopipe.workflow import config as configs
from emopipe.workflow.digests import Digests
from emopipe.workflow.plan import Plan

REPOSITORY = Path(__file__).parents[2]
RAW = configs.read(REPOSITORY / "configs/paper.yaml")
OWN = {"expression", "expression_all", "logmel", "spectrogram"}
"""Backbones that need no weights."""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder to run in, with no weights of others."""
    monkeypatch.delenv("EMOPIPE_WEIGHTS", raising=False)
    monkeypatch.chdir(tmp_path)


@functools.cache
def config():
    return parsed()


def parsed(**changes):
    return configs.parse({**RAW, "corpus_root": "/data/AFEW", **changes})


def plan(**changes):
    """The plan of a corpus like AFEW; files at the paths of the registry count as its own."""
    clips = pd.DataFrame({"clip": list("abcdef"), "split": ["train"] * 3 + ["val"] * 2 + ["test"]})
    table = clips.assign(path=clips["clip"], label=["Happy", "Sad", "Sad", "Happy", "Sad", ""], subject="", digest="d")
    known = {f"weights/{entry.file}": entry.sha256 for entry in package_registry() if entry.sha256}
    return Plan(
        parsed(**changes) if changes else config(), table, REPOSITORY / "workflow_scripts", digests=Digests(known)
    )


def write_classifier(path):
    """A tiny network with a fully connected layer at its end."""
    shapes = {"w": (3, 2), "b": (2,)}
    tensors = [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in shapes.items()]
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["pooled"], axes=[2, 3], keepdims=0),
        helper.make_node("Gemm", ["pooled", "w", "b"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, "H", "W"])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])]
    model = helper.make_model(helper.make_graph(nodes, "net", inputs, outputs, tensors), ir_version=8)
    onnx.save(model, path)


def provide(*backbones):
    """Write files at the paths of these backbones' weights, of which plans read no content; ONNX networks are real."""
    Path("weights").mkdir(exist_ok=True)
    for name in backbones:
        block = config().backbones[name]
        path = Path(block.weights or block.options["weights"])
        write_classifier(path) if path.suffix == ".onnx" else path.write_text(path.name)


def optional():
    return [name for name, block in config().backbones.items() if block.optional]


@pytest.mark.slow
def test_without_weights_what_needs_none_is_planned_and_each_other_row_says_why():
    found = plan()
    assert set(found.backbones) == OWN
    skipped = {name: block for name, block in config().models.items() if name not in found.models}
    for name in skipped:
        assert re.search(r"which does not exist\. Put the weights|Run `emopipe weights fetch", found.missing[name])
    assert {name for name in skipped if name.startswith("fused_")} == {"fused_alexnet"}
    assert "alexnet_imagenet: weights/alexnet-owt-7be5be79.pth does not exist" in found.missing["audio_alexnet_logmel"]
    assert "weights/vggface_rafdb.pth" in found.missing["face_vggface_rafdb"]
    for model in found.models:
        assert found.fusion(model)["features"]
    assert found.report()["taken"]["fused_transformer_transformer"] == "face is expression."
    assert found.report()["taken"]["face_fan"] == "fan is expression_all."


@pytest.mark.slow
def test_with_all_weights_every_row_is_planned():
    provide(*optional())
    found = plan()
    assert found.missing_backbones == {} and found.missing == {}
    recipes = {model: found.fusion(model) for model in config().models}
    assert recipes["fused_transformer_transformer"]["streams"] == {"ir50_affectnet": "face", "logmel": "audio"}
    assert recipes["face_fan"]["streams"] == {"resnet18_ferplus_all": "face"}
    assert recipes["face_all_frames"]["streams"] == {"ir50_affectnet_all": "face"}
    assert recipes["fused_augmented"]["features"].keys() >= {"ir50_affectnet", "ir50_affectnet@flip"}
    taken = found.report()["taken"]
    assert {taken[name] for name in ("fused_transformer_transformer", "fused_augmented")} == {"face is ir50_affectnet."}
    assert taken["ensemble"] == "face is ir50_affectnet."


@pytest.mark.slow
def test_a_network_that_is_there_is_enough_for_its_own_rows():
    """One file may serve several networks: as it is, on all frames, and tuned."""
    models = config().models
    by_file = {}
    for name in optional():
        block = config().backbones[name]
        by_file.setdefault(block.weights or block.options["weights"], []).append(name)
    for path, names in by_file.items():
        provide(names[0])
        found = plan()
        assert set(found.backbones) == OWN | set(names)
        rows = [model for model, block in models.items() if set(block.streams) & set(names)]
        assert rows and set(rows) <= set(found.models)
        Path(path).unlink()


def test_both_names_of_faces_stand_for_the_same_networks():
    """Otherwise, the comparison of all frames with sixteen would compare networks as well."""
    names = RAW["first_available"]
    assert names["face_all"] == [f"{name}_all" for name in names["face"]]
    for name in names["face"]:
        one, every = config().backbones[name], config().backbones[f"{name}_all"]
        differ = {key for key, value in one.model_dump().items() if every.model_dump()[key] != value}
        assert differ <= {"faces", "views"} and (one.faces, every.faces) == ("main", "every")


@pytest.mark.parametrize("name", RAW["first_available"])
def test_any_network_that_face_may_be_fits_every_row(name):
    """Whichever network comes first, rows with views have them."""
    views = {tuple(RAW["backbones"][backbone].get("views", ())) for backbone in RAW["first_available"][name]}
    augmented = any(name in block["streams"] and block.get("augment") for block in RAW["models"].values())
    assert not augmented or views == {("flip",)}


@pytest.mark.slow
def test_the_papers_model_follows_the_best_network_that_there_is():
    order = RAW["first_available"]["face"]
    for name in reversed(order[:-1]):
        provide(name)
        found = plan(paper_figures=True).report()
        assert found["taken"]["fused_transformer_transformer"] == f"face is {name}."
        assert found["paper"]["fused_transformer_transformer"] == "234/383 (61.1%)"


def test_fan_is_as_its_authors_code_has_it():
    fan = config().models["face_fan"]
    assert (fan.face_attention, fan.frames, fan.sampling) == ("relation", 3, "segments")
    assert (fan.attention_dropout, fan.dropout, fan.mixup, fan.label_smoothing) == (0.5, 0.6, 0, 0)
    assert (fan.optimizer, fan.lr, fan.momentum, fan.weight_decay) == ("sgd", 4e-3, 0.9, 1e-4)
    assert (fan.epochs, fan.batch, fan.lr_steps.every, fan.lr_steps.factor) == (180, 48, 60, 0.2)
    assert config().decode[config().faces[config().backbones["resnet18_ferplus_all"].faces].decode].policy == "all"


def test_concatenation_and_bilinear_pooling_read_the_same_streams():
    models = config().models
    first, second = models["fused_transformer_transformer"], models["fused_concat_two"]
    differ = {key for key, value in first.model_dump().items() if second.model_dump()[key] != value}
    assert differ == {"fusion", "paper"} and (first.fusion, second.fusion) == ("fbp", "concat")
    pairs = [(one.model, one.against) for one in config().comparisons]
    assert ("fused_transformer_transformer", "fused_concat_two") in pairs


@pytest.mark.parametrize("stream", ["logmel", "spectrogram"])
def test_pairs_of_attentions(stream):
    found = {
        (block.face_attention, block.audio_attention)
        for block in config().models.values()
        if block.streams == ["face", stream] and block.fusion == "fbp" and not block.augment
    }
    faces, sounds = ("self", "relation", "transformer"), ("self", "relation", "patch", "transformer")
    assert found == {(face, sound) for face in faces for sound in sounds}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet_logmel", "alexnet_spectrogram"])
def test_alexnet_in_full_width_takes_imagenets_weights(name):
    """A file with the keys and shapes of torchvision's AlexNet (a classifier included) loads into the row's network."""
    block = config().backbones[name]
    options = registry.options_class(block.kind).model_validate(block.options)
    shapes = {"0": (64, 3, 11, 11), "3": (192, 64, 5, 5), "6": (384, 192, 3, 3), "8": (256, 384, 3, 3)}
    shapes["10"] = (256, 256, 3, 3)
    torch.manual_seed(0)
    state = {f"features.{n}.weight": torch.randn(shape) for n, shape in shapes.items()}
    state |= {f"features.{n}.bias": torch.randn(shape[0]) for n, shape in shapes.items()}
    for n, shape in {"1": (8, 9216), "4": (8, 8), "6": (1000, 8)}.items():
        state |= {f"classifier.{n}.weight": torch.zeros(shape), f"classifier.{n}.bias": torch.zeros(shape[0])}
    Path("weights").mkdir()
    torch.save(state, "weights/alexnet.pth")
    network = registry.build(block.kind, options)
    registry.load(block.kind, options, network, "weights/alexnet.pth")
    first = state["features.0.weight"]
    expected = first if name == "alexnet_logmel" else first.sum(1, keepdim=True)
    torch.testing.assert_close(network.features[0].weight.detach(), expected)
    torch.testing.assert_close(network.features[10].bias.detach(), state["features.10.bias"])
    assert len(network.norms) == 0 and registry.spec(block.kind, options).dim == 256


@pytest.mark.slow
def test_the_submissions_protocol_trains_on_val_too():
    found = plan(protocol={"kind": "final"}, run="paper_final")
    assert found.fusion("fused_transformer_transformer")["protocol"]["kind"] == "final"
    assert found.has_unlabelled_test and found.scored_splits == []
    assert found.report()["ensembles"] and "paper_final" in (REPOSITORY / "configs/paper.yaml").read_text()
