"""Pretraining on stills and speech of other corpora: the stage, the command, recipes, and a plan's schedules."""

import copy
import json
import os
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
import yaml
from safetensors.torch import load_file
from tensorboardX.proto.event_pb2 import Event
from typer.testing import CliRunner

from emopipe.backbones import registry
from emopipe.backbones.nets.expression import ExpressionNet
from emopipe.cache import metadata
from emopipe.cache import tensors as files_of_weights
from emopipe.cache.partial import partial_folder
from emopipe.cache.tensors import HEAD
from emopipe.commands import pretrain as pretrain_command
from emopipe.commands.main import app
from emopipe.core.errors import CacheError, ConfigError, CorpusError, EmopipeError, WeightsError
from emopipe.core.fingerprint import digest
from emopipe.core.labels import CLASSES
from emopipe.core.validation import checked
from emopipe.faces import detectors
from emopipe.stages import chain
from emopipe.training import checkpoint, curves, history
from emopipe.training.loading import load_dataset
from emopipe.training.phase_options import SpeechPhase, StillsPhase, phase_class
from emopipe.training.sources import SourceBlock, content
from emopipe.training.trainer import Trainer
from emopipe.workflow import config as configs
from emopipe.workflow.plan import Plan
from emopipe.workflow.training_recipe import phase_recipe

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
FACE = {"size": 16, "width": 2, "units": [1, 1, 1], "dim": 4}
VOICE = {"width": 0.03, "spectrum": {"kind": "logmel", "n_mels": 16, "n_fft": 400}}
FAST = {"epochs": 2, "batch": 7, "lr": 0.01, "ema": 0.5}
RAVDESS = {"Neutral": "01", "Happy": "03", "Sad": "04", "Angry": "05", "Fear": "06", "Disgust": "07", "Surprise": "08"}


def png(label, seed=0, size=20):
    """A grey pattern of a class: so many stripes."""
    across = np.sin(2 * np.pi * (CLASSES.index(label) + 1) * np.arange(size) / size)
    noise = np.random.default_rng(seed).normal(0, 10, (size, size))
    return cv2.imencode(".png", (128 + 80 * across[None] + noise).clip(0, 255).astype(np.uint8))[1].tobytes()


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of two corpora of stills, of three and two a class, and one of speech by three actors."""
    root = tmp_path_factory.mktemp("data")
    for label in CLASSES:
        for number in range(2):
            write(root / f"first/train/{label}/{number}.png", png(label, number))
        write(root / f"first/val/{label}/9.png", png(label, 9))
        for number in range(2):
            write(root / f"second/{label}/{number}.png", png(label, 20 + number, size=16 + number))
    write(root / "first/train/Happy/broken.png", b"no picture")
    for actor in ("01", "02", "03"):
        for number, (label, code) in enumerate(sorted(RAVDESS.items())):
            wave = 0.3 * np.sin(2 * np.pi * (200 * (number + 1) + int(actor)) * np.arange(4800) / 16_000)
            path = root / f"voices/{actor}/03-01-{code}-01-01-01-{actor}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, wave, 16_000)
            assert RAVDESS[label] == code
    return root


def face_recipe(**keys):
    """Weights of a face network in two phases, as a recipe's file has it."""
    return {
        "kind": "expression",
        "options": FACE,
        "sources": {"a": {"kind": "folder", "path": "first"}, "b": {"kind": "folder", "path": "second"}},
        "schedule": [{"sources": ["a", "b"], **FAST}, {"sources": ["b"], **FAST, "lr": 1e-30, "ema": 0, "epochs": 1}],
        "half": True,
        **keys,
    }


VOICES = {"kind": "ravdess", "path": "voices", "options": {"modality": "audio", "val_subjects": ["03"]}}


def voice_recipe(**keys):
    phase = {"sources": ["v"], **FAST, "seconds": 0.4, "stop": {"hold_out": 0.5, "patience": 1}}
    return {"kind": "audio_alexnet", "options": VOICE, "sources": {"v": VOICES}, "schedule": [phase], **keys}


def pretrain(folder, data, recipe, out="net.safetensors", device="cpu"):
    folder.mkdir(exist_ok=True)
    (folder / "recipe.yaml").write_text(recipe if isinstance(recipe, str) else yaml.safe_dump(recipe))
    arguments = ["pretrain", folder / "recipe.yaml", "--data", data, "--out", folder / out, "--device", device,
                 "--threads", 1]  # fmt: skip
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="module")
def faces(data, tmp_path_factory):
    """The folder in which `emopipe pretrain` made a face network."""
    folder = tmp_path_factory.mktemp("faces")
    result = pretrain(folder, data, face_recipe())
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def voices(data, tmp_path_factory):
    """The folder in which `emopipe pretrain` made an audio network."""
    folder = tmp_path_factory.mktemp("voices")
    result = pretrain(folder, data, voice_recipe())
    assert result.exit_code == 0, result.output
    return folder


# --- what is made


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "recipe.yaml")


@pytest.mark.slow
def test_all_that_is_promised_is_there_and_nothing_else(faces, voices):
    made = ["net.csv", "net.events", "net.png", "net.safetensors"]
    assert names(voices) == made
    assert names(faces) == sorted(made + [name.replace("net", "net.step0") for name in made])


@pytest.mark.slow
def test_the_metadata_says_what_made_it(faces):
    for name in ("net.step0", "net"):
        about = metadata.read_metadata(faces / f"{name}.safetensors")
        recipe = json.loads(about["recipe"])
        assert about["recipe_digest"] == digest(recipe) and about["device"] == "cpu"
        assert json.loads(about["classes"]) == list(CLASSES)
        assert (recipe["kind"], recipe["half"], recipe["options"]["width"]) == ("expression", True, 2)
        assert str(faces) not in about["recipe"]
    first = metadata.read_metadata(faces / "net.step0.safetensors")["recipe_digest"]
    assert recipe["start"] == first and set(recipe["sources"]) == {"b"}


def loaded(path, kind="expression", keys=FACE):
    options = registry.options_class(kind).model_validate(keys)
    torch.manual_seed(7)
    network = registry.build(kind, options)
    registry.load(kind, options, network, path)
    return network.eval()


@pytest.mark.slow
def test_half_precision_weights_extract_as_whole_ones(faces, data, tmp_path):
    whole = face_recipe(half=False, schedule=face_recipe()["schedule"][:1])
    assert pretrain(tmp_path, data, whole).exit_code == 0
    whole, half = load_file(tmp_path / "net.safetensors"), load_file(faces / "net.step0.safetensors")
    assert whole.keys() == half.keys()
    kinds = {key: (whole[key].dtype, half[key].dtype) for key in whole}
    assert kinds["fc.weight"] == (torch.float32, torch.float16)
    assert kinds["norm.num_batches_tracked"] == (torch.int64, torch.int64)
    assert {f"{HEAD}weight", f"{HEAD}bias"} < set(half) and half[f"{HEAD}weight"].shape == (7, 4)
    for key in whole:
        torch.testing.assert_close(half[key].float(), whole[key].float(), atol=1e-3, rtol=1e-3)
    network = loaded(faces / "net.safetensors")
    assert network.fc.weight.dtype == torch.float32
    faces_in = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        vectors = network(faces_in)
    assert vectors.shape == (3, 4) and vectors.isfinite().all() and vectors.std(0).min() > 0


@pytest.mark.slow
def test_a_phase_trains_on_faces_as_clips_show_them(data, tmp_path):
    """The weights are other ones than those of a recipe without these degradations."""
    clips = dict.fromkeys(("yaw", "strong_blur", "low_light", "small", "jpeg"), 0.5)
    made = []
    for number, augment in enumerate((clips, {})):
        recipe = face_recipe(half=False)
        recipe["schedule"] = [recipe["schedule"][0] | {"augment": augment}]
        result = pretrain(tmp_path / f"{number}", data, recipe)
        assert result.exit_code == 0, result.output
        made.append(load_file(tmp_path / f"{number}" / "net.safetensors")["fc.weight"])
    assert made[0].isfinite().all() and not torch.equal(*made)


@pytest.mark.slow
def test_a_next_phase_goes_on_with_the_classifier_too(faces):
    """The learning rate of the second phase is almost 0, so its weights are those of the first."""
    first, second = load_file(faces / "net.step0.safetensors"), load_file(faces / "net.safetensors")
    for key in [key for key in first if "running" not in key and "num_batches" not in key]:
        assert torch.equal(first[key], second[key]), key


@pytest.mark.slow
@pytest.mark.parametrize("last", [(), ("fc.weight",)])
def test_a_frozen_phase_trains_the_last_layers_alone(faces, data, tmp_path, monkeypatch, last):
    monkeypatch.setattr(ExpressionNet, "LAST_LAYERS", last, raising=False)
    recipe = face_recipe(weights=str(faces / "net.step0.safetensors"), half=False)
    recipe |= {"schedule": [{"sources": ["b"], **FAST, "frozen": True}]}
    result = pretrain(tmp_path, data, recipe)
    assert result.exit_code == 0, result.output
    before, after = load_file(faces / "net.step0.safetensors"), load_file(tmp_path / "net.safetensors")
    trained = {key for key in before if not torch.equal(before[key].float(), after[key])}
    parameters = {key for key in trained if "running" not in key and "num_batches" not in key}
    assert parameters == {"emotion_head.weight", "emotion_head.bias", *last}


@pytest.mark.slow
def test_a_phase_from_scratch_is_distilled_from_the_one_before(faces, data, tmp_path):
    """With all of the target from the teacher, labels do not count; with none of it, they do."""
    made = {}
    for name, keys in (("all", {"distill_weight": 1.0, "from_scratch": True, "seed": 5}), ("none", {})):
        for labels in ({}, {"Happy": "Sad", "Sad": "Happy"}):
            recipe = face_recipe(weights=str(faces / "net.step0.safetensors"), half=False)
            block = {"kind": "folder", "path": "second", "options": {"labels": labels}}
            recipe |= {"sources": {"b": block}, "schedule": [{"sources": ["b"], **FAST, **keys}]}
            result = pretrain(tmp_path / f"{name}{len(labels)}", data, recipe)
            assert result.exit_code == 0, result.output
            made[name, len(labels)] = load_file(tmp_path / f"{name}{len(labels)}" / "net.safetensors")["fc.weight"]
    assert torch.equal(made["all", 0], made["all", 2]) and not torch.equal(made["none", 0], made["none", 2])
    start = load_file(faces / "net.step0.safetensors")["fc.weight"].float()
    assert (made["all", 0] - start).abs().max() > 0.1 > (made["none", 0] - start).abs().max()  # one began elsewhere


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "start", "said"),
    [
        ({"distill_weight": 0.5}, False, "the phase starts from (none) have no classifier"),
        (
            {"distill_weight": 0.5},
            True,
            "no classifier that could teach. Start from weights that `emopipe pretrain`",
        ),
        ({"from_scratch": True}, False, "not the teacher (distill_weight is 0, teacher is start)"),
    ],
)
def test_who_cannot_teach(faces, data, tmp_path, phase, start, said):
    from safetensors.torch import save_file

    own = {key: value for key, value in load_file(faces / "net.step0.safetensors").items() if HEAD not in key}
    save_file(own, tmp_path / "own.safetensors")
    weights = {"weights": str(tmp_path / "own.safetensors")} if start else {}
    result = pretrain(tmp_path, data, face_recipe(schedule=[{"sources": ["b"], **FAST, **phase}], **weights))
    assert result.exit_code == 1 and said in result.output


def test_numbers_too_large_for_half_precision_are_kept_whole(tmp_path):
    from emopipe.backbones.classifier import Classifier, save_classifier

    network = registry.build("expression", registry.options_class("expression").model_validate(FACE))
    network.norm.running_var.fill_(1e6)
    save_classifier(Classifier(network, 4), tmp_path / "net.safetensors", {}, half=True)
    found = loaded(tmp_path / "net.safetensors")
    assert torch.equal(found.norm.running_var, torch.full((8,), 1e6)) and found.fc.weight.isfinite().all()


@pytest.mark.slow
def test_audio_weights_extract(voices):
    network = loaded(voices / "net.safetensors", "audio_alexnet", VOICE)
    with torch.no_grad():
        vectors = network(torch.rand(2, 3, 16, 100))
    assert vectors.shape == (2, len(network.patch_times(100)), 8) and vectors.isfinite().all()
    assert load_file(voices / "net.safetensors")["features.0.weight"].dtype == torch.float32


@pytest.mark.slow
def test_the_history_has_a_row_an_epoch(faces, voices):
    for folder, held in ((faces / "net.step0.csv", False), (voices / "net.csv", True)):
        table = pd.read_csv(folder)
        assert list(table.columns) == history.COLUMNS
        assert table["epoch"].tolist() == [1, 2]
        assert table[["lr", "loss", "val_loss", "val_accuracy", "val_uar"]].notna().all(axis=None)
        assert table.filter(like="held_out").notna().all(axis=None) == held
        assert table.filter(like="held_out").notna().any(axis=None) == held
    second = pd.read_csv(faces / "net.csv")  # `second` has no splits, so there is no validation
    assert len(second) == 1 and second.filter(like="val_").isna().all(axis=None)


def events(folder):
    """(step, tag, value) of TensorBoard's event files: records of length, its checksum, content, its checksum."""
    (file,) = folder.glob("events.out.tfevents.*")
    data, found, at = file.read_bytes(), [], 0
    while at < len(data):
        (length,) = struct.unpack("<Q", data[at : at + 8])
        event = Event.FromString(data[at + 12 : at + 12 + length])
        at += length + 16
        found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
    return found


@pytest.mark.slow
def test_tensorboard_can_read_how_it_went(voices):
    told = {(step, tag): value for step, tag, value in events(voices / "net.events")}
    table = pd.read_csv(voices / "net.csv")
    assert len(told) == 2 * 8
    for row in table.itertuples():
        assert told[row.epoch, "training/loss"] == pytest.approx(row.loss, abs=1e-5)
        assert told[row.epoch, "training/lr"] == pytest.approx(row.lr, abs=1e-5)
        for part in ("val", "held_out"):
            for score in ("loss", "accuracy", "uar"):
                wanted = getattr(row, f"{part}_{score}")
                assert told[row.epoch, f"{part}/{score}"] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.slow
def test_the_curves_are_drawn(faces, voices):
    for path in (faces / "net.png", faces / "net.step0.png", voices / "net.png"):
        picture = cv2.imread(str(path))
        assert picture.shape[0] > 300 and picture.shape[1] > 800
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50 and (picture == 255).all(2).mean() > 0.5
    assert not np.array_equal(cv2.imread(str(faces / "net.png")), cv2.imread(str(faces / "net.step0.png")))


@pytest.mark.slow
def test_made_weights_are_not_made_again(faces, data):
    before = {path: path.stat().st_mtime_ns for path in faces.glob("net*")}
    result = pretrain(faces, data, face_recipe())
    assert result.exit_code == 0 and result.output.count("already exists and was made by this recipe") == 2
    assert {path: path.stat().st_mtime_ns for path in faces.glob("net*")} == before


@pytest.mark.slow
def test_a_changed_last_phase_leaves_the_first(faces, data, tmp_path):
    for path in faces.glob("net*"):
        if path.is_file():
            write(tmp_path / path.name, path.read_bytes())
    before = (tmp_path / "net.step0.safetensors").stat().st_mtime_ns
    recipe = face_recipe()
    recipe["schedule"][1]["lr"] = 0.01
    assert pretrain(tmp_path, data, recipe).exit_code == 0
    assert (tmp_path / "net.step0.safetensors").stat().st_mtime_ns == before
    assert (tmp_path / "net.safetensors").read_bytes() != (faces / "net.safetensors").read_bytes()


@pytest.mark.slow
def test_a_command_that_is_cut_off_comes_to_the_same_bytes(faces, data, tmp_path, monkeypatch):
    write_metrics = curves.TensorBoardLog.write

    def cut_off(self, metrics):
        write_metrics(self, metrics)
        if metrics["epoch"] == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(curves.TensorBoardLog, "write", cut_off)
    monkeypatch.setattr(checkpoint, "SAVE_SECONDS", 0)
    assert pretrain(tmp_path, data, face_recipe()).exit_code != 0
    assert names(tmp_path) == [".net.step0.parts", "net.step0.events", "net.step0.safetensors.work"]
    monkeypatch.undo()
    result = pretrain(tmp_path, data, face_recipe())
    assert result.exit_code == 0 and "training resumes after epoch 1" in result.output
    assert result.output.count("reading stills") == 1  # those of the first phase are cropped already
    assert names(tmp_path) == names(faces)
    for name in ("net.safetensors", "net.step0.safetensors", "net.csv", "net.step0.csv"):
        assert (tmp_path / name).read_bytes() == (faces / name).read_bytes()
    assert events(tmp_path / "net.step0.events") == events(faces / "net.step0.events")


@pytest.mark.slow
def test_a_chain_may_start_from_weights(faces, data, tmp_path):
    """No optimizer step moves the weights, so what comes out is what went in."""
    write(tmp_path / "own.safetensors", (faces / "net.step0.safetensors").read_bytes())
    still = [{"sources": ["b"], "epochs": 1, "lr": 1e-30, "ema": 0, "weight_decay": 0}]
    recipe = face_recipe(schedule=still, weights=str(tmp_path / "own.safetensors"), half=False)
    assert pretrain(tmp_path, data, recipe).exit_code == 0
    came, went = load_file(tmp_path / "net.safetensors"), load_file(tmp_path / "own.safetensors")
    assert torch.equal(came["fc.weight"], went["fc.weight"])
    # A file in the folder of the corpora is found by its name, and is the same start.
    (tmp_path / "own.safetensors").rename(data / "own.safetensors")
    result = pretrain(tmp_path, data, recipe | {"weights": "own.safetensors"})
    assert result.exit_code == 0 and "was made by this recipe" in result.output
    (data / "own.safetensors").unlink()
    result = pretrain(tmp_path, data, recipe | {"weights": "own.safetensors"})
    assert result.exit_code == 1 and f"weights is own.safetensors, which is neither in {data} nor here" in result.output


def test_a_stills_corpus_without_splits_and_one_with_are_learned_from_together(data, tmp_path, caplog):
    sources = {
        name: SourceBlock(kind="folder", path=str(data / path)) for name, path in (("a", "first"), ("b", "second"))
    }
    spec = registry.spec("expression", registry.options_class("expression").model_validate(FACE))
    found = load_dataset(sources, StillsPhase(sources=["a", "b"]), spec, tmp_path, threads=1, device="cpu").dataset
    assert (found.split == "train").sum() == 2 * 7 + 2 * 7 and (found.split == "val").sum() == 7
    assert (found.split == "").sum() == 1  # the file that is no picture
    rows = np.flatnonzero(found.split == "val")
    (batch,) = found.eval_batches(rows, torch.device("cpu"))
    for view, label in zip(batch.views[0], found.targets[rows].argmax(1), strict=True):
        # Each still lies by its label: a class has so many stripes.
        stripes = np.abs(np.fft.rfft(view[0].mean(0).numpy()))[1:].argmax()
        assert stripes == label


@pytest.mark.slow
def test_the_detector_of_stills_runs_on_the_device_of_the_network(data, tmp_path, monkeypatch):
    def build(kind, options, **where):
        raise CorpusError(f"{kind} on {where['device']}")

    monkeypatch.setattr(detectors, "build", build)
    result = pretrain(tmp_path, data, changed(face_recipe(), "sources/a/detect", "mtcnn"), device="auto")
    assert result.exit_code == 1 and "mtcnn on auto" in result.output


@pytest.mark.slow
def test_speakers_of_two_corpora_are_different_people(data):
    sources = {name: SourceBlock(**(VOICES | {"path": str(data / "voices")})) for name in ("a", "b")}
    spec = registry.spec("audio_alexnet", registry.options_class("audio_alexnet").model_validate(VOICE))
    found = load_dataset(sources, SpeechPhase(sources=["a", "b"]), spec, data, threads=1, device="cpu").dataset
    assert set(found.subject[found.split == "train"]) == {"a/01", "a/02", "b/01", "b/02"}
    assert set(found.subject[found.split == "val"]) == {"a/03", "b/03"}
    assert len(found.split) == 2 * 3 * 7 and (found.targets.sum(0) == 6).all()


# --- what is refused


def changed(recipe, path, value):
    recipe = copy.deepcopy(recipe)
    *parents, key = path.split("/")
    block = recipe
    for parent in parents:
        block = block[int(parent) if isinstance(block, list) else parent]
    if value is ...:
        del block[key]
    else:
        block[int(key) if isinstance(block, list) else key] = value
    return recipe


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (
            "shedule",
            [],
            "Known keys here: kind, options, weights, sources, schedule, classes, half. Did you mean 'schedule'?",
        ),
        ("schedule/1/epoch", 3, "Unknown key schedule.1.epoch (value 3). Known keys here: epochs, batch"),
        ("schedule/0/augment", {"blurr": 1}, "Unknown key schedule.0.augment.blurr"),
        ("schedule/0/seconds", 2, "Unknown key schedule.0.seconds"),  # it is an audio network's
        ("schedule/0/stop", {"patience": "long"}, "schedule.0.stop.patience is 'long' (str)"),
        ("schedule/0/sources", ["c"], "schedule.0.sources is 'c', which does not exist. Known names: a, b."),
        ("schedule/0/sources", ["a", "a"], "schedule.0.sources: a is listed twice"),
        ("schedule", [], "schedule is []"),
        ("schedule/0/side", 8, "schedule.0.side is 8"),
        ("options/widht", 3, "Unknown key options.widht"),
        ("kind", "expresion", "There is no backbone of kind 'expresion'"),
        ("kind", "onnx", "kind is onnx, but networks of this kind are already trained and cannot be"),
        ("kind", "expression:small", "the kind 'expression:small' has a colon"),
        ("kind", ..., "The key kind is missing"),
        ("sources/a/kind", "fodler", "sources.a.kind is 'fodler', which does not exist."),
        ("sources/a/kind", "ravdess", "sources.a.kind is 'ravdess', which does not exist. Known names: affectnet"),
        ("sources/a/pth", "x", "Unknown key sources.a.pth"),
        ("sources/a/options", {"lables": {}}, "Unknown key sources.a.options.lables"),
        ("sources/a/path", "nowhere", "nowhere to train on does not exist. Put it there, or correct"),
        ("sources/a/train", [], "sources.a.train is []"),
        ("sources/a/val", ["train"], "sources.a: the split train is in both train and val"),
        ("sources/a/train", ["training"], "first has no split 'training' (found: train, val). Correct `train`"),
        ("sources/a/val", ["dev"], "first has no split 'dev' (found: train, val). Correct `val` of the source"),
        ("sources/b/val", ["dev"], "second has no split 'dev' (found: none). Correct `val` of the source"),
        ("sources/a/detect", "mtcn", "sources.a.detect is 'mtcn', which does not exist"),
        ("sources/a/detector", {"pad": 0.1}, "sources.a: detector has no effect without detect"),
        ("weights", "nowhere.safetensors", "weights is nowhere.safetensors, which is neither in"),
        ("weights", "nobodys", "weights is 'nobodys', which is neither a file nor one of the weights"),
        (
            "weights",
            "vggface",
            "weights is vggface. These are weights of a network of kind vggface, but a network of kind",
        ),
    ],
)  # fmt: skip
def test_what_a_recipe_may_not_say(data, tmp_path, path, value, said):
    result = pretrain(tmp_path, data, changed(face_recipe(), path, value))
    assert result.exit_code == 1 and result.exception.__class__ is SystemExit
    assert said.casefold() in result.output.casefold()
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_network_of_one_side_is_shown_no_other(data, tmp_path):
    recipe = face_recipe(kind="ir50", options={}, schedule=[{"sources": ["b"], **FAST, "side": 96}])
    result = pretrain(tmp_path, data, recipe)
    assert result.exit_code == 1
    assert "schedule.0.side is 96, but this network reads only faces of 112 pixels. Remove it." in result.output


@pytest.mark.slow
def test_a_phase_may_show_smaller_faces(data, tmp_path):
    recipe = face_recipe(options=FACE | {"size": 24}, schedule=[{"sources": ["b"], **FAST, "side": 16}])
    result = pretrain(tmp_path, data, recipe)
    assert result.exit_code == 0, result.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("sources/v/kind", "fer2013", "sources.v.kind is 'fer2013', which does not exist. Known names: afew"),
        ("sources/v/detect", "mtcnn", "sources.v.detect is set, but an audio network is trained on this corpus"),
        ("sources/v/options/modality", "av", "No clips of RAVDESS were found in"),
        ("schedule/0/augment", {"rotation": 3}, "Unknown key schedule.0.augment.rotation"),
    ],
)
def test_what_an_audio_networks_recipe_may_not_say(data, tmp_path, path, value, said):
    result = pretrain(tmp_path, data, changed(voice_recipe(), path, value))
    assert result.exit_code == 1 and result.exception.__class__ is SystemExit
    assert said in result.output


def test_a_detector_refuses_wrong_options_and_missing_weights(data, tmp_path):
    recipe = changed(face_recipe(), "sources/a/detect", "mtcnn")
    result = pretrain(tmp_path, data, changed(recipe, "sources/a/detector", {"min_fase": 3}))
    assert result.exit_code == 1 and "Unknown key sources.a.detector.min_fase" in result.output
    recipe = changed(face_recipe(), "sources/a/detect", "scrfd")
    result = pretrain(tmp_path, data, changed(recipe, "sources/a/detector", {"weights": "scrfd_2g5"}))
    assert result.exit_code == 1 and "sources.a.detector.weights needs the weights scrfd_2g5" in result.output
    result = pretrain(tmp_path, data, changed(recipe, "sources/a/detector", {"weights": "yunet"}))
    assert result.exit_code == 1 and "weights of the face detector yunet" in result.output


def test_a_file_that_is_no_recipe_and_an_odd_output_are_refused(data, tmp_path):
    for text in ("- a\n", "a: [\n"):
        result = pretrain(tmp_path, data, text)
        assert result.exit_code == 1 and "recipe.yaml" in result.output
    result = pretrain(tmp_path, data, face_recipe(), out="net.pth")
    assert result.exit_code == 1 and "net.pth, but weights are written as safetensors. Give" in result.output


def test_another_networks_weights_are_no_start(data, tmp_path):
    options = registry.options_class("expression").model_validate(FACE | {"dim": 5})
    files_of_weights.save(registry.build("expression", options), tmp_path / "own.safetensors", {})
    result = pretrain(tmp_path, data, face_recipe(weights=str(tmp_path / "own.safetensors")))
    assert result.exit_code == 1 and "own.safetensors do not belong to this ExpressionNet" in result.output


RECIPES = sorted((Path(__file__).parents[2] / "configs/weights").glob("*.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_shipped_recipes_are_sound(path):
    wanted = checked(pretrain_command.WeightsRecipe, configs.read(path))
    options = checked(registry.options_class(wanted.kind), wanted.options)
    for phase in wanted.schedule:
        checked(phase_class(registry.modality(wanted.kind)), phase)
    network = registry.build(wanted.kind, options)
    assert wanted.half and 2 * sum(tensor.numel() for tensor in network.state_dict().values()) < 12e6  # bytes


# --- recipes


def recipe_of(root, *, phase=None, block=None, kind="expression", options=FACE, name="a", start="", half=False):
    block = SourceBlock.model_validate({"kind": "folder", "path": "first", **(block or {})})
    checked_options = registry.options_class(kind).model_validate(options)
    phase = {"sources": [name], **FAST, **(phase or {})}
    return phase_recipe(kind, checked_options, phase, {name: block, "other": SourceBlock(kind="folder", path="second")},
                       where="schedule.0", start=start, half=half, root=root)  # fmt: skip


def test_a_recipe_is_plain(data):
    recipe = recipe_of(data)
    assert json.loads(json.dumps(recipe)) == recipe
    assert str(data) not in json.dumps(recipe)
    assert recipe["phase"]["label_smoothing"] == 0.1  # defaults stand in it, so that a change of one is seen


@pytest.mark.slow
def test_what_changes_a_recipe(data):
    recipes = {
        "plain": recipe_of(data),
        "epochs": recipe_of(data, phase={"epochs": 3}),
        "augment": recipe_of(data, phase={"augment": {"rotation": 5}}),
        "stop": recipe_of(data, phase={"stop": {}}),
        "options": recipe_of(data, options=FACE | {"dropout": 0.1}),
        "split": recipe_of(data, block={"train": ["val"], "val": []}),
        "no val": recipe_of(data, block={"val": []}),
        "labels": recipe_of(data, block={"options": {"labels": {"happy": "sad"}}}),
        "corpus": recipe_of(data, block={"path": "second"}),
        "detect": recipe_of(data, block={"detect": "mtcnn"}),
        "detector": recipe_of(data, block={"detect": "mtcnn", "detector": {"min_score": 0.5}}),
        "start": recipe_of(data, start="x"),
        "half": recipe_of(data, half=True),
        "kind": recipe_of(data, kind="ir50", options={}),
    }
    assert len({digest(recipe) for recipe in recipes.values()}) == len(recipes)
    assert recipes["detect"]["sources"]["a"]["nets"] and not recipes["plain"]["sources"]["a"]["nets"]
    codes = {name: recipe["code"] for name, recipe in recipes.items()}
    assert len({codes["plain"], codes["detect"], codes["kind"]}) == 3  # the detector's code and the network's count
    assert len(set(codes.values())) == 3


def test_what_does_not_change_a_recipe(data, tmp_path):
    import shutil

    plain = recipe_of(data)
    moved = shutil.copytree(data / "first", tmp_path / "elsewhere/first")
    assert recipe_of(tmp_path / "elsewhere") == plain  # copied, so with other times
    for path in moved.rglob("*.png"):
        path.touch()
    write(moved / "train/.DS_Store", b"x")
    write(moved / "train/.thumbnails/1.png", b"x")
    write(moved / "readme.md", b"x")
    assert recipe_of(tmp_path / "elsewhere") == plain
    assert recipe_of(Path("/"), block={"path": str(moved)}) == plain
    assert digest(dict(reversed(plain.items()))) == digest(plain)


def test_a_changed_corpus_changes_its_content(tmp_path):
    corpus = tmp_path / "corpus"
    write(corpus / "train/Happy/1.png", b"1234")
    write(corpus / "label.lst", b"1 2 3")
    write(tmp_path / "disk/2.png", b"12")
    (corpus / "linked").symlink_to(tmp_path / "disk", target_is_directory=True)
    (corpus / "gone.png").symlink_to(tmp_path / "nowhere.png")
    seen = [content(corpus)]
    for path, data in {
        "corpus/train/Happy/1.png": b"12345",
        "corpus/train/Happy/3.png": b"",
        "corpus/label.lst": b"1 2 4",  # as long as before
        "disk/2.png": b"123",
        "disk/4.mp4": b"1",
    }.items():
        write(tmp_path / path, data)
        seen.append(content(corpus))
    assert len(set(seen)) == len(seen)
    (corpus / "train/Happy/1.png").rename(corpus / "train/1.png")
    assert content(corpus) not in seen
    write(tmp_path / "corpus.csv", b"1")
    one = content(tmp_path / "corpus.csv")
    write(tmp_path / "corpus.csv", b"2")
    assert content(tmp_path / "corpus.csv") != one
    with pytest.raises(CorpusError, match=r"nowhere to train on does not exist"):
        content(tmp_path / "nowhere")


# --- a plan's schedules


CONFIG = yaml.safe_load("""
run: x
corpus: {name: c, kind: folder}
corpus_root: /data
decode: {few: {policy: count, count: 2}}
faces: {main: {detector: mtcnn}}
sources:
  a: {kind: folder, path: first}
  b: {kind: folder, path: second}
  v: {kind: ravdess, path: voices, options: {modality: audio}}
backbones:
  plain: {kind: expression, schedule: [{sources: [a], epochs: 2}, {sources: [b], epochs: 2}]}
  more: {kind: expression, schedule: [{sources: [b]}], pretrain: {epochs: 1}}
  voice: {kind: audio_alexnet, options: {spectrum: {kind: logmel}}, schedule: [{sources: [v]}]}
models:
  face_one: {streams: [plain]}
  audio_one: {streams: [voice]}
  fused_two: {streams: [more, voice], fusion: concat}
""")
TABLE = pd.DataFrame(
    {
        "clip": ["c0", "c1"],
        "path": ["c0", "c1"],
        "split": ["train", "val"],
        "label": ["Happy", "Sad"],
        "subject": "",
        "digest": ["d0", "d1"],
    }
)


@pytest.fixture
def planned(data, tmp_path, monkeypatch):
    """A change of the config -> digests of the phases, of pretraining, features and fusion."""
    import shutil

    for name in ("first", "second", "voices"):
        shutil.copytree(data / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)

    def digests(path=None, value=None):
        plan = Plan(configs.parse(changed(CONFIG, path, value) if path else CONFIG), TABLE, SCRIPTS)
        found = {f"{name}.{step}": digest(plan.chain(name, step)) for name, step in
                 (("plain", 0), ("plain", 1), ("more", 0), ("voice", 0))}  # fmt: skip
        found |= {f"features {name}": digest(plan.features(name)) for name in ("plain", "more", "voice")}
        return found | {"pretrain more": digest(plan.pretrain("more"))} | {
            name: digest(plan.fusion(name)) for name in ("face_one", "audio_one", "fused_two")
        }  # fmt: skip

    return digests


OF_PLAIN = {"features plain", "face_one"}
OF_MORE = {"pretrain more", "features more", "fused_two"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "value", "wanted"),
    [
        ("threads", 7, set()),
        ("backbones/plain/schedule/1/epochs", 3, {"plain.1"} | OF_PLAIN),
        ("backbones/plain/schedule/0/epochs", 3, {"plain.0", "plain.1"} | OF_PLAIN),
        ("backbones/plain/schedule/0/augment", {"mirror": True, "jpeg": 0}, set()),  # the defaults
        ("backbones/plain/schedule/0/augment", {"jpeg": 0.2}, {"plain.0", "plain.1"} | OF_PLAIN),
        ("backbones/more/schedule/0/seed", 1, {"more.0"} | OF_MORE),
        ("backbones/more/pretrain/epochs", 2, OF_MORE),
        ("sources/a/train", ["train", "val"], {"plain.0", "plain.1"} | OF_PLAIN),
        ("sources/v/options/val_subjects", ["01"], {"voice.0", "features voice", "audio_one", "fused_two"}),
        ("sources/unused", {"kind": "folder", "path": "first"}, set()),
    ],
)
def test_what_a_change_of_the_config_concerns(planned, path, value, wanted):
    before, after = planned(), planned(path, value)
    assert {name for name in before if before[name] != after[name]} == wanted


@pytest.mark.slow
def test_a_changed_corpus_concerns_the_phases_that_train_on_it(planned, tmp_path):
    before = planned()
    write(tmp_path / "second/Happy/new.png", png("Happy", 77))
    after = planned()
    wanted = {"plain.1", "more.0"} | OF_PLAIN | OF_MORE
    assert {name for name in before if before[name] != after[name]} == wanted
    os.utime(tmp_path / "second/Happy/new.png", (1, 1))
    assert planned() == after


@pytest.mark.slow
def test_a_chains_own_weights_count_by_content(planned, tmp_path):
    options = registry.options_class("expression")()
    for seed in (0, 1):
        torch.manual_seed(seed)
        files_of_weights.save(registry.build("expression", options), tmp_path / f"{seed}.safetensors", {})
    before = planned("backbones/plain/weights", "0.safetensors")
    write(tmp_path / "copy.safetensors", (tmp_path / "0.safetensors").read_bytes())
    assert planned("backbones/plain/weights", "copy.safetensors") == before
    after = planned("backbones/plain/weights", "1.safetensors")
    assert {name for name in before if before[name] != after[name]} == {"plain.0", "plain.1"} | OF_PLAIN
    with pytest.raises(WeightsError, match=r"backbones\.plain\.weights names 2\.safetensors, which does not exist"):
        planned("backbones/plain/weights", "2.safetensors")


def test_a_plan_refuses_a_corpus_that_is_not_there(planned):
    plan = Plan(configs.parse(changed(CONFIG, "sources/a/path", "nowhere")), TABLE, SCRIPTS)
    with pytest.raises(EmopipeError, match="nowhere to train on does not exist"):
        plan.check_weights()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("backbones/plain/schedule/0/sources", ["v2"], "backbones.plain.schedule.0.sources is 'v2'"),
        ("backbones/plain/schedule/0/epoch", 1, "Unknown key backbones.plain.schedule.0.epoch"),
        ("sources/v/kind", "fer2013", "sources.v.kind is 'fer2013', which does not exist. Known names: afew"),
        ("sources/v/detect", "mtcnn", "sources.v.detect is set, but an audio network is trained on this corpus"),
        ("sources/a/knd", 1, "Unknown key sources.a.knd"),
    ],
)
def test_a_config_refuses_what_a_chain_may_not_say(path, value, said):
    with pytest.raises(EmopipeError, match=said):
        configs.parse(changed(CONFIG, path, value))


def test_an_untrainable_network_has_no_chain():
    block = {"kind": "onnx", "options": {"weights": "x.onnx"}, "schedule": [{"sources": ["a"]}]}
    with pytest.raises(
        ConfigError, match=r"backbones\.plain\.schedule is set, but a network of kind onnx cannot be trained"
    ):
        configs.parse(changed(CONFIG, "backbones/plain", block))


@pytest.fixture
def stage(data, tmp_path, monkeypatch):
    """The stage as the rule's script runs it, without Snakemake: what it is called with."""
    monkeypatch.chdir(data)
    raw = changed(CONFIG, "backbones/plain/options", FACE)
    raw["backbones"]["plain"]["schedule"] = [{"sources": ["a"], **FAST}]
    plan = Plan(configs.parse(raw), TABLE, SCRIPTS)
    paths = {name: block.path for name, block in plan.config.sources.items()}
    out = [tmp_path / "out" / name for name in ("net.safetensors", "net.csv", "net.png", "events")]
    return Stage(plan.chain("plain", 0), paths, out)


@dataclass
class Stage:
    recipe: dict
    paths: dict
    out: list

    def run(self, **keys):
        chain.run(self.recipe, self.paths, *self.out, **{"start": None, "device": "cpu", "threads": 1} | keys)


@pytest.mark.slow
def test_the_stage_runs_a_plans_recipe(stage):
    stage.run()
    assert metadata.made_by(stage.out[0], stage.recipe) and all(path.exists() for path in stage.out)


@pytest.mark.slow
def test_no_two_processes_make_one_file_of_weights(stage):
    with partial_folder(stage.out[0]), pytest.raises(CacheError, match=r"Another process is making .*net\.safetensors"):
        stage.run()
    assert not any(path.exists() for path in stage.out)
    stage.run()


@pytest.mark.slow
def test_weights_that_are_made_are_made_whatever_becomes_of_the_work(stage, monkeypatch):
    saved = chain.save_classifier

    def and_clear(model, output, *about, **how):
        saved(model, output, *about, **how)
        shutil.rmtree(output.with_name(f"{output.name}.work"))

    monkeypatch.setattr(chain, "save_classifier", and_clear)
    stage.run()
    assert names(stage.out[0].parent) == ["events", "net.csv", "net.png", "net.safetensors"]


@pytest.mark.slow
def test_what_was_made_before_its_run_was_killed_is_not_made_again(stage, monkeypatch):
    """Snakemake deletes the outputs that it does not know to be whole."""
    stage.run(preserve=True)
    before = [path.read_bytes() for path in stage.out[:3]]

    def deleted():
        for path in stage.out[:3]:
            path.unlink()

    trained, run = [], Trainer.run
    monkeypatch.setattr(Trainer, "run", lambda self: trained.append(run(self)))
    deleted()
    stage.run(preserve=True)
    assert [path.read_bytes() for path in stage.out[:3]] == before and not trained
    deleted()
    stage.recipe["phase"]["lr"] = 0.02
    stage.run(preserve=True)
    assert len(trained) == 1 and stage.out[0].read_bytes() != before[0]
    deleted()
    with pytest.raises(WeightsError):  # other weights to start from: nothing is taken up
        stage.run(preserve=True, start="first/train/Happy/0.png")
    stage.run()
    assert len(trained) == 2
