"""Small runs in every kind of label space, and their bundles: the same answers for new files, and in ONNX."""

import json
import shutil
import types

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch

import emopipe
from emopipe.backbones import registry
from emopipe.backbones.classifier import Classifier, save_classifier
from emopipe.cache.store import Row, Writer
from emopipe.core.errors import BundleError
from emopipe.core.labels import CLASSES, LabelSpace
from emopipe.export import bundle
from emopipe.export.card_labels import training_labels, what_it_gives
from emopipe.inference.bundle import Bundle
from emopipe.inference.cached import load_features
from emopipe.inference.finished_run import FinishedRun
from emopipe.inference.model import Stream
from emopipe.inference.run_model import RunModel, _has_other_classes
from emopipe.inference.run_results import load_run
from emopipe.scoring import predictions
from tests.conftest import write_clip
from tests.unit import small_run
from tests.unit.test_bundle import described_as, vectors_of_a_sound

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
BLOCKS = {
    "single": {"names": ["Happy", "Bored", "Sad"]},
    "votes": {"names": ["Happy", "Sad", "Contempt"], "kind": "votes"},
    "multi": {"names": ["Happy", "Sad", "Surprise", "Bored"], "kind": "multi"},
    "dimensions": {"names": ["valence", "arousal", "dominance"], "kind": "dimensions", "range": [1.0, 5.0]},
    "one dimension": {"names": ["sentiment"], "kind": "dimensions"},
}
KINDS = pytest.mark.parametrize("kind", BLOCKS)
TWO = {"audio_one": {"streams": ["voice"]}, "audio_two": {"streams": ["voice"]}}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Kind -> a finished run with an ensemble, and its bundle."""
    made = {}
    for kind, block in BLOCKS.items():
        work = tmp_path_factory.mktemp(kind)
        config = {"labels": block, "models": TWO, "backbones": {"voice": small_run.CONFIG["backbones"]["voice"]}}
        config |= {"ensemble": {"method": "weighted", "calibrate": False}}
        made[kind] = small_run.make(work, config=config, epochs=6), work / "bundle"
        assert bundle.write(*made[kind]) == []
    return made


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("sound") / "tone.wav", video=None, audio="pcm_s16le")


@KINDS
def test_a_model_predicts_from_features_what_the_run_predicts(runs, kind):
    run, _ = runs[kind]
    features = {"voice": load_features(run / "voice.h5")}
    found = load_run(run).model("audio_one").predict(features).set_index("clip")
    reported = predictions.read(run / "predictions/audio_one.csv").set_index("clip")
    columns = FinishedRun(run, CPU).space.columns
    np.testing.assert_allclose(found.loc[reported.index, columns], reported[columns], atol=2e-6)
    assert (found.loc[reported.index, "pred"] == reported["pred"]).all() and len(columns) == len(BLOCKS[kind]["names"])


@KINDS
def test_a_clip_without_vectors_gets_the_mean_of_the_labels(runs, kind):
    run, _ = runs[kind]
    clips = pd.read_csv(run / "clips.csv", dtype=str, keep_default_na=False)
    model = FinishedRun(run, CPU)
    expected = model.space.targets(clips[clips["split"] == "train"]).mean(0)
    np.testing.assert_allclose(model.models["audio_one"].prior, expected, atol=1e-12)


@KINDS
def test_new_files_have_the_same_answers_by_run_and_bundle(runs, kind, sound):
    run, folder = runs[kind]
    one, other = (emopipe.Predictor(model, threads=1).predict(sound)[0] for model in (run, folder))
    assert one.to_json() == other.to_json() and one.status == "ok"
    space = one.space
    assert (
        list(space.names) == BLOCKS[kind]["names"]
        and space.kind == BLOCKS[kind].get("kind", "single")
        and list(one.values) == list(space.names)
    )
    values = np.array([*one.values.values()])
    assert one.label == space.answers(values[None])[0] and list(one.models) == ["audio_one", "audio_two"]
    if space.has_one_class:
        assert values.sum() == pytest.approx(1)
    low, high = {"dimensions": (1, 5), "one dimension": (-1, 1)}.get(kind, (0, 1))
    assert ((values >= low) & (values <= high)).all()


@KINDS
def test_what_the_bundle_says_of_labels(runs, kind):
    run, folder = runs[kind]
    space = FinishedRun(run, CPU).space
    labels = json.loads((folder / "labels.json").read_text())
    assert LabelSpace.from_dict(labels) == space and labels == space.to_dict()
    text = (folder / "README.md").read_text()
    assert what_it_gives(space) in text and all(name in text for name in space.names)
    scores = {
        "single": "| `ensemble` | val | 12 | 50.0 [25.0, 75.0] | 50.0 [20.0, 80.0] |",
        "votes": "| `ensemble` | val | 12 | 50.0 [25.0, 75.0] | 50.0 [20.0, 80.0] | 0.500 |",
        "multi": "| `ensemble` | val | 12 | 50.0 [25.0, 75.0] |",
        "dimensions": "| `ensemble` | val | 12 | 0.500 [0.250, 0.750] | 0.500 | 0.500 | 0.500 | 0.500 |",
        "one dimension": "| `ensemble` | val | 12 | 0.500 [0.250, 0.750] | 0.500 | 0.500 |",
    }
    assert scores[kind] in text
    heads = {
        "single": "The head of voice knows 2 of the 3 classes: Happy, Sad. It says nothing about Bored.",
        "votes": "The head of voice knows 2 of the 3 classes: Happy, Sad. It says nothing about Contempt.",
    }
    assert heads.get(kind, "Only its vectors are used, and not its own answers.") in text


@KINDS
def test_onnx_answers_in_the_label_space(runs, kind):
    run, folder = runs[kind]
    space, reader = FinishedRun(run, CPU).space, load_features(run / "voice.h5")
    reported = predictions.read(run / "predictions/audio_one.csv")
    session = onnxruntime.InferenceSession(str(folder / "onnx/audio_one.onnx"))
    x = np.stack([reader[clip].x for clip in reported["clip"]])
    name = "values" if space.kind == "dimensions" else "probabilities"
    (found,) = session.run([name], {"voice.x": x, "voice.mask": np.ones(x.shape[:2], bool)})
    np.testing.assert_allclose(found, reported[space.columns], atol=1e-5)
    absent = session.run([name], {"voice.x": x[:1], "voice.mask": np.zeros((1, x.shape[1]), bool)})[0]
    np.testing.assert_allclose(absent[0], FinishedRun(run, CPU).models["audio_one"].prior, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda a: a["classes"]["names"].pop(), "numbers as the prior of audio_one"),
        (lambda a: a["classes"]["names"].reverse(), "answers in other classes or dimensions"),
        (lambda a: a["classes"].update(names=["a", "a", "b"]), "is listed twice"),
        (lambda a: a["models"]["audio_one"].update(prior=[2.0, -1.0, 0.0]), "not between 0 and 1"),
        (lambda a: a.update(classes=["Happy", "Bored", "Sad"]), "expected Angry"),
    ],
)
def test_a_description_that_does_not_fit_its_labels_is_refused(runs, change, fault, tmp_path):
    copy = shutil.copytree(runs["single"][1], tmp_path / "copy")
    described_as(copy, change)
    with pytest.raises(BundleError, match=fault):
        Bundle(copy, CPU)


def test_traces_of_heads_are_those_of_the_shared_classes(runs):
    run, _ = runs["single"]
    model = FinishedRun(run, CPU)
    features = model._features(["annabel_00"], {"voice": _Rows(load_features(run / "voice.h5"))})["voice"]
    p = model._said_by_head("voice", features, slice(0, 3))
    logp = features.logp.numpy()
    own = np.exp(logp[:, [CLASSES.index("Happy"), CLASSES.index("Sad")]])
    np.testing.assert_allclose(p[:, [0, 2]], own / own.sum(1, keepdims=True), rtol=1e-5)
    assert np.isnan(p[:, 1]).all()
    multi = FinishedRun(runs["multi"][0], CPU)
    assert multi._said_by_head("voice", features, slice(0, 3)) is None


@pytest.mark.slow
def test_evidence_of_heads_with_other_classes_is_that_of_the_run(tmp_path):
    """The head knows two of the three classes; its prior, and its classes, are in files of features."""
    config = {"labels": BLOCKS["votes"], "models": {"audio_one": TWO["audio_one"]}}
    config |= {"backbones": {"voice": small_run.CONFIG["backbones"]["voice"]}}
    run = small_run.make(tmp_path, config=config, audio_inputs=["vectors", "evidence"])
    assert bundle.write(run, tmp_path / "bundle") == []
    model = FinishedRun(run, CPU)
    vectors, streams = vectors_of_a_sound(model)
    head, rows = streams._network("voice", model.streams["voice"]).head, vectors["voice"]
    with Writer(tmp_path / "voice.h5", rows.fields, stage="merge", recipe={}) as writer:
        writer.add(Row("tone", "", "ok", "", {field: rows.field("tone", field) for field in rows.fields}))
        writer.note(head_prior=json.dumps(head.prior.tolist()))
    wanted = load_run(run).model("audio_one").predict({"voice": load_features(tmp_path / "voice.h5")})
    for answering in (model, Bundle(tmp_path / "bundle", CPU)):
        found, _ = answering.answer(["tone"], vectors).parts["audio_one"]
        np.testing.assert_array_equal(found, wanted[model.space.columns].to_numpy(float))
    session = onnxruntime.InferenceSession(str(tmp_path / "bundle/onnx/audio_one.onnx"))
    assert {each.name: each.shape[1] for each in session.get_inputs()}["voice.evidence"] == 3


def test_heads_for_other_classes_are_known_by_their_files(tmp_path):
    options = {"width": 8, "dim": 16}
    module = registry.build("speech", registry.options_class("speech").model_validate(options))
    for name, classes in (("three", ("Happy", "Sad", "Worried")), ("eight", (*CLASSES, "Contempt"))):
        save_classifier(Classifier(module, 16, classes=classes), tmp_path / f"{name}.safetensors", {}, half=False)
    streams = {
        name: Stream("speech", options, "audio", str(tmp_path / f"{name}.safetensors"), None, "frames", 1)
        for name in ("three", "eight")
    }
    assert [_has_other_classes(stream) for stream in streams.values()] == [True, False]
    of_seven = types.SimpleNamespace(space=LabelSpace(CLASSES), reads_evidence=False)
    assert RunModel("r", {"m": of_seven}, ["m"], None, streams, {}, {}).heads["three"].classes == (
        "Happy",
        "Sad",
        "Worried",
    )
    del streams["three"]
    assert RunModel("r", {"m": of_seven}, ["m"], None, streams, {}, {}).heads == {}
    of_eight = types.SimpleNamespace(space=LabelSpace(("Happy", "Contempt")), reads_evidence=False)
    found = RunModel("r", {"m": of_eight}, ["m"], None, streams, {}, {}).heads["eight"]
    assert found.classes == (*CLASSES, "Contempt")


class _Rows:
    """Rows of features, from a file."""

    def __init__(self, features):
        self._features, self.fields = features, {"logp": None}

    def field(self, clip, name):
        return getattr(self._features[clip], name)


def test_labels_of_training_clips_in_words():
    table = pd.DataFrame({"label": ["a", "a;b", "b", "a"]})
    assert training_labels(table, LabelSpace(("a", "b"), "votes")) == "a 2, b 1, ties 1"
    assert training_labels(table.assign(label=["a", "(none)", "a;b", "b"]), LabelSpace(("a", "b"), "multi")) == (
        "a 2, b 2, (none) 1"
    )
    numbers = table.assign(label=["0;1", "0.5;1", "-0.5;1", "0;1"])
    assert training_labels(numbers, LabelSpace(("v", "w"), "dimensions")) == (
        "v from -0.50 to 0.50, on average 0.00, w from 1.00 to 1.00, on average 1.00"
    )
