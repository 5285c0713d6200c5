"""Weights know what they were trained on: their metadata, copies across splits, and both figures of `evaluate`."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
import yaml
from typer.testing import CliRunner

from emopipe.backbones import registry
from emopipe.backbones.classifier import Classifier, save_classifier
from emopipe.cache.metadata import read_metadata
from emopipe.cache.tensors import save_state
from emopipe.commands.main import app
from emopipe.core.errors import ConfigError, CorpusError, WeightsError
from emopipe.core.labels import CLASSES
from emopipe.stills.base import Stills
from emopipe.stills.contents import Contents, across_splits, content_of, copies
from emopipe.stills.listed import omitted_keys
from emopipe.training.sources import SourceBlock, check_source
from emopipe.weights import trained_on
from emopipe.weights.entries import package_registry
from emopipe.weights.paths import path_of
from emopipe.weights.trained_on import TrainedOn
from emopipe.workflow import config as configs
from emopipe.workflow.plan import Plan

FACE = {"size": 16, "width": 2, "units": [1, 1, 1], "dim": 4}
VOICE = {"width": 0.03, "spectrum": {"kind": "logmel", "n_mels": 16, "n_fft": 400}}


def picture(number, size=16):
    return np.random.default_rng(number).integers(0, 256, (size, size, 3), np.uint8)


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def encoded(image, suffix=".png"):
    return cv2.imencode(suffix, image)[1].tobytes()


# --- what a file says


def test_what_was_written_is_read(tmp_path):
    path, seen = (
        tmp_path / "a.safetensors",
        TrainedOn({"Happy": 2}, frozenset({"ravdess/01"}), frozenset({"b" * 16, "a" * 16})),
    )
    save_state({"x": torch.zeros(1)}, path, trained_on.to_metadata(seen))
    assert trained_on.read(path) == seen
    entry = json.loads(read_metadata(path)["trained_on"])
    assert entry == {"classes": {"Happy": 2}, "speakers": ["ravdess/01"], "contents": f"{'a' * 16} {'b' * 16}"}


def test_what_is_unknown_has_no_key(tmp_path):
    assert trained_on.to_metadata(TrainedOn()) == {}
    assert json.loads(trained_on.to_metadata(TrainedOn({"Sad": 1}))["trained_on"]) == {"classes": {"Sad": 1}}
    save_state({"x": torch.zeros(1)}, tmp_path / "a.safetensors", {})
    assert trained_on.read(tmp_path / "a.safetensors") == trained_on.read(tmp_path / "net.pth") == TrainedOn()


def test_digests_of_many_pictures_are_small(tmp_path):
    digests = frozenset(f"{number:016x}" for number in range(24_000))
    for name, seen in (("without", TrainedOn()), ("with", TrainedOn(contents=digests))):
        save_state({"x": torch.zeros(1)}, tmp_path / f"{name}.safetensors", trained_on.to_metadata(seen))
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("with", "without")]
    assert sizes[0] - sizes[1] < 0.6e6


@pytest.mark.parametrize("entry", ["no JSON", '{"contents": {"a": 1}}', '{"speakers": "a"}', '{"classes": ["Sad"]}'])
def test_an_entry_of_another_form_is_refused(tmp_path, entry):
    save_state({"x": torch.zeros(1)}, tmp_path / "a.safetensors", {"trained_on": entry})
    with pytest.raises(WeightsError, match=r"a\.safetensors have an entry trained_on .* Make the file again"):
        trained_on.read(tmp_path / "a.safetensors")


def test_samples_are_met_by_their_content_or_by_their_person():
    seen = TrainedOn(speakers=frozenset({"ravdess/01"}), contents=frozenset({"0" * 16}))
    people = [trained_on.person("ravdess", who) for who in ("01", "02", "01", "")]
    assert seen.meets(["0" * 64, "1" * 64, "1" * 64, ""], people) == ["content", "", "speaker", ""]
    assert seen.meets(["", ""], [trained_on.person("emodb", "01"), ""]) == ["", ""]


def test_later_weights_have_seen_what_they_started_from():
    first, last = TrainedOn({"Sad": 3}, frozenset("a"), frozenset("b")), TrainedOn({"Fear": 1}, frozenset("c"))
    assert last.after(first) == TrainedOn({"Fear": 1}, frozenset("ac"), frozenset("b"))


# --- copies among stills


def in_memory(pictures, splits):
    keys = [f"{number:02d}" for number in range(len(pictures))]
    table = pd.DataFrame({"key": keys, "split": splits, "subject": ""})
    read = []

    def read_image(key):
        read.append(key)
        image = pictures[int(key)]
        if image is None:
            raise CorpusError("it is gone")
        return image

    return Stills(table, np.eye(7, dtype=np.float32)[np.zeros(len(keys), int)], read_image), read


def test_the_content_is_that_of_the_pixels(tmp_path):
    image = picture(1)
    assert content_of(image) == content_of(cv2.imdecode(np.frombuffer(encoded(image, ".bmp"), np.uint8), 1))
    assert content_of(image) != content_of(picture(2)) and len(content_of(image)) == 16
    assert content_of(np.zeros((2, 8, 3), np.uint8)) != content_of(np.zeros((4, 4, 3), np.uint8))
    assert content_of(np.empty((0, 0, 3), np.uint8)) == ""


def test_each_still_is_read_once_for_its_content(tmp_path):
    stills, read = in_memory([picture(1), picture(2), picture(1), None], ["train", "train", "val", "val"])
    contents = Contents(stills)
    contents.recorded().rows([0, 1]).read_image("01")
    found = contents.digests(tmp_path / "a.npy")
    assert sorted(read) == ["00", "01", "02", "03"]
    assert found.tolist() == [content_of(picture(1)), content_of(picture(2)), content_of(picture(1)), ""]
    again = Contents(in_memory([None] * 4, [""] * 4)[0]).digests(tmp_path / "a.npy")
    assert again.tolist() == found.tolist()
    (tmp_path / "a.npy").write_bytes(b"damaged")
    assert Contents(stills).digests(tmp_path / "a.npy").tolist() == found.tolist()


def test_copies_across_splits_are_counted():
    contents = np.array(["a", "a", "b", "a", "c", "", ""])
    splits = np.array(["train", "train", "train", "val", "val", "val", "train"])
    assert across_splits(contents, splits) == "splits share identical stills: 2 of 4 of train and 1 of 3 of val."
    assert across_splits(contents, np.array([""] * 7)) == ""
    assert copies(contents, ["a", ""]).tolist() == [True, True, False, True, False, False, False]


def test_a_list_of_stills_to_omit(tmp_path):
    keys = ["a/1.png", "a/2.png"]
    (tmp_path / "all.csv").write_text("picture\na/1.png\nb/9.png\n")
    assert omitted_keys(tmp_path / "all.csv", keys) == {"a/1.png"}
    (tmp_path / "some.csv").write_text("picture,elsewhere\na/1.png,0\na/2.png,1\n")
    assert omitted_keys(tmp_path / "some.csv", keys) == {"a/2.png"}
    for text, message in [
        ("path\na/1.png\n", "has the columns path. Expected the column picture"),
        ("picture\nb.png\n", "None of the 1 pictures .* is a still of the corpus, such as a/1.png"),
        (None, "cannot be read .* Put a CSV with the column picture there"),
    ]:
        (tmp_path / "bad.csv").unlink(missing_ok=True)
        if text:
            (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(CorpusError, match=message):
            omitted_keys(tmp_path / "bad.csv", keys)


# --- pretraining


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Stills of which Happy's picture 0 also stands in val, and Sad's picture 1 in test, in files of another format."""
    root = tmp_path_factory.mktemp("data")
    for number, label in enumerate(CLASSES):
        for copy in range(2):
            write(root / f"faces/train/{label}/{copy}.png", encoded(picture(10 * number + copy)))
        write(root / f"faces/val/{label}/new.png", encoded(picture(100 + number)))
    write(root / "faces/val/Happy/old.bmp", encoded(picture(10 * CLASSES.index("Happy")), ".bmp"))
    write(root / "faces/test/Sad/old.bmp", encoded(picture(10 * CLASSES.index("Sad") + 1), ".bmp"))
    (root / "faces/list.csv").write_text("picture,elsewhere\ntrain/Fear/1.png,1\ntrain/Fear/0.png,0\n")
    return root


def pretrained(folder, data, start=None, **source):
    """Make weights by `emopipe pretrain`."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = {
        "kind": "expression",
        "options": FACE,
        "weights": str(start) if start else None,
        "sources": {"faces": {"kind": "folder", "path": "faces", **source}},
        "schedule": [{"sources": ["faces"], "epochs": 1, "batch": 4, "lr": 0.001}],
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    arguments = ["pretrain", str(folder / "recipe.yaml"), "--data", str(data), "--out", str(folder / "net.safetensors")]
    return CliRunner().invoke(app, [*arguments, "--device", "cpu", "--threads", "1"])


@pytest.fixture(scope="module")
def clean(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    result = pretrained(folder, data)
    assert result.exit_code == 0, result.output
    return folder / "net.safetensors", result.output


def contents_of(*numbers):
    return {content_of(picture(number)) for number in numbers}


@pytest.mark.slow
def test_copies_of_evaluated_stills_are_not_trained_on(clean):
    path, said = clean
    everything = contents_of(*(10 * number + copy for number in range(7) for copy in range(2)))
    dropped = contents_of(10 * CLASSES.index("Happy"), 10 * CLASSES.index("Sad") + 1)
    found = trained_on.read(path)
    assert found.contents == everything - dropped and not found.speakers
    assert found.classes == {label: 1 if label in ("Happy", "Sad") else 2 for label in CLASSES}
    assert json.loads(read_metadata(path)["omitted_copies"]) == {"faces": 2}
    assert "faces: 2 of 14 training stills also stand in splits that are not trained on, and are omitted" in said
    assert "splits share identical stills: 1 of 1 of test and 1 of 14 of train; 1 of 14 of train and 1 of 8 of" in said


@pytest.mark.slow
def test_copies_are_trained_on_if_the_source_says_so(data, tmp_path):
    result = pretrained(tmp_path, data, copies="keep")
    assert result.exit_code == 0 and "They are used for training (copies: keep)" in result.output
    metadata = read_metadata(tmp_path / "net.safetensors")
    assert len(trained_on.read(tmp_path / "net.safetensors").contents) == 14 and "omitted_copies" not in metadata


@pytest.mark.slow
def test_a_list_beside_the_corpus_takes_more_stills_out(data, clean, tmp_path):
    result = pretrained(tmp_path, data, start=clean[0], omit="list.csv", train=["train", "val"])
    assert result.exit_code == 0, result.output
    found = trained_on.read(tmp_path / "net.safetensors")
    assert json.loads(read_metadata(tmp_path / "net.safetensors")["omitted_copies"]) == {"faces": 2}
    assert content_of(picture(100)) in found.contents  # val was trained on
    assert contents_of(10 * CLASSES.index("Fear") + 1) <= found.contents  # the weights that it started from saw it
    assert found.classes["Fear"] == 2 and found.classes["Sad"] == 2 and found.classes["Angry"] == 3
    result = pretrained(tmp_path, data, omit="gone.csv")
    assert result.exit_code == 1 and "sources.faces.omit is gone.csv, but" in result.output


def test_speech_cannot_have_a_list_of_stills(tmp_path, data):
    with pytest.raises(ConfigError, match=r"sources\.a\.omit is set, but it lists stills"):
        check_source("a", SourceBlock(kind="ravdess", path="x", omit="list.csv"), "audio")


# --- evaluate


def evaluated(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments), "--device", "cpu", "--threads", "1"])


@pytest.mark.slow
def test_evaluate_gives_both_figures(data, tmp_path, clean):
    path, corpus = clean[0], f"folder:{data / 'faces'}"
    table = tmp_path / "predictions.csv"
    result = evaluated(path, "--corpus", corpus, "--json", "--predictions", table)
    found, rows = json.loads(result.stdout), pd.read_csv(table, keep_default_na=False)
    assert found["n"] == 23 and found["trained_on"] == {"content": 12, "speaker": 0}
    assert (rows["seen"] == "content").sum() == 12
    others = rows[rows["seen"] == ""]
    assert found["unseen"]["n"] == len(others) == 11
    assert found["unseen"]["accuracy"] == pytest.approx((others["label"] == others["pred"]).mean())
    assert found["accuracy"] == pytest.approx((rows["label"] == rows["pred"]).mean())
    said = evaluated(path, "--corpus", corpus).stdout
    assert "12 of these are samples that the weights were trained on, or copies of them. Over the other 11 stil" in said
    assert evaluated(path, "--corpus", corpus, "--split", "val").stdout.count("accuracy") == 1
    kept = {(row["sample"]) for _, row in rows.iterrows() if row["seen"] and not row["sample"].startswith("train/")}
    assert not kept  # what stands in val and test was not trained on


@pytest.mark.slow
def test_evaluate_says_if_nothing_is_known(data, tmp_path):
    options = registry.options_class("expression").model_validate(FACE)
    model = Classifier(registry.build("expression", options), 4)
    recipe = {"kind": "expression", "options": options.model_dump()}
    save_classifier(model, tmp_path / "a.safetensors", {"recipe": json.dumps(recipe)}, half=False)
    arguments = (tmp_path / "a.safetensors", "--corpus", f"folder:{data / 'faces'}", "--split", "val")
    found = json.loads(evaluated(*arguments, "--json").stdout)
    assert found["trained_on"] is None and found["unseen"] is None
    assert "The weights do not say what they were trained on" in evaluated(*arguments).stdout


@pytest.mark.slow
def test_evaluate_finds_utterances_and_their_speakers(tmp_path):
    """Of three actors, one was trained on by name, and one utterance of another by its file."""
    for number, (actor, code) in enumerate([("01", "03"), ("02", "03"), ("02", "04"), ("03", "05")]):
        wave = 0.3 * np.sin(2 * np.pi * (200 + 50 * number) * np.arange(4800) / 16_000)
        (tmp_path / "voices").mkdir(exist_ok=True)
        soundfile.write(tmp_path / f"voices/03-01-{code}-01-01-01-{actor}.wav", wave, 16_000)
    content = hashlib.sha256((tmp_path / "voices/03-01-04-01-01-01-02.wav").read_bytes()).hexdigest()
    seen = TrainedOn(speakers=frozenset({"ravdess/01"}), contents=frozenset({content[:16]}))
    options = registry.options_class("audio_alexnet").model_validate(VOICE)
    spec = registry.spec("audio_alexnet", options)
    model = Classifier(registry.build("audio_alexnet", options), spec.dim)
    recipe = {"kind": "audio_alexnet", "options": options.model_dump()}
    about = {"recipe": json.dumps(recipe), **trained_on.to_metadata(seen)}
    save_classifier(model, tmp_path / "a.safetensors", about, half=False)
    arguments = (tmp_path / "a.safetensors", "--corpus", f"ravdess:{tmp_path / 'voices'}")
    found = json.loads(evaluated(*arguments, "--json").stdout)
    assert found["n"] == 4 and found["trained_on"] == {"content": 1, "speaker": 1} and found["unseen"]["n"] == 2
    others = json.loads(evaluated(*arguments, "--subject", "01", "--json").stdout)["unseen"]
    assert others == {"n": 0, "accuracy": None, "uar": None, "per_class": {}}
    assert "No other remains" in evaluated(*arguments, "--subject", "01").stdout
    assert "None of these is a copy" in evaluated(*arguments, "--subject", "03").stdout


# --- runs


def planned(tmp_path, seen, kind="ravdess"):
    """The recipe of the report of a run whose voice network was trained on some samples."""
    save_state({"x": torch.zeros(1)}, tmp_path / "voice.safetensors", trained_on.to_metadata(seen))
    config = {
        "run": "r",
        "corpus_root": "nowhere",
        "corpus": {"name": "c", "kind": kind},
        "decode": {"sparse": {"policy": "count", "count": 4}},
        "backbones": {"voice": {"kind": "speech", "weights": str(tmp_path / "voice.safetensors")}},
        "models": {"audio_only": {"streams": ["voice"]}},
    }
    table = pd.DataFrame({
        "clip": [*"abcd"], "path": [*"abcd"], "split": ["train", "train", "val", "val"], "label": ["Happy", "Sad"] * 2,
        "subject": ["01", "01", "02", "03"], "digest": [f"{number:064x}"[::-1] for number in range(4)],
    })  # fmt: skip
    plan = Plan(configs.parse(config), table, Path(__file__).parents[2] / "workflow_scripts")
    assert plan.met_weights == ({"voice": str(tmp_path / "voice.safetensors")} if "met_by" in plan.report() else {})
    return plan.report()


@pytest.mark.slow
def test_a_run_reports_clips_that_its_weights_were_trained_on(tmp_path):
    third = f"{2:064x}"[::-1][:16]
    recipe = planned(tmp_path, TrainedOn(speakers=frozenset({"ravdess/01"}), contents=frozenset({third})))
    assert recipe["met_by"]["audio_only"] == ["voice"]
    assert recipe["corpus"] == "ravdess"
    (remark,) = recipe["remarks"]
    assert remark.startswith(
        "The weights of voice were trained on 2 of 2 train clips, 1 of 2 val clips before this run (1 by content, 2 by "
        "another clip of the person): scores of models with this stream are too good on them"
    )


def test_a_run_on_other_clips_and_people_reports_none(tmp_path):
    seen = TrainedOn(speakers=frozenset({"ravdess/09"}), contents=frozenset({"f" * 16}))
    for recipe in (
        planned(tmp_path, seen),
        planned(tmp_path, TrainedOn({"Sad": 1})),
        planned(tmp_path, TrainedOn(speakers=frozenset({"ravdess/01"})), kind="folder"),
    ):
        assert not {"remarks", "met_by", "corpus"} & set(recipe)


SEEN = {
    "expression": (24_333, 23_394, 0),
    "expression_plus": (23_177, 22_431, 0),
    "speech_logmel": (960, 959, 16),
    "speech_logmel_0_1_0": (720, 719, 12),
    "speech_spectrogram": (720, 719, 12),
}
"""Weights -> their samples, the different contents of these, and their people."""


@pytest.mark.parametrize("name", SEEN)
def test_the_shipped_weights_say_what_they_were_trained_on(name):
    registry_ = package_registry()
    found = trained_on.read(path_of(registry_.entries[name], registry_))
    assert (sum(found.classes.values()), len(found.contents), len(found.speakers)) == SEEN[name]
    assert set(found.classes) == set(registry_.entries[name].classes)
    assert found.speakers == {f"ravdess/{actor:02d}" for actor in range(1, SEEN[name][2] + 1)}
