"""Networks with classes of their own beside the seven: trained and evaluated, and dropped in use."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from emopipe import corpora, stills
from emopipe.backbones import registry
from emopipe.backbones.classifier import Classifier, Head, joint_state, load_head, read_head, save_classifier
from emopipe.backbones.head_in_file import classes_in_file
from emopipe.cache.store import Reader, clips_digest
from emopipe.cache.tensors import save_state
from emopipe.commands.main import app
from emopipe.commands.pretrain import WeightsRecipe
from emopipe.core.errors import ConfigError, CorpusError, WeightsError
from emopipe.core.fingerprint import digest
from emopipe.core.labels import CLASSES, SETS
from emopipe.core.validation import checked
from emopipe.corpora.labelling import in_classes
from emopipe.stages import chain, features, merge
from emopipe.stills.base import Stills, stills_table
from emopipe.training.loading import load_dataset
from emopipe.training.phase_options import SpeechPhase
from emopipe.training.sources import SourceBlock
from emopipe.weights.trained_on import TrainedOn, read, to_metadata
from emopipe.workflow import config as configs
from emopipe.workflow.plan import Plan
from emopipe.workflow.training_recipe import phase_recipe
from tests.unit.test_pretraining import write_faces

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
EIGHT = (*CLASSES, "Contempt")
FACE = {"size": 16, "width": 2, "units": [1, 1, 1], "dim": 4}
RECIPE = {"kind": "expression", "sources": {"a": {"kind": "folder", "path": "a"}}, "schedule": [{"sources": ["a"]}]}


def model_of(classes, seed=0):
    torch.manual_seed(seed)
    options = registry.options_class("expression").model_validate(FACE)
    return Classifier(registry.build("expression", options), 4, classes=classes).eval()


def written(path, classes, seed=0, **about):
    """A file of weights of these classes, as `emopipe pretrain` writes it, and its network."""
    model = model_of(classes, seed)
    metadata = {"recipe": json.dumps({"kind": "expression", "options": FACE}), **about}
    save_classifier(model, path, metadata, half=False)
    return model


def picture(folder, number):
    noise = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(noise, (16, 16), interpolation=cv2.INTER_CUBIC))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two pictures of Happy, two of Sad and three of contempt; the split val has none of contempt."""
    root = tmp_path_factory.mktemp("pictures")
    for number, (split, label) in enumerate(
        [("train", "happy"), ("val", "happy"), ("train", "sad"), ("val", "sad"), *[("train", "contempt")] * 3]
    ):
        picture(root / split / label, number)
    return root


# --- which classes a recipe may have


def test_a_recipe_has_the_seven_unless_it_lists_further_ones():
    assert checked(WeightsRecipe, RECIPE).classes == list(CLASSES)
    # The order of the seven does not matter, so it does not change what is made.
    given = ["Contempt", *reversed(CLASSES), "Awe"]
    assert checked(WeightsRecipe, {**RECIPE, "classes": given}).classes == [*CLASSES, "Contempt", "Awe"]
    # Other lists stay as they are.
    for given in (["bored", "Happy", "engaged"], ["Joy", "Sad"], [*CLASSES[1:], "Contempt"]):
        assert checked(WeightsRecipe, {**RECIPE, "classes": given}).classes == given


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ([], r"the classes are \[\]\. Expected two or more"),
        (["Happy"], r"the classes are \['Happy'\]\. Expected two or more"),
        ([*CLASSES, "Contempt", "contempt"], "the class 'contempt' is listed twice"),
        ([*CLASSES, "Joy"], "'Joy' is another name of Happy"),
        ([*CLASSES, " "], "a class has an empty name"),
    ],
)
def test_classes_that_cannot_be_are_refused_by_the_key(classes, said):
    with pytest.raises(ConfigError, match=f"^classes: {said}"):
        checked(WeightsRecipe, {**RECIPE, "classes": classes})


@pytest.mark.slow
def test_a_backbone_of_a_config_may_have_further_classes_if_it_has_a_schedule(tmp_path):
    block = {"kind": "expression", "schedule": [{"sources": ["a"]}], "classes": list(EIGHT)}
    sources = {"a": {"kind": "folder", "path": "a", "options": {"labels": {"sneer": "Contempt"}}}}
    config = {
        "run": "r", "corpus": {"name": "c", "kind": "folder"}, "decode": {"d": {"policy": "count", "count": 2}},
        "faces": {"f": {"detector": "mtcnn"}}, "sources": sources, "backbones": {"face": block}, "corpus_root": "x",
    }  # fmt: skip
    assert configs.parse(config).backbones["face"].classes == list(EIGHT)
    (tmp_path / "a").mkdir()
    table = pd.DataFrame(columns=["clip", "path", "split", "label", "subject", "digest"], dtype=str)
    local = {**config, "sources": {"a": {**sources["a"], "path": str(tmp_path / "a")}}}
    assert Plan(configs.parse(local), table, SCRIPTS).chain("face", 0)["classes"] == list(EIGHT)
    seven = {**config, "backbones": {"face": {**block, "classes": list(CLASSES)}}}
    with pytest.raises(ConfigError, match=r"sources\.a\.options\.labels\.sneer: The class 'Contempt' is not one of"):
        configs.parse(seven)
    alone = {**config, "backbones": {"face": {"kind": "expression", "classes": list(EIGHT), "pretrain": {}}}}
    with pytest.raises(ConfigError, match=r"backbones\.face\.classes is set, but only a schedule trains the classes"):
        configs.parse(alone)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ("basic7", CLASSES),
        ("iemocap4", SETS["iemocap4"]),
        ({"set": "ferplus8", "kind": "votes"}, EIGHT),
        (["Bored", "Happy", "Engaged"], CLASSES),  # corpora to train on are not expected to show these
        ({"set": "cremad6", "kind": "multi"}, CLASSES),
        ({"names": ["valence", "arousal"], "kind": "dimensions"}, CLASSES),
    ],
)
def test_a_schedule_trains_the_classes_of_the_run_if_the_seven_have_some_of_them(labels, classes):
    block = {"kind": "expression", "schedule": [{"sources": ["a"]}]}
    config = {
        "run": "r", "corpus": {"name": "c", "kind": "folder"}, "decode": {"d": {"policy": "count", "count": 2}},
        "faces": {"f": {"detector": "mtcnn"}}, "sources": {"a": {"kind": "folder", "path": "a"}}, "labels": labels,
        "backbones": {"face": block}, "corpus_root": "x",
    }  # fmt: skip
    assert configs.parse(config).backbones["face"].classes == list(classes)
    config["backbones"]["face"]["classes"] = ["Sad", "Happy"]
    assert configs.parse(config).backbones["face"].classes == ["Sad", "Happy"]


def test_recipes_of_the_seven_do_not_name_them(pictures):
    options = registry.options_class("expression").model_validate(FACE)
    source = {"a": SourceBlock(kind="folder", path=str(pictures))}
    common = {"where": "schedule.0", "start": "", "half": False}
    seven = phase_recipe("expression", options, {"sources": ["a"]}, source, **common)
    eight = phase_recipe("expression", options, {"sources": ["a"]}, source, **common, classes=EIGHT)
    assert "classes" not in seven
    assert eight == {**seven, "classes": list(EIGHT)}


# --- weights


@pytest.mark.slow
def test_the_head_in_use_has_the_seven_renormalised(tmp_path):
    counts = {"Happy": 6, "Sad": 2, "Contempt": 12}
    model = written(tmp_path / "net.safetensors", EIGHT, **to_metadata(TrainedOn(counts)))
    head = read_head(tmp_path / "net.safetensors")
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    eight = model.head(x).double().softmax(1)
    wanted = eight[:, :7] / eight[:, :7].sum(1, keepdim=True)
    torch.testing.assert_close(head.log_probabilities(x).double().exp(), wanted, rtol=1e-5, atol=1e-6)
    assert head.prior.tolist() == [0, 0, 0, 0.75, 0, 0.25, 0]


def test_a_head_of_the_seven_is_what_it_was():
    model = model_of(CLASSES)
    head = Head.of(joint_state(model), {"classes": json.dumps(CLASSES)})
    assert torch.equal(head.weight, model.head.weight) and torch.equal(head.bias, model.head.bias)
    without = Head.of(joint_state(model), {})
    assert torch.equal(without.weight, head.weight) and without.known.all()


def test_a_further_class_without_samples_is_known_to_be_absent(tmp_path):
    model = model_of(EIGHT)
    model.restrict(np.array([name != "Contempt" and name != "Fear" for name in EIGHT]))
    save_classifier(model, tmp_path / "net.safetensors", {}, half=False)
    assert read_head(tmp_path / "net.safetensors").known.tolist() == [name != "Fear" for name in CLASSES]
    again = model_of(EIGHT, seed=5)
    load_head(again, tmp_path / "net.safetensors")
    assert again.absent.tolist() == model.absent.tolist()


@pytest.mark.parametrize(("of_file", "of_model"), [(EIGHT, CLASSES), (CLASSES, EIGHT), (EIGHT, (*CLASSES, "Awe"))])
def test_training_goes_on_with_the_classes_of_the_same_names(tmp_path, of_file, of_model):
    start = written(tmp_path / "net.safetensors", of_file)
    model, initial = model_of(of_model, seed=1), model_of(of_model, seed=1)
    load_head(model, tmp_path / "net.safetensors")
    assert torch.equal(model.head.weight[:7], start.head.weight[:7])
    assert torch.equal(model.head.bias[7:], initial.head.bias[7:])
    # Until it is trained, a class that the weights do not know has no probability.
    assert model(torch.zeros(1, 1, 16, 16)).softmax(1)[0, 7:].tolist() == [0.0] * (len(of_model) - 7)


def test_a_teacher_that_knows_none_of_the_classes_is_refused(tmp_path):
    start = str(tmp_path / "net.safetensors")
    written(tmp_path / "net.safetensors", CLASSES)
    recipe = {"kind": "expression", "options": FACE, "classes": ["Bored", "Sad"]}
    assert chain._teacher(recipe, start).absent.tolist() == [True, False]
    with pytest.raises(WeightsError, match=r"know none of the classes Bored, Calm\. Start from weights with some of"):
        chain._teacher({**recipe, "classes": ["Bored", "Calm"]}, start)


@pytest.mark.parametrize(
    "text", ['["Angry"]', '["Angry", "Angry"]', '["Angry", 2]', '["Angry", ""]', '"Angry"', "[", "{}"]
)
def test_what_is_not_a_list_of_classes_in_a_file_is_refused(text):
    model = model_of(CLASSES)
    with pytest.raises(WeightsError, match=r"has the entry classes .*\. Expected a JSON list of two or more names"):
        Head.of(joint_state(model), {"classes": text})


@pytest.mark.parametrize("classes", [("Bored", "Engaged", "Happy"), SETS["affectnet8"]])
def test_a_head_answers_for_all_of_its_classes_if_they_are_wanted(tmp_path, classes):
    counts = {"Happy": 6, "Bored": 2, "Contempt": 2}
    model = written(tmp_path / "net.safetensors", classes, **to_metadata(TrainedOn(counts)))
    head = read_head(tmp_path / "net.safetensors", classes)
    assert head.classes == classes and head.known.tolist() == [True] * len(classes)
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(head.log_probabilities(x), model.head(x).double().log_softmax(1).float())
    shares = {name: counts.get(name, 0) / 8 for name in classes}
    assert head.prior.tolist() == [shares[name] for name in classes]
    assert head.to(torch.device("cpu")).classes == classes


def test_a_head_without_all_of_the_seven_answers_for_its_classes_in_each_run(tmp_path):
    written(tmp_path / "net.safetensors", ("Sad", "Bored"))
    assert read_head(tmp_path / "net.safetensors").classes == ("Sad", "Bored")
    assert read_head(tmp_path / "net.safetensors", CLASSES).classes == ("Sad", "Bored")
    assert classes_in_file(tmp_path / "net.safetensors") == ("Sad", "Bored")


def test_a_file_without_a_classifier_has_no_classes(tmp_path):
    save_state(model_of(CLASSES).backbone.state_dict(), tmp_path / "net.safetensors", {})
    assert classes_in_file(tmp_path / "net.safetensors") is None


# --- corpora


def test_stills_of_classes_that_the_network_does_not_have_are_omitted(pictures):
    options = stills.options_class("folder")
    given = {"labels": {"contempt": "Scorn"}}
    found = stills.read("folder", pictures, options.model_validate(given, context=in_classes(("Sad", "Scorn"))))
    assert found.classes == ("Sad", "Scorn")
    assert found.targets.tolist() == [[0, 1]] * 3 + [[1, 0]] * 2
    with pytest.raises(CorpusError, match=r"no still of one of the classes Awe, Calm\. Found: contempt, happy, sad\."):
        stills.read("folder", pictures, options.model_validate({}, context=in_classes(("Awe", "Calm"))))


def test_a_still_of_an_unknown_class_is_refused_with_the_classes_of_the_network(tmp_path):
    picture(tmp_path / "puzzled", 0)
    options = stills.options_class("folder").model_validate({}, context=in_classes(("Sad", "Scorn")))
    with pytest.raises(
        CorpusError, match=r"The class 'puzzled' of .* is unknown\. Expected one of Sad, Scorn\. Set the"
    ):
        stills.read("folder", tmp_path, options)


def test_synonyms_stand_for_the_class_of_the_network(pictures):
    options = stills.options_class("folder").model_validate({}, context=in_classes(("Joy", "Sad")))
    assert stills.read("folder", pictures, options).targets.sum(0).tolist() == [2, 2]


def test_stills_of_a_further_class_are_kept_where_the_network_has_it(pictures):
    options = stills.options_class("folder")
    assert len(stills.read("folder", pictures, options())) == 4
    found = stills.read("folder", pictures, options.model_validate({}, context=in_classes(EIGHT)))
    assert found.targets.shape == (7, 8)
    assert found.targets.sum(0).tolist() == [0, 0, 0, 2, 0, 2, 0, 3]
    labels = {"labels": {"contempt": "Disgust"}}
    found = stills.read("folder", pictures, options.model_validate(labels, context=in_classes(EIGHT)))
    assert found.targets.sum(0).tolist() == [0, 3, 0, 2, 0, 2, 0, 0]


def test_a_plug_in_that_knows_the_seven_alone_has_no_still_of_further_ones(pictures, monkeypatch):
    options = stills.options_class("folder").model_validate({}, context=in_classes(EIGHT))
    module = stills.REGISTRY.load("folder")
    table = stills_table(module.rows_of(module.Archive(pictures))[:3])
    monkeypatch.setattr(module, "read", lambda path, options: Stills(table, np.eye(7, dtype="f4")[:3], None))
    found = stills.read("folder", pictures, options)
    assert found.targets.shape == (3, 8) and found.targets.dtype == np.float32
    assert found.targets[:, 7].sum() == 0
    # The stills of classes that the network does not have are omitted.
    options = stills.options_class("folder").model_validate({}, context=in_classes(("Fear", "Scorn", "Angry")))
    found = stills.read("folder", pictures, options)
    assert found.targets.tolist() == [[0, 0, 1], [1, 0, 0]] and found.table["key"].tolist() == list(table["key"])[::2]
    # So it is where it is as many other classes.
    named = Stills(table, np.eye(7, dtype="f4")[:3], None, CLASSES)
    monkeypatch.setattr(module, "read", lambda path, options: named)
    others = (*(f"other{number}" for number in range(6)), "Fear")
    options = stills.options_class("folder").model_validate({}, context=in_classes(others))
    assert stills.read("folder", pictures, options).targets.tolist() == [[0] * 6 + [1]]


def test_calm_is_a_class_where_the_network_has_it(tmp_path):
    for code in ("01", "02", "03"):
        (tmp_path / f"03-01-{code}-01-01-01-01.wav").write_bytes(b"")
    given = {"modality": "audio", "calm": "calm"}
    kind = corpora.options_class("ravdess")
    options = checked(kind, given, context=in_classes((*CLASSES, "Calm")))
    assert corpora.scan("ravdess", tmp_path, options)["label"].tolist() == ["Neutral", "Calm", "Happy"]
    omitted = checked(kind, {"modality": "audio"}, context=in_classes((*CLASSES, "Calm")))
    assert corpora.scan("ravdess", tmp_path, omitted)["label"].tolist() == ["Neutral", "Happy"]
    with pytest.raises(ConfigError, match=r"^options\.calm: it is calm, which keeps clips as the class Calm, but the"):
        checked(kind, given, "options")


@pytest.mark.parametrize("kind", ["ravdess", "folder"])
def test_utterances_of_classes_that_the_network_does_not_have_are_omitted(tmp_path, kind):
    for label, code in (("neutral", "01"), ("calm", "02"), ("happy", "03"), ("disgust", "07")):
        name = f"03-01-{code}-01-01-01-01.wav" if kind == "ravdess" else f"{label}/{code}.wav"
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    given = {"modality": "audio"} if kind == "ravdess" else {}
    options = checked(corpora.options_class(kind), given, context=in_classes(("Disgust", "Joy", "Scorn")))
    assert sorted(corpora.scan(kind, tmp_path, options)["label"]) == ["Disgust", "Joy"]
    if kind == "folder":  # an unknown class is more likely a mistake
        (tmp_path / "puzzled").mkdir()
        (tmp_path / "puzzled" / "1.wav").write_bytes(b"")
        with pytest.raises(CorpusError, match="'puzzled'"):
            corpora.scan(kind, tmp_path, options)


@pytest.mark.slow
def test_speech_is_loaded_in_the_classes_of_the_network(tmp_path):
    for number, code in enumerate(("01", "02", "02", "03")):
        wave = 0.3 * np.sin(2 * np.pi * 200 * (number + 1) * np.arange(4800) / 16_000)
        soundfile.write(tmp_path / f"03-01-{code}-01-01-0{number % 2 + 1}-0{number + 1}.wav", wave, 16_000)
    given = {"modality": "audio", "calm": "calm", "split": "stratified"}
    source = SourceBlock(kind="ravdess", path=str(tmp_path), options=given)
    voice = {"width": 0.03, "spectrum": {"kind": "logmel", "n_mels": 16, "n_fft": 400}}
    spec = registry.spec("audio_alexnet", registry.options_class("audio_alexnet").model_validate(voice))
    how = {"threads": 1, "device": "cpu", "classes": (*CLASSES, "Calm")}
    loaded = load_dataset({"v": source}, SpeechPhase(sources=["v"], seconds=0.2), spec, tmp_path, **how)
    assert loaded.dataset.targets.sum(0).tolist() == [0, 0, 0, 1, 1, 0, 0, 2]
    assert loaded.trained_on.classes == {"Happy": 1, "Neutral": 1, "Calm": 2}


def test_folders_of_calm_clips_are_kept_where_the_network_has_the_class(tmp_path):
    for name in ("calm", "happy", "bored"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.wav").write_bytes(b"")
    options = checked(corpora.options_class("folder"), {"others": "exclude"}, context=in_classes((*CLASSES, "Calm")))
    assert sorted(corpora.scan("folder", tmp_path, options)["label"]) == ["Calm", "Happy"]


# --- evaluation


def evaluated(weights, corpus, *arguments):
    command = ["evaluate", weights, "--corpus", corpus, "--device", "cpu", "--threads", "1", *arguments]
    result = CliRunner().invoke(app, list(map(str, command)), env={"COLUMNS": "250"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_network_is_scored_in_its_own_classes_where_a_sample_shows_them(pictures, tmp_path):
    written(tmp_path / "net.safetensors", EIGHT)
    file = tmp_path / "p.csv"
    found = json.loads(evaluated(tmp_path / "net.safetensors", f"folder:{pictures}", "--json", "--predictions", file))
    assert (found["n"], found["classes"], found["not_scored"]) == (7, list(EIGHT), {})
    assert set(found["per_class"]) == {"Happy", "Sad", "Contempt"}
    assert "p_Contempt" in file.read_text().partition("\n")[0]
    # The split val shows none of them: the scores are those of the network in use.
    assert json.loads(evaluated(tmp_path / "net.safetensors", f"folder:{pictures}", "--split", "val", "--json"))[
        "classes"
    ] == list(CLASSES)
    said = evaluated(tmp_path / "net.safetensors", f"folder:{pictures}", "--split", "val", "--predictions", file)
    assert "No sample shows Contempt, so the scores are in the seven classes alone, as in use." in said
    header, *rows = file.read_text().splitlines()
    shares = [[float(cell) for cell in row.split(",")[4:11]] for row in rows]
    assert "p_Contempt" not in header and np.sum(shares, 1) == pytest.approx([1, 1], abs=1e-5)


def test_samples_of_classes_that_the_network_does_not_have_are_counted(pictures, tmp_path):
    written(tmp_path / "net.safetensors", CLASSES)
    found = json.loads(evaluated(tmp_path / "net.safetensors", f"folder:{pictures}", "--json"))
    assert (found["n"], found["not_scored"], found["classes"]) == (4, {"Contempt": 3}, list(CLASSES))
    said = evaluated(tmp_path / "net.safetensors", f"folder:{pictures}")
    assert "3 stills show classes that net does not have, and are not scored: Contempt 3." in said


# --- features


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "asked", "answers"),
    [
        (CLASSES, {}, CLASSES),
        (EIGHT, {}, CLASSES),
        (EIGHT, {"head_classes": list(EIGHT)}, EIGHT),
        (("Sad", "Bored"), {}, ("Sad", "Bored")),
    ],
)
def test_files_of_features_name_the_classes_of_the_head_if_they_are_not_the_seven(tmp_path, classes, asked, answers):
    model = written(tmp_path / "net.safetensors", classes)
    write_faces(tmp_path / "0.h5", ["a", "b"], np.random.default_rng(0))
    recipe = {"stage": "features", "kind": "expression", "options": FACE, "batch": 4, "precision": "float32"}
    recipe |= {"view": "", "source": digest({}), **asked}
    how = {"weights": str(tmp_path / "net.safetensors"), "pretrained": None, "device": "cpu", "threads": 1}
    features.run(recipe, tmp_path / "0.h5", tmp_path / "1.h5", **how)
    with Reader(tmp_path / "1.h5") as reader:
        clips = clips_digest(sorted(reader.digest.items()))
    merge.run({"features": digest(recipe)}, [tmp_path / "1.h5"], tmp_path / "whole.h5", clips=clips)
    for path in (tmp_path / "1.h5", tmp_path / "whole.h5"):
        with Reader(path) as reader:
            logp, _ = reader.flat("logp")
            x, _ = reader.flat("x")
            named = reader.attributes.get("head_classes")
            prior = json.loads(reader.attributes["head_prior"])
        assert logp.shape[1] == len(prior) == len(answers)
        assert named == (None if answers == CLASSES else json.dumps(answers))
        shown = np.isfinite(x).all(1)
        assert shown.any()
        logits = model.head(torch.from_numpy(x[shown])).double()[:, [classes.index(name) for name in answers]]
        np.testing.assert_allclose(logp[shown], logits.log_softmax(1).detach(), atol=1e-5)


# --- evaluation in other classes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "shown", "lacks", "most"),
    [
        (("Scorn", "Sad", "Happy"), {"Sad", "Happy"}, {"Contempt": 3}, 4),
        (("Sad", "Contempt"), {"Sad", "Contempt"}, {"Happy": 2}, 5),
        (("Sadness", "Joy"), {"Sadness", "Joy"}, {"Contempt": 3}, 4),
    ],
)
def test_a_network_is_scored_on_the_classes_that_it_shares_with_the_corpus(
    pictures, tmp_path, classes, shown, lacks, most
):
    written(tmp_path / "net.safetensors", classes)
    file = tmp_path / "p.csv"
    given = tmp_path / "net.safetensors", f"folder:{pictures}"
    found = json.loads(evaluated(*given, "--json", "--predictions", file))
    assert (found["n"], found["classes"], found["not_scored"]) == (most, list(classes), lacks)
    assert set(found["per_class"]) == shown
    table = pd.read_csv(file)
    assert {*table["label"]} == shown and {*table["pred"]} <= {*classes}
    np.testing.assert_allclose(table[[f"p_{name}" for name in classes]].sum(axis=1), 1, atol=1e-5)
    ((name, count),) = lacks.items()
    assert f"{count} stills show classes that net does not have, and are not scored: {name} {count}." in evaluated(
        *given
    )


def test_a_corpus_without_a_class_of_the_network_is_refused(pictures, tmp_path):
    written(tmp_path / "net.safetensors", ("Awe", "Calm"))
    command = ["evaluate", str(tmp_path / "net.safetensors"), "--corpus", f"folder:{pictures}", "--device", "cpu"]
    result = CliRunner().invoke(app, command, env={"COLUMNS": "250"})
    said = "All stills show classes that the network does not have (Happy 2, Sad 2, Contempt 3). Expected some of Awe"
    assert result.exit_code == 1 and said in result.output


@pytest.mark.slow
def test_a_network_of_other_classes_is_trained_and_evaluated(pictures, tmp_path):
    classes = ["Scorn", "Sad"]
    source = {"kind": "folder", "path": pictures.name, "options": {"labels": {"contempt": "Scorn"}}}
    recipe = {"kind": "expression", "options": FACE, "sources": {"a": source}, "classes": classes}
    recipe["schedule"] = [{"sources": ["a"], "epochs": 1, "batch": 2}]
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    net = tmp_path / "net.safetensors"
    command = ["pretrain", tmp_path / "recipe.yaml", "--data", pictures.parent, "--out", net, "--device", "cpu"]
    result = CliRunner().invoke(app, list(map(str, command)))
    assert result.exit_code == 0, result.output
    assert classes_in_file(net) == tuple(classes)
    assert read(net).classes == {"Scorn": 3, "Sad": 1}  # the other picture of Sad is in the split val
    found = json.loads(evaluated(net, f"folder:{pictures}", "--option", "labels={contempt: Scorn}", "--json"))
    assert (found["n"], found["classes"], found["not_scored"]) == (5, classes, {"Happy": 2})
