"""Weights with a flipped bit are never used: the cache's own are put aside, others are told of."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from typer.testing import CliRunner

from emopipe.backbones import crossfit
from emopipe.backbones.classifier import Classifier, load_head, save_classifier
from emopipe.backbones.head_in_file import has_classifier
from emopipe.cache import metadata, tensors
from emopipe.commands.main import app
from emopipe.core.errors import DamagedCacheError, WeightsError
from emopipe.workflow.job import job_log
from tests.conftest import too_many_open_files
from tests.unit.test_pretraining_trainer import flips

WEIGHTS = Path("cache/demo/weights/net.safetensors")


@pytest.fixture(autouse=True)
def in_a_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def network(seed=0):
    torch.manual_seed(seed)
    return Classifier(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), 4)


def save_learned(path):
    states = [crossfit.state_of(network(seed)) for seed in range(3)]
    axes = [np.ones((5, 4), np.float32) * number for number in range(2)]
    fold_of = {f"clip{number}": number % 2 for number in range(8)}
    crossfit.save(crossfit.CrossfitWeights(states[0], states[1:], axes, fold_of), path, {"recipe_digest": "x"})


def save_head(path):
    save_classifier(network(), path, {"recipe_digest": "x"}, half=True)


def same(found, expected):
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in found)


@pytest.mark.parametrize("save", [save_learned, save_head])
def test_equal_weights_are_equal_bytes_and_come_back(save):
    save(WEIGHTS)
    whole = WEIGHTS.read_bytes()
    save(WEIGHTS)
    assert WEIGHTS.read_bytes() == whole
    assert same(tensors.read(WEIGHTS, sealed=True)[0], load_file(WEIGHTS))
    assert metadata.read_metadata(WEIGHTS).keys() <= {"recipe_digest", "fold_of", "classes"}


def test_all_kinds_of_numbers_are_sealed():
    state = {
        "scalar": torch.tensor(3),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "true": torch.ones(3, dtype=torch.bool),
        "nothing": torch.ones(0, 3),
        "channels last": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
    }
    tensors.save_state(state, WEIGHTS, {"ä": "\udcff"})
    found, about = tensors.read(WEIGHTS, sealed=True)
    assert same(found, state) and about == {"ä": "\udcff"}


@pytest.mark.slow
def test_no_flipped_bit_in_what_was_learned_goes_unseen():
    save_learned(WEIGHTS)
    whole = WEIGHTS.read_bytes()
    for damaged in [b"", whole[:100], whole[:-1], *flips(whole)]:
        WEIGHTS.write_bytes(damaged)
        with pytest.raises(DamagedCacheError, match=r"net\.safetensors is damaged: it does not hold whole weights: "):
            crossfit.load(WEIGHTS)
        assert metadata.made_by(WEIGHTS, {}) is False  # as planning asks


@pytest.mark.slow
def test_no_flipped_number_of_a_chain_goes_unseen():
    save_head(WEIGHTS)
    whole = WEIGHTS.read_bytes()
    begin = 8 + int.from_bytes(whole[:8], "little")
    for damaged in flips(whole[begin:]):
        WEIGHTS.write_bytes(whole[:begin] + damaged)
        with pytest.raises(DamagedCacheError, match="its content is not what was written"):
            tensors.load_strict(network().backbone, WEIGHTS)
        with pytest.raises(DamagedCacheError, match="its content is not what was written"):
            load_head(network(), WEIGHTS)


def test_weights_that_the_system_cannot_open_just_now_are_not_missing(monkeypatch):
    """Safetensors calls every refusal of the system a file that does not exist; a run would train once more."""
    save_head(WEIGHTS)
    for ask in (lambda path: metadata.made_by(path, {}), metadata.read_metadata, has_classifier, tensors.read):
        with too_many_open_files(), pytest.raises(WeightsError, match=r"\(Too many open files\).*may be intact"):
            ask(WEIGHTS)
    assert metadata.made_by(WEIGHTS.with_name("none.safetensors"), {}) is False


def test_metadata_that_are_none_are_told():
    for text in ("[]", "{", "1"):
        save_file({"a": torch.zeros(1)}, "a.safetensors", {metadata.METADATA: text})
        with pytest.raises(WeightsError, match="cannot be read"):
            metadata.read_metadata("a.safetensors")
        assert metadata.made_by(Path("a.safetensors"), {}) is False


@pytest.mark.parametrize("read", [crossfit.load, has_classifier])
def test_a_job_puts_the_caches_own_aside(read):
    save_learned(WEIGHTS)
    WEIGHTS.write_bytes(WEIGHTS.read_bytes()[:-100])
    with pytest.raises(SystemExit), job_log("a.log"):
        read(WEIGHTS)
    assert [file.name for file in WEIGHTS.parent.iterdir()] == ["net.safetensors.damaged"]
    renamed = "The damaged file is now cache/demo/weights/net.safetensors.damaged."
    assert f"Run the workflow again to rebuild it. {renamed}" in Path("a.log").read_text()


def test_a_users_own_stay_where_they_are():
    path = Path("own/net.safetensors")
    save_head(path)
    content = path.read_bytes()
    for damaged in (content[:-1], content[:-1] + bytes([content[-1] ^ 1])):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match=r"own/net\.safetensors cannot be read \(.*Download or make it again"):
            tensors.load_strict(network().backbone, path)
    path.write_bytes(content[:100])
    with pytest.raises(WeightsError, match="cannot be read"):
        has_classifier(path)
    with pytest.raises(WeightsError, match="cannot be read"):
        has_classifier(WEIGHTS)  # missing, not damaged


def test_weights_of_other_programs_need_no_seal():
    state = network().backbone.state_dict()
    save_file(state, "other.safetensors", {"format": "pt"})
    tensors.load_strict(network(1).backbone, "other.safetensors")
    save_file({"axes0": torch.zeros(2, 1)}, "other.safetensors", {metadata.METADATA: json.dumps({"fold_of": "{}"})})
    with pytest.raises(WeightsError, match="it has no digest of its content"):
        crossfit.load(Path("other.safetensors"))


def verify():
    return CliRunner().invoke(app, ["verify", "cache"])


@pytest.mark.parametrize("damage", [lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]), lambda whole: whole[:50]])
def test_verify_reads_weights(damage):
    save_learned(WEIGHTS)
    save_head(WEIGHTS.with_name("net.step0.safetensors"))
    save_file({"a": torch.zeros(1)}, WEIGHTS.with_name("other.safetensors"))
    WEIGHTS.with_name(".net.123.tmp.safetensors").write_bytes(b"half")
    found = verify()
    assert found.exit_code == 0 and "2 of 2 files are intact" in found.output
    WEIGHTS.write_bytes(damage(WEIGHTS.read_bytes()))
    found = verify()
    assert found.exit_code == 1 and "1 of 2 files are intact" in found.output
    assert "net.safetensors is damaged: it does not hold whole weights: " in found.output
    left = {"net.safetensors.damaged", "net.step0.safetensors", "other.safetensors", ".net.123.tmp.safetensors"}
    assert {path.name for path in WEIGHTS.parent.iterdir()} == left


def test_verify_leaves_weights_that_may_not_be_read(monkeypatch):
    def refuse(*_, **__):
        raise PermissionError("Permission denied")

    save_head(WEIGHTS)
    monkeypatch.setattr(tensors, "load_file", refuse)
    found = verify()
    assert found.exit_code == 1 and "cannot be read (Permission denied). Make the file readable." in found.output
    assert [path.name for path in WEIGHTS.parent.iterdir()] == ["net.safetensors"]
