"""`emopipe evaluate`: what is scored, how, what is said of it, and what is refused."""

import json
import re
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from emopipe.backbones import crossfit, registry
from emopipe.backbones.base import FaceInput, Spec
from emopipe.backbones.classifier import Classifier, save_classifier
from emopipe.cache import tensors
from emopipe.commands.main import app
from emopipe.core.atomic import sha256
from emopipe.core.errors import CorpusError, WeightsError
from emopipe.core.labels import CLASSES
from emopipe.evaluation import networks, samples, scoring
from emopipe.evaluation.networks import map_to_classes, open_network
from emopipe.evaluation.samples import Corpus, Sample, Samples
from emopipe.faces import detectors
from emopipe.faces.alignment import TEMPLATE, canonical_crop, derive
from emopipe.faces.detection import Detections
from emopipe.media.spectrogram import LogMelOptions, compute_spectrogram
from emopipe.runtime import device as devices
from emopipe.weights.entries import Entry, Registry
from tests.conftest import write_clip

CPU = torch.device("cpu")
KEYS = ["n", "accuracy", "uar", "per_class", "per_second", "classes", "not_scored", "n_unlabelled", "unlabelled",
        "n_failed", "failed", "trained_on", "unseen"]  # fmt: skip
FACE = {"size": 16, "width": 2, "units": [1, 1, 1], "dim": 4}
VOICE = {"width": 0.03, "spectrum": {"kind": "logmel", "n_mels": 16, "n_fft": 400}}

# A network that says by brightness what it sees, of eight classes; the seven's levels are their numbers' tens.
NAMES = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"]
LEVELS = {"anger": 10, "disgust": 20, "fear": 30, "happiness": 40, "neutral": 50, "sadness": 60, "surprise": 70,
          "contempt": 200}  # fmt: skip


def run(*arguments):
    command = ["evaluate", "--device", "cpu", "--threads", "1", *map(str, arguments)]
    return CliRunner().invoke(app, command, env={"COLUMNS": "250"})


def told(*arguments):
    """What `--json` says; all but that goes to standard error."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert list(found) == KEYS and result.stdout.count("\n") == 1
    assert found["per_second"] > 0
    return found


def refused(*arguments):
    result = run(*arguments)
    assert result.exit_code == 1 and not result.stdout and isinstance(result.exception, SystemExit)
    return result.stderr.strip().splitlines()[-1]


# --- corpora and networks


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def png(level, size=16):
    return cv2.imencode(".png", np.full((size, size, 3), level, np.uint8))[1].tobytes()


def photo(seed, size=16):
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)


SEEN = {  # class -> the classes of whose brightness its stills are
    "Happy": ["happiness", "happiness", "happiness", "anger"],
    "Sad": ["sadness", "neutral"],
    "Fear": ["surprise"],
    "Angry": ["contempt"],  # nearest to Surprise, of the seven
}


@pytest.fixture(scope="module")
def shades(tmp_path_factory):
    """Stills of one grey each; test/ and train/, of which only test/ has Fear and Angry."""
    root = tmp_path_factory.mktemp("shades")
    for label, seen in SEEN.items():
        for number, name in enumerate(seen):
            split = "test" if number % 2 == 0 or label in ("Fear", "Angry") else "train"
            write(root / split / label / f"{number}.png", png(LEVELS[name]))
    return root


@pytest.fixture
def rigged(tmp_path, monkeypatch):
    """A registry with the network that tells classes by brightness, an embedding net, and one that is not there."""
    level = np.array([LEVELS[name] for name in NAMES], np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["m", "w"], ["scaled"]),
        helper.make_node("Add", ["scaled", "b"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "shade",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])],
        # -(mean - level)^2 = 2 mean level - level^2, less what is the same for all
        [numpy_helper.from_array(2 * level[None], "w"), numpy_helper.from_array(-(level**2), "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    written = write(tmp_path / "weights/shade.onnx", model.SerializeToString())
    face = {"crop_units": 112, "size": 16, "colour": "gray", "mean": [0], "std": [1]}
    common = {"kind": "onnx", "licence": "MIT", "noncommercial": False, "citation": "A. B.", "input": face, "dim": 8,
              "sha256": sha256(written)}  # fmt: skip
    entries = [
        Entry.model_validate({**common, "name": name, "file": f"{file}.onnx", "url": f"https://a.org/{file}", **more})
        for name, file, more in [
            ("shade", "shade", {"classes": NAMES}),
            ("vectors", "vectors", {}),
            ("absent", "absent", {"classes": NAMES}),
            ("short", "short", {"classes": NAMES[:7], "dim": None, "kind": "detector:x", "input": None}),
        ]
    ]
    entries[3] = entries[0].model_copy(update={"name": "short", "classes": NAMES[:7]})
    known = Registry({entry.name: entry for entry in entries}, tmp_path / "files")
    monkeypatch.setattr(networks, "package_registry", lambda: known)
    monkeypatch.setenv("EMOPIPE_WEIGHTS", str(tmp_path / "weights"))


def own_weights(path, kind="expression", keys=FACE, *, half=False, seed=3):
    """A file as `emopipe pretrain` makes it, of a network that never learned but tells things apart; that network."""
    options = registry.options_class(kind).model_validate(keys)
    torch.manual_seed(seed)
    model = Classifier(registry.build(kind, options), registry.spec(kind, options).dim)
    with torch.no_grad():
        if kind == "expression":
            for _ in range(20):  # normalisation gets to know what pictures give
                model(torch.nn.functional.interpolate(torch.rand(32, 1, 4, 4) * 2 - 1, size=16, mode="bicubic"))
        model.eval().head.weight.mul_(5)
    recipe = {"kind": kind, "options": options.model_dump()}
    save_classifier(model, path, {"recipe": json.dumps(recipe)}, half=half)
    return model


RAVDESS = {"Neutral": "01", "Happy": "03", "Sad": "04", "Angry": "05", "Fear": "06", "Disgust": "07", "Surprise": "08"}


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    """RAVDESS' sound alone: three actors, a tone of another pitch a class, at two strengths."""
    root = tmp_path_factory.mktemp("voices")
    for actor in ("01", "02", "03"):
        for number, code in enumerate(RAVDESS.values()):
            time = np.arange(3200 + 1600 * number) / 16_000
            wave = 0.2 * np.sin(2 * np.pi * (150 * number + 100 + 10 * int(actor)) * time)
            soundfile.write(root / f"03-01-{code}-01-01-01-{actor}.wav", wave, 16_000)
    return root


# --- scores


def scores(label, predicted, subject=None, omitted=0):
    table = pd.DataFrame({"label": label, "predicted": predicted, "subject": subject or [""] * len(label), "seen": ""})
    gone = pd.DataFrame({"label": [0] * omitted, "predicted": -1, "subject": "", "status": "no_face", "seen": ""})
    return scoring.Scores(pd.concat([table, gone], ignore_index=True), "clips", seconds=2.0)


def test_scores_by_hand():
    found = scores([0, 0, 0, 0, 3, 3, 6], [0, 0, 1, 2, 3, 0, 5], omitted=3)
    assert (found.n, found.accuracy, found.per_second) == (7, pytest.approx(3 / 7), 5.0)
    assert found.per_class == {"Angry": 0.5, "Happy": 0.5, "Surprise": 0.0}
    assert found.uar == pytest.approx(1 / 3)  # over the classes that occur
    assert found.confusion.loc["Angry"].tolist() == [2, 1, 1, 0, 0, 0, 0]
    assert found.confusion.loc["Happy"].tolist() == [1, 0, 0, 1, 0, 0, 0]
    assert found.confusion.to_numpy().sum() == 7 and list(found.confusion.index) == list(CLASSES)
    assert list(found.to_dict()) == KEYS


def test_the_interval_is_over_people_where_they_are_known():
    label, predicted = [0] * 40, ([0] * 4 + [1] * 4) * 5
    found, drawn = scores(label, predicted).interval
    assert (drawn, found.groups, found.method) == ("sample", 40, "bootstrap")
    assert 0.3 < found.low[0] < 0.5 < found.high[0] < 0.7
    found, drawn = scores(label, predicted, subject=[f"s{n // 4}" for n in range(40)]).interval
    assert (drawn, found.groups, found.method) == ("subject", 10, "t")
    assert found.low[0] < 0.2 and found.high[0] > 0.8  # each person is right always or never
    found, drawn = scores(label, predicted, subject=["a"] * 20 + ["b"] * 20).interval
    assert (drawn, found.groups, found.method) == ("subject", 2, "none") and np.isnan(found.low).all()


def counted(sizes):
    """A network that puts all on the class that its input says, and samples of so many parts."""
    batches = []

    def probabilities(batch):
        batches.append(len(batch))
        return np.eye(7)[batch[:, 0].astype(int)]

    given = [Sample(number % 7, "", np.full((size, 2), number % 7, np.float32)) for number, size in enumerate(sizes)]
    spec = Spec("face", FaceInput(112.0, 16, "gray", (0.0,), (1.0,)), 4, "", "")
    network = networks.Network("counted", spec, probabilities)
    return network, Samples("stills", len(sizes), lambda: iter(given)), batches


@pytest.mark.parametrize("sizes", [[1] * 300, [2, 0, 3, 0, 0, 200, 1], [0, 1], [130, 130, 1]])
def test_samples_go_through_together_and_come_out_in_order(sizes):
    network, given, batches = counted(sizes)
    found = scoring.score(network, given)
    assert found.n == np.count_nonzero(sizes) and found.omitted == len(sizes) - found.n
    assert found.accuracy == 1 and sum(batches) == sum(sizes)
    assert max(batches) <= scoring.BATCH_SIZE - 1 + max(sizes)


def test_samples_of_other_shapes_go_apart():
    network, _, batches = counted([])
    given = [Sample(n % 7, "", np.full((1, width), n % 7, np.float32)) for n, width in enumerate([3, 3, 5, 5, 5, 3])]
    assert scoring.score(network, Samples("utterances", 6, lambda: iter(given))).accuracy == 1
    assert batches == [2, 3, 1]


def test_parts_are_averaged():
    network, _, _ = counted([])
    parts = np.array([[1, 0], [2, 0], [2, 0]], np.float32)
    found = scoring.score(network, Samples("clips", 1, lambda: iter([Sample(2, "", parts)])))
    assert found.table["predicted"].tolist() == [2]


def test_nothing_to_score_is_told():
    network, given, _ = counted([0, 0])
    found = scoring.score(network, given)
    with pytest.raises(CorpusError, match=r"None of the 2 stills could be classified \(ok 2\)\. See the warnings"):
        found.refuse_without_answers()


# --- other networks' classes


CLASS_IDX = [0, None, 1, 2, 3, 4, 5, 6]


def test_another_class_is_left_out_of_logits():
    logits = np.random.default_rng(0).normal(0, 3, (20, 8))
    kept = np.exp(np.delete(logits, 1, axis=1))
    found = map_to_classes(logits, CLASS_IDX)
    np.testing.assert_allclose(found, kept / kept.sum(1, keepdims=True), rtol=1e-9)
    logits[:, 1] += 5000  # however sure of it the network is
    np.testing.assert_allclose(map_to_classes(logits, CLASS_IDX), found, rtol=1e-9)


def test_another_class_is_left_out_of_probabilities():
    shares = np.random.default_rng(0).dirichlet(np.ones(8), 20)
    kept = np.delete(shares, 1, axis=1)
    np.testing.assert_allclose(map_to_classes(shares, CLASS_IDX), kept / kept.sum(1, keepdims=True), rtol=1e-9)


def test_classes_of_one_meaning_are_added():
    shares = np.array([[0.2, 0.3, 0.5], [0.6, 0.4, 0.0]])
    found = map_to_classes(shares, [3, 3, 5])
    np.testing.assert_allclose(found[:, [3, 5]], [[0.5, 0.5], [1.0, 0.0]])
    assert found.sum() == pytest.approx(2)


# --- stills


def test_an_onnx_network_that_tells_classes(rigged, shades):
    """By hand: 3 of 4 Happy, 1 of 2 Sad, no Fear, and no Angry, as contempt is none of the seven."""
    found = told("shade", "--corpus", f"folder:{shades}")
    assert found["n"] == 8 and found["accuracy"] == pytest.approx(4 / 8)
    assert found["per_class"] == {"Angry": 0.0, "Fear": 0.0, "Happy": 0.75, "Sad": 0.5}
    assert found["uar"] == pytest.approx((0 + 0 + 0.75 + 0.5) / 4)


def test_an_onnx_network_runs_on_the_cpu_if_onnxruntime_cannot_use_the_gpu_of_torch(rigged, shades, monkeypatch):
    monkeypatch.setattr(devices, "prepare", lambda device, threads: torch.device("cuda", 0))
    assert told("shade", "--corpus", f"folder:{shades}")["n"] == 8
    assert "requested, but this onnxruntime has only" in refused(
        "shade", "--corpus", f"folder:{shades}", "--device", "cuda"
    )


@pytest.mark.slow
def test_what_is_said_without_json(rigged, shades, tmp_path):
    result = run("shade", "--corpus", f"folder:{shades}", "--confusion", tmp_path / "confusion.png")
    assert result.exit_code == 0
    interval = r"\[\d+.\d%, \d+.\d%\]"
    assert re.search(rf"shade: 8 stills\naccuracy 50.0% {interval}, UAR 31.2% {interval}", result.stdout)
    assert re.search(r"95 % intervals over 8 samples \(t\)\n.*\n\d+ stills per second", result.stdout)
    rows = {row[0]: row[1:] for line in result.stdout.splitlines() if len(row := re.findall(r"[\w.%]+", line)) == 10}
    assert rows.pop("label") == [*CLASSES, "n", "recall"]
    assert rows == {
        "Angry": ["0", "0", "0", "0", "0", "0", "1", "1", "0.0%"],
        "Fear": ["0", "0", "0", "0", "0", "0", "1", "1", "0.0%"],
        "Happy": ["1", "0", "0", "3", "0", "0", "0", "4", "75.0%"],
        "Sad": ["0", "0", "0", "0", "1", "1", "0", "2", "50.0%"],
    }
    assert cv2.imread(str(tmp_path / "confusion.png")).std() > 10


def test_a_split_alone(rigged, shades):
    corpus = f"folder:{shades}"
    assert told("shade", "--corpus", corpus, "--split", "train") == {
        "n": 3, "accuracy": pytest.approx(1 / 3), "uar": 0.25, "per_class": {"Happy": 0.5, "Sad": 0.0},
        "per_second": pytest.approx(0, abs=1e6), "classes": list(CLASSES), "not_scored": {},
        "n_unlabelled": 0, "unlabelled": {}, "n_failed": 0, "failed": {}, "trained_on": None, "unseen": None,
    }  # fmt: skip
    assert told("shade", "--corpus", corpus, "--split", "test", "--split", "train")["n"] == 8
    said = refused("shade", "--corpus", corpus, "--split", "val")
    assert said == f"{shades} has no split 'val'. Found: test, train. Correct --split."
    said = refused("shade", "--corpus", corpus, "--subject", "01")
    assert said == f"{shades} has no subject '01'. Found: none. Correct --subject."


def test_what_is_no_picture_is_left_out(rigged, tmp_path):
    write(tmp_path / "stills/Happy/1.png", png(LEVELS["happiness"]))
    write(tmp_path / "stills/Happy/2.png", b"no picture")
    result = run("shade", "--corpus", f"folder:{tmp_path / 'stills'}")
    assert "Happy/2.png is not an image and is omitted" in result.stderr
    assert "shade: 1 stills, 1 omitted (undecodable)" in result.stdout
    found = told("shade", "--corpus", f"folder:{tmp_path / 'stills'}")
    assert (found["n"], found["n_failed"], found["failed"]) == (1, 1, {"undecodable": 1})
    (tmp_path / "stills/Happy/1.png").unlink()
    assert refused("shade", "--corpus", f"folder:{tmp_path / 'stills'}").startswith("None of the 1 stills could be")


def by_hand(model, pictures, geometry, flip=True):
    """What a network of this project's says of pictures of its own size."""
    x = torch.from_numpy(geometry.prepare(np.stack(pictures)))
    with torch.no_grad():
        views = [model(x).softmax(1), *([model(x.flip(3)).softmax(1)] if flip else [])]
    return torch.stack(views).mean(0).argmax(1).numpy()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Stills in a folder and in a zip: {folder}/stills and {folder}/stills.zip; what they are and show."""
    root, label, pictures = tmp_path_factory.mktemp("photos"), [], []
    with zipfile.ZipFile(root / "stills.zip", "w") as archive:
        for number, name in enumerate(CLASSES):
            for still in range(4):
                pictures.append(photo(10 * number + still))
                label.append(number)
                data = cv2.imencode(".png", pictures[-1])[1].tobytes()
                write(root / f"stills/{name}/{still}.png", data)
                archive.writestr(f"data/{name}/{still}.png", data)
    return root, np.array(label), pictures


@pytest.mark.slow
@pytest.mark.parametrize("half", [False, True])
def test_own_weights_on_stills_in_a_folder_and_in_a_zip(photos, tmp_path, half):
    root, label, pictures = photos
    model = own_weights(tmp_path / "net.safetensors", half=half)
    geometry = registry.spec("expression", registry.options_class("expression").model_validate(FACE)).input
    if half:
        model.half().float()  # what is written is what half precision keeps
    for flip in (True, False):
        predicted = by_hand(model, pictures, geometry, flip)
        right = predicted == label
        assert len(set(predicted)) > 2 and 0 < right.mean() < 1
        for corpus in (f"folder:{root / 'stills'}", f"folder:{root / 'stills.zip'}"):
            found = told(tmp_path / "net.safetensors", "--corpus", corpus, "--flip" if flip else "--no-flip")
            assert found["n"] == 28 and found["accuracy"] == pytest.approx(right.mean())
            of_class = {name: right[label == number].mean() for number, name in enumerate(CLASSES)}
            assert found["per_class"] == pytest.approx(of_class)
            assert found["uar"] == pytest.approx(right.mean())  # as many of each


@pytest.mark.slow
def test_own_weights_may_name_their_classes_in_another_order(photos, tmp_path):
    root, _, _ = photos
    own_weights(tmp_path / "net.safetensors")
    corpus = f"folder:{root / 'stills'}"
    wanted = told(tmp_path / "net.safetensors", "--corpus", corpus)
    from safetensors.torch import load_file

    state = load_file(tmp_path / "net.safetensors")
    state = {key: value.flip(0) if key.startswith(tensors.HEAD) else value for key, value in state.items()}
    recipe = {"kind": "expression", "options": FACE}
    metadata = {"recipe": json.dumps(recipe), "classes": json.dumps(list(reversed(CLASSES)))}
    tensors.save_state(state, tmp_path / "other.safetensors", metadata)
    found = told(tmp_path / "other.safetensors", "--corpus", corpus)
    assert {**found, "per_second": 0} == {**wanted, "per_second": 0}


# --- faces that are found first


class Finder:
    """Stands for a detector: one face, at a known place, or none."""

    device = "cpu"

    def __init__(self, scale=1.0, at=(60, 70), empty=False):
        """A face of so many pixels a unit, centred there."""
        self.landmarks, self.calls, self.empty = (TEMPLATE - 55.5) * scale + at, 0, empty

    def __call__(self, frame):
        self.calls += 1
        if self.empty:
            return Detections(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32))
        box = np.concatenate([self.landmarks.min(0), self.landmarks.max(0)])[None].astype(np.float32)
        return Detections(box, self.landmarks[None].astype(np.float32), np.ones(1, np.float32))


@pytest.fixture
def finder(monkeypatch):
    found = Finder()
    monkeypatch.setattr(detectors, "build", lambda kind, options, **where: found)
    return found


def test_stills_are_used_as_they_are_unless_faces_are_to_be_found(rigged, tmp_path, finder):
    """A bright corner of a dark picture: the whole is as bright as Angry, the face there as Surprise."""
    still = np.full((400, 400, 3), 5, np.uint8)
    still[:140, :140] = 71
    write(tmp_path / "stills/Surprise/1.png", cv2.imencode(".png", still)[1].tobytes())
    corpus = f"folder:{tmp_path / 'stills'}"
    assert told("shade", "--corpus", corpus)["accuracy"] == 0 and finder.calls == 0
    assert told("shade", "--corpus", corpus, "--detect")["accuracy"] == 1 and finder.calls == 1
    finder.empty = True
    assert (
        "no face was found in 1 of 1 stills, which are used without alignment"
        in run("shade", "--corpus", corpus, "--detect").stderr
    )
    found = told("shade", "--corpus", corpus, "--detect")
    assert (found["n"], found["accuracy"], found["uar"], found["per_class"]) == (1, 0, 0, {"Surprise": 0})


def test_a_found_face_is_cut_as_clips_faces_are(tmp_path):
    still = photo(0, 300)
    write(tmp_path / "Happy/1.png", cv2.imencode(".png", still)[1].tobytes())
    finder = Finder(1.5, (150, 140))
    for down in (0.0, 9.0):
        spec = Spec("face", FaceInput(100.0, 48, "rgb", (0.0,) * 3, (1.0,) * 3, down), 4, "", "")
        given = samples.open_corpus(Corpus("folder", tmp_path), spec, detector=lambda: finder, detect=True, flip=False)
        (sample,) = given.read()
        crop = derive(canonical_crop(still, finder.landmarks), 100.0, 48, down)
        assert np.abs(sample.parts - spec.input.prepare(crop[None])).max() <= 1
        assert (sample.label, sample.subject, given.unit, given.size) == (3, "", "stills", 1)


@pytest.mark.slow
def test_clips_are_seen_face_by_face(rigged, tmp_path, finder):
    """write_clip's frames grow brighter from 20 on: the faces of one clip are averaged."""
    write_clip(tmp_path / "clips/Fear/bright.avi", seconds=0.4)
    write_clip(tmp_path / "clips/Happy/silent.avi", seconds=0.4, audio=None)
    write(tmp_path / "clips/Happy/broken.avi", b"no clip")
    finder.landmarks = (TEMPLATE - 55.5) * 0.2 + (32, 24)
    result = run("shade", "--corpus", f"folder:{tmp_path / 'clips'}")
    assert "shade: 2 clips, 1 omitted" in result.stdout
    assert "Happy/broken.avi has no face and is omitted. Neither frames nor sound" in result.stderr
    assert finder.calls == 8
    spec = Spec("face", FaceInput(112.0, 16, "gray", (0.0,), (1.0,)), 8, "", "")
    given = samples.open_corpus(
        Corpus("folder", tmp_path / "clips"), spec, detector=lambda: finder, detect=False, flip=True
    )
    parts = {sample.label: sample.parts for sample in given.read() if len(sample.parts)}
    assert parts[2].shape == (8, 1, 16, 16)  # four frames, and mirrored
    np.testing.assert_allclose(parts[2][:4].mean((1, 2, 3)), [20, 24, 28, 32], atol=2.5)
    np.testing.assert_array_equal(parts[2][4:], parts[2][:4, ..., ::-1])


def test_the_detector_is_chosen_by_kind_and_weights(rigged, shades, monkeypatch):
    asked = []
    monkeypatch.setattr(detectors, "build", lambda kind, options, **where: asked.append((kind, options)) or Finder())
    corpus = f"folder:{shades}"
    told("shade", "--corpus", corpus, "--detect", "--detector", "scrfd:mine.onnx")
    (kind, options), = asked  # fmt: skip
    assert (kind, options.weights) == ("scrfd", "mine.onnx")
    assert "--detector is 'mtcn', which does not exist. Known names: mtcnn" in refused(
        "shade", "--corpus", corpus, "--detector", "mtcn"
    )
    assert "Unknown key --detector.weights" in refused("shade", "--corpus", corpus, "--detector", "mtcnn:mine.onnx")
    assert "--detector needs the weights scrfd_2g5" in refused(
        "shade", "--corpus", corpus, "--detector", "scrfd:scrfd_2g5"
    )


def test_the_detector_runs_on_the_device_of_the_network(rigged, shades, monkeypatch):
    asked = []
    monkeypatch.setattr(detectors, "build", lambda kind, options, **where: asked.append(where) or Finder())
    for device in ("auto", "cpu"):
        told("shade", "--corpus", f"folder:{shades}", "--detect", "--device", device)
    assert asked == [{"threads": 1, "device": "auto"}, {"threads": 1, "device": "cpu"}]


def test_a_detector_without_its_weights_is_told(rigged, shades):
    said = refused("shade", "--corpus", f"folder:{shades}", "--detect", "--detector", "scrfd")
    assert "SCRFD" in said and "weights" in said


def test_a_real_detector_looks_for_faces(rigged, tmp_path):
    """There is none in plain grey, so the still is used as it is."""
    write(tmp_path / "stills/Fear/1.png", png(LEVELS["fear"], 64))
    assert told("shade", "--corpus", f"folder:{tmp_path / 'stills'}", "--detect")["accuracy"] == 1


# --- speech


@pytest.mark.slow
def test_speech(voices, tmp_path):
    model = own_weights(tmp_path / "net.safetensors", "audio_alexnet", VOICE, seed=5)
    picture = LogMelOptions.model_validate(VOICE["spectrum"])
    label, actor, right = [], [], []
    for path in sorted(voices.glob("*.wav")):
        _, _, code, *_, who = path.stem.split("-")
        wave = soundfile.read(path, dtype="int16")[0].astype(np.float32) / 32768
        with torch.no_grad():
            predicted = int(model(torch.from_numpy(compute_spectrogram(wave, picture))[None]).argmax())
        label.append({code: name for name, code in RAVDESS.items()}[code])
        actor.append(who)
        right.append(CLASSES[predicted] == label[-1])
    table = pd.DataFrame({"label": label, "actor": actor, "right": right})
    found = told(tmp_path / "net.safetensors", "--corpus", f"ravdess:{voices}")
    assert found["n"] == 21 and found["accuracy"] == pytest.approx(table["right"].mean())
    assert found["per_class"] == pytest.approx(table.groupby("label")["right"].mean().to_dict())
    assert found["uar"] == pytest.approx(table.groupby("label")["right"].mean().mean())
    of_two = told(tmp_path / "net.safetensors", "--corpus", f"ravdess:{voices}", "--subject", "01", "--subject", "03")
    assert of_two["n"] == 14
    assert of_two["accuracy"] == pytest.approx(table[table["actor"] != "02"]["right"].mean())
    said = refused(tmp_path / "net.safetensors", "--corpus", f"ravdess:{voices}", "--subject", "04")
    assert said.endswith("has no subject '04'. Found: 01, 02, 03. Correct --subject.")
    result = run(tmp_path / "net.safetensors", "--corpus", f"ravdess:{voices}")
    assert "net: 21 utterances" in result.stdout and "3 subjects are too few for an interval" in result.stdout


@pytest.mark.slow
def test_speech_in_class_folders_and_silent_files(tmp_path):
    own_weights(tmp_path / "net.safetensors", "audio_alexnet", VOICE)
    for split in ("train", "val"):
        (tmp_path / f"speech/{split}/Happy").mkdir(parents=True)
        soundfile.write(tmp_path / f"speech/{split}/Happy/{split}.wav", 0.1 * np.ones(8000), 16_000)
    write(tmp_path / "speech/val/Sad/empty.wav", b"")
    corpus = f"folder:{tmp_path / 'speech'}"
    assert told(tmp_path / "net.safetensors", "--corpus", corpus, "--split", "train")["n"] == 1
    result = run(tmp_path / "net.safetensors", "--corpus", corpus, "--split", "val")
    assert "val/Sad/empty.wav has no sound and is omitted. The file is empty (0 bytes)." in result.stderr
    assert "net: 1 utterances, 1 omitted" in result.stdout
    assert "--detect finds faces, but this is an audio network" in refused(
        tmp_path / "net.safetensors", "--corpus", corpus, "--detect"
    )


def tone(path, hertz=200):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(2 * np.pi * hertz * np.arange(8000) / 16_000), 16_000)


@pytest.mark.slow
def test_speech_of_one_name_in_several_classes_and_of_other_classes(tmp_path):
    """As corpora come: classes below a folder of their own, files numbered anew in each, classes that are no matter."""
    own_weights(tmp_path / "net.safetensors", "audio_alexnet", VOICE)
    for number, label in enumerate(("angry", "HAPPY", "calm", "boredom")):
        tone(tmp_path / f"corpus/data/{label}/001.wav", 100 * (number + 1))
    found = told(tmp_path / "net.safetensors", "--corpus", f"folder:{tmp_path / 'corpus'}")
    assert found["n"] == 2 and list(found["per_class"]) == ["Angry", "Happy"]
    assert found["not_scored"] == {"Boredom": 1, "Calm": 1}
    said = refused(
        tmp_path / "net.safetensors", "--corpus", f"folder:{tmp_path / 'corpus'}", "--option", "others=refuse"
    )
    assert "is not one of the seven" in said


def test_options_of_the_corpus(tmp_path, shades, rigged):
    """A map of labels, of a class that is left out without it."""
    write(tmp_path / "stills/Happy/1.png", png(LEVELS["happiness"]))
    write(tmp_path / "stills/contempt/1.png", png(LEVELS["sadness"]))
    corpus = f"folder:{tmp_path / 'stills'}"
    assert told("shade", "--corpus", corpus)["n"] == 1
    found = told("shade", "--corpus", corpus, "--option", "labels={contempt: Sad}")
    assert found["n"] == 2 and found["accuracy"] == 1
    assert "Unknown key --option.lables" in refused("shade", "--corpus", corpus, "--option", "lables={}")
    assert refused("shade", "--corpus", corpus, "--option", "labels").startswith("--option is 'labels'. Expected KEY=")
    assert "is not YAML" in refused("shade", "--corpus", corpus, "--option", "labels={")


def test_a_damaged_still_in_a_zip_is_left_out(tmp_path, rigged):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    with zipfile.ZipFile(tmp_path / "stills.zip", "w") as file:
        file.writestr("Happy/broken.png", cv2.imencode(".png", noise)[1].tobytes())
        file.writestr("Happy/whole.png", png(LEVELS["happiness"]))
    content = bytearray((tmp_path / "stills.zip").read_bytes())
    content[2000] ^= 255
    (tmp_path / "stills.zip").write_bytes(content)
    result = run("shade", "--corpus", f"folder:{tmp_path / 'stills.zip'}")
    assert "Happy/broken.png is not an image and is omitted" in result.stderr
    assert "shade: 1 stills, 1 omitted" in result.stdout


# --- what cannot be classified, and what has no label


@pytest.mark.slow
def test_clips_that_cannot_be_used_are_counted_by_their_status(rigged, tmp_path, finder):
    """One good clip of each class, and beside it one that is gone, empty, broken, without frames, or without a face."""
    for name, grey in (("Angry/good", 0), ("Fear/good", 9)):
        write_clip(tmp_path / f"clips/{name}{grey}.avi", seconds=0.2)
    (tmp_path / "clips/Fear/gone.mp4").symlink_to("moved away.mp4")
    (tmp_path / "clips/Sad").mkdir()
    (tmp_path / "clips/Sad/gone.mkv").symlink_to(tmp_path / "absent.mkv")
    write(tmp_path / "clips/Happy/empty.webm", b"")
    write(tmp_path / "clips/Happy/broken.avi", b"no clip")
    write_clip(tmp_path / "clips/Happy/sound.avi", video=None)
    finder.landmarks = (TEMPLATE - 55.5) * 0.2 + (32, 24)
    corpus = f"folder:{tmp_path / 'clips'}"
    found = told("shade", "--corpus", corpus, "--option", "clip_id=path", "--predictions", tmp_path / "p.csv")
    assert (found["n"], found["n_failed"]) == (2, 5)
    assert found["failed"] == {"no_video": 1, "undecodable": 2, "unreadable": 2}
    assert found["per_class"] == {"Angry": 0.0, "Fear": 0.0}  # both are of the brightness of disgust
    rows = pd.read_csv(tmp_path / "p.csv", keep_default_na=False).set_index("sample")
    assert rows["status"].to_dict() == {
        "Angry/good0.avi": "ok", "Fear/good9.avi": "ok", "Fear/gone.mp4": "unreadable", "Sad/gone.mkv": "unreadable",
        "Happy/empty.webm": "undecodable", "Happy/broken.avi": "undecodable", "Happy/sound.avi": "no_video",
    }  # fmt: skip
    assert rows.loc["Happy/empty.webm", "reason"] == "The file is empty (0 bytes)."
    assert "No such file or directory" in rows.loc["Fear/gone.mp4", "reason"]
    assert rows.loc["Angry/good0.avi", ["label", "pred"]].tolist() == ["Angry", "Disgust"]
    assert rows.loc["Angry/good0.avi", [f"p_{name}" for name in CLASSES]].astype(float).sum() == pytest.approx(1)
    assert rows.loc["Sad/gone.mkv", ["label", "pred", "p_Sad"]].tolist() == ["Sad", "", ""]
    finder.empty = True
    result = run("shade", "--corpus", corpus, "--json")
    assert result.exit_code == 1 and json.loads(result.stdout)["failed"]["no_face"] == 2
    assert (
        "None of the 7 clips could be classified (no_face 2, no_video 1, undecodable 2, unreadable 2)" in result.stderr
    )


@pytest.mark.slow
def test_sound_that_is_gone_absent_or_unlabelled_is_counted(tmp_path):
    own_weights(tmp_path / "net.safetensors", "audio_alexnet", VOICE)
    for name in ("a", "b", "c"):
        tone(tmp_path / f"speech/{name}.wav")
    write_clip(tmp_path / "speech/mute.avi", audio=None, seconds=0.2)
    listed = ["a.wav,happy", "b.wav,", "c.wav,", "gone.wav,sad", "also gone.wav,", "mute.avi,sad"]
    write(tmp_path / "speech/clips.csv", "\n".join(["path,label", *listed]).encode())
    corpus = f"table:{tmp_path / 'speech'}"
    found = told(tmp_path / "net.safetensors", "--corpus", corpus)
    assert (found["n"], found["n_unlabelled"], found["n_failed"]) == (1, 2, 3)
    assert found["failed"] == {"no_audio": 1, "unreadable": 2} and sum(found["unlabelled"].values()) == 2
    result = run(tmp_path / "net.safetensors", "--corpus", corpus)
    assert "net: 1 utterances, 1 omitted (no_audio), 2 omitted (unreadable)" in result.stdout
    assert "2 utterances have no label and are not scored, but predicted: " in result.stdout
    assert "clip gone.wav: unreadable. The file cannot be read: No such file or directory." in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "table", "table with splits"])
def test_clips_without_any_label_are_predicted_and_not_scored(rigged, tmp_path, finder, kind):
    for name in ("a", "b"):
        write_clip(tmp_path / f"clips/{name}.avi", seconds=0.2)
    split = ",split" if kind == "table with splits" else ""
    rows = [f"path,label{split}", *(f"{name}.avi,{split and ',val'}" for name in "ab")]
    if kind != "folder":
        write(tmp_path / "clips/clips.csv", "\n".join(rows).encode())
    finder.landmarks = (TEMPLATE - 55.5) * 0.2 + (32, 24)
    corpus = f"{kind.split()[0]}:{tmp_path / 'clips'}"
    found = told("shade", "--corpus", corpus, "--confusion", tmp_path / "confusion.png")
    assert found | {"per_second": 0} == {
        "n": 0, "accuracy": None, "uar": None, "per_class": {}, "per_second": 0, "classes": list(CLASSES),
        "not_scored": {}, "n_unlabelled": 2,
        "unlabelled": {"Disgust": 2}, "n_failed": 0, "failed": {}, "trained_on": None, "unseen": None,
    }  # fmt: skip
    assert not (tmp_path / "confusion.png").exists()
    result = run("shade", "--corpus", corpus)
    assert result.exit_code == 0 and result.stdout.splitlines() == [
        "shade: 0 clips",
        "2 clips have no label and are not scored, but predicted: Disgust 2. --predictions FILE.csv writes what is "
        "predicted for each.",
        "Nothing is scored, because no label is known of what was classified.",
    ]
    result = run("shade", "--corpus", corpus, "--predictions", tmp_path / "p.csv")
    assert f"Disgust 2. See {tmp_path / 'p.csv'}." in result.stdout
    assert pd.read_csv(tmp_path / "p.csv")["pred"].tolist() == ["Disgust"] * 2


def test_a_still_that_is_gone_is_counted(rigged, tmp_path):
    for name in ("1", "2"):
        write(tmp_path / f"stills/Happy/{name}.png", png(LEVELS["happiness"]))
    (tmp_path / "stills/Sad").mkdir()
    (tmp_path / "stills/Sad/3.png").symlink_to("moved.png")
    (tmp_path / "stills/Happy/4.png").symlink_to("moved.png")
    found = told("shade", "--corpus", f"folder:{tmp_path / 'stills'}")
    assert (found["n"], found["accuracy"], found["n_failed"]) == (2, 1.0, 2) and found["failed"] == {"unreadable": 2}


def test_the_memory_that_is_too_small_ends_the_evaluation_with_a_sentence(rigged, tmp_path, monkeypatch):
    write(tmp_path / "stills/Happy/1.png", png(LEVELS["happiness"]))

    def starved(*_):
        raise MemoryError

    monkeypatch.setattr(samples.sharded_images, "cut", starved)
    assert refused("shade", "--corpus", f"folder:{tmp_path / 'stills'}").startswith("The memory was too small for 1 of")


def test_predictions_are_a_csv(rigged, shades, tmp_path):
    said = refused("shade", "--corpus", f"folder:{shades}", "--predictions", tmp_path / "p.parquet")
    assert said.endswith("p.parquet, but the file is a CSV. Give a name that ends in .csv.")


# --- what is refused


def test_a_file_in_the_place_of_a_name_is_held_to_its_sum(rigged, shades, tmp_path):
    write(tmp_path / "weights/shade.onnx", b"another")
    said = refused("shade", "--corpus", f"folder:{shades}")
    assert "shade.onnx is not the file of the weights shade: its sha256 is" in said


@pytest.mark.parametrize("given", ["folder", "folder:", ":there", ""])
def test_a_corpus_has_a_kind_and_a_path(given):
    assert refused("ferplus", "--corpus", given) == (f"--corpus is {given!r}. Expected KIND:PATH, such as folder:DIR.")


def test_unknown_kinds_and_places_are_told(rigged, tmp_path, voices):
    said = refused("shade", "--corpus", f"fodler:{tmp_path}")
    assert said.startswith("--corpus has the kind 'fodler'. Expected for a face network: one of afew, affectnet, caer")
    assert refused("shade", "--corpus", f"folder:{tmp_path}/nowhere").endswith(
        "nowhere does not exist. Correct the path in --corpus."
    )
    assert f"were found in {tmp_path}. Expected <class>/<image>" in refused("shade", "--corpus", f"fer2013:{tmp_path}")
    own_weights(tmp_path / "net.safetensors", "audio_alexnet", VOICE)
    said = refused(tmp_path / "net.safetensors", "--corpus", f"fer2013:{voices}")
    assert said.startswith(
        "--corpus has the kind 'fer2013'. Expected for an audio network: one of afew, caer, cremad, demo"
    )


def test_a_name_that_is_none_is_told(shades):
    corpus = f"folder:{shades}"
    assert "'ferplsu' is not one of the weights" in refused("ferplsu", "--corpus", corpus)
    assert "Did you mean ferplus" in refused("ferplsu", "--corpus", corpus)


def test_networks_that_tell_no_classes_are_told(rigged, shades):
    corpus = f"folder:{shades}"
    assert refused("vectors", "--corpus", corpus).startswith("vectors has no classes, so it cannot be evaluated by")
    assert "Run `emopipe weights fetch absent`" in refused("absent", "--corpus", corpus)
    assert "gives 8 numbers, but short has 7 classes" in refused("short", "--corpus", corpus)


def test_weights_without_a_classifier_are_told(shades, tmp_path):
    options = registry.options_class("expression").model_validate(FACE)
    network = registry.build("expression", options)
    tensors.save(network, tmp_path / "plain.safetensors", {"recipe": "{}"})
    torch.save(network.state_dict(), tmp_path / "plain.pth")
    crossfit.save(
        crossfit.CrossfitWeights(crossfit.state_of(Classifier(network, 4)), [], [], {}),
        tmp_path / "learned.safetensors",
        {},
    )
    for name in ("plain.safetensors", "plain.pth", "learned.safetensors"):
        said = refused(tmp_path / name, "--corpus", f"folder:{shades}")
        assert said.startswith(f"{tmp_path / name} has no classifier that emopipe wrote, so it cannot be evaluated.")
    said = refused(tmp_path / "none.safetensors", "--corpus", f"folder:{shades}")
    assert said.startswith(f"The weights file {tmp_path / 'none.safetensors'} does not exist")
    write(tmp_path / "cut.safetensors", b"123")
    assert "cannot be read" in refused(tmp_path / "cut.safetensors", "--corpus", f"folder:{shades}")


def test_fusion_weights_are_told(shades, tmp_path):
    """The file of a run's model, as the stage fusion writes it."""
    recipe = {"stage": "fusion", "streams": {"expression": "face"}, "options": {}, "protocol": {}}
    about = {"recipe": json.dumps(recipe), "classes": " ".join(CLASSES), "device": "cpu"}
    path = tmp_path / "fused.safetensors"
    tensors.save_state({"seed0.network.join.classify.bias": torch.zeros(7)}, path, about)
    said = refused(path, "--corpus", f"folder:{shades}")
    assert said.startswith(f"{path} holds the fusion networks of a run's model, which read cached features")
    assert "Give weights that `emopipe pretrain` wrote" in said and "metrics.csv" in said


@pytest.mark.parametrize("about", [
    {"recipe": "no JSON", "classes": json.dumps(CLASSES)},
    {"recipe": "[]", "classes": json.dumps(CLASSES)},
    {"recipe": json.dumps({"stage": "report"}), "classes": json.dumps(CLASSES)},
    {"recipe": json.dumps({"kind": "expression", "options": FACE}), "classes": " ".join(CLASSES)},
    {"recipe": json.dumps({"kind": "expression", "options": FACE}), "classes": json.dumps(CLASSES[:1])},
])  # fmt: skip
def test_weights_that_say_something_else_are_told(shades, tmp_path, about):
    tensors.save_state({"x": torch.zeros(7)}, tmp_path / "other.safetensors", about)
    said = refused(tmp_path / "other.safetensors", "--corpus", f"folder:{shades}")
    assert said.startswith(f"{tmp_path / 'other.safetensors'} has no classifier that emopipe wrote")


def test_own_weights_of_options_that_are_no_more_are_told(shades, tmp_path):
    own_weights(tmp_path / "net.safetensors")
    from safetensors.torch import load_file

    recipe = {"kind": "expression", "options": FACE | {"depth": 3}}
    metadata = {"recipe": json.dumps(recipe), "classes": json.dumps(CLASSES)}
    tensors.save_state(load_file(tmp_path / "net.safetensors"), tmp_path / "old.safetensors", metadata)
    with pytest.raises(Exception, match="depth"):
        open_network(str(tmp_path / "old.safetensors"), device=CPU, threads=1)
    assert "Unknown key" in refused(tmp_path / "old.safetensors", "--corpus", f"folder:{shades}")


def test_the_matrix_is_a_png(rigged, shades, tmp_path):
    said = refused("shade", "--corpus", f"folder:{shades}", "--confusion", tmp_path / "confusion.jpeg")
    assert said.endswith("the matrix is drawn as PNG. Give a name that ends in .png.")


def test_a_path_is_told_from_a_name(tmp_path, monkeypatch, rigged):
    own_weights(tmp_path / "net.safetensors")
    monkeypatch.chdir(tmp_path)
    assert open_network("net.safetensors", device=CPU, threads=1).name == "net"
    assert open_network("shade", device=CPU, threads=1).name == "shade"
    Path("shade").mkdir()  # a folder is no file of weights
    assert open_network("shade", device=CPU, threads=1).name == "shade"
    with pytest.raises(WeightsError, match=r"The weights file There/shade does not exist\. Correct the path"):
        open_network("There/shade", device=CPU, threads=1)


@pytest.mark.slow
def test_looking_at_the_other_commands_loads_no_network():
    import subprocess

    code = (
        "import sys, emopipe.commands.main; print([name for name in ('torch', 'onnxruntime') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
