"""What a config may ask for in each kind of label space, and what the plan of its run says of it."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from emopipe.backbones import registry
from emopipe.backbones.classifier import Classifier, save_classifier
from emopipe.core.errors import ConfigError, CorpusError
from emopipe.core.labels import CLASSES
from emopipe.corpora.table import from_rows
from emopipe.workflow import config as configs
from emopipe.workflow import heads, preconditions, scan
from emopipe.workflow.defaults import with_defaults
from emopipe.workflow.plan import Plan

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
FACE = {"size": 16, "width": 2, "units": [1, 1, 1], "dim": 4}
VA = {"names": ["valence", "arousal"], "kind": "dimensions"}
MULTI = {"set": "iemocap4", "kind": "multi"}
VOTES = {"set": "iemocap4", "kind": "votes"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Files of a small face network with an emotion head for the seven, and with one that knows contempt, too."""
    folder = tmp_path_factory.mktemp("weights")
    options = registry.options_class("expression").model_validate(FACE)
    made = {}
    for name, classes in {"seven": CLASSES, "eight": (*CLASSES, "Contempt")}.items():
        torch.manual_seed(0)
        model = Classifier(registry.build("expression", options), 4, classes=classes)
        metadata = {"recipe": json.dumps({"kind": "expression", "options": FACE})}
        save_classifier(model, folder / f"{name}.safetensors", metadata, half=False)
        made[name] = str(folder / f"{name}.safetensors")
    return made


def config(weights, labels=None, *, models=None, **keys):
    nets = {name: {"kind": "expression", "weights": weights["seven"], "options": FACE} for name in ("a", "b")}
    given = {
        "run": "r", "corpus": {"name": "c", "kind": "folder"}, "corpus_root": "x",
        "decode": {"d": {"policy": "count", "count": 2}}, "faces": {"f": {"detector": "mtcnn"}}, "backbones": nets,
        "models": models or {"face_a": {"streams": ["a"]}, "face_b": {"streams": ["b"]}}, **keys,
    }  # fmt: skip
    return {**given, "labels": labels} if labels else given


def table_of(labels, split="train", **columns):
    rows = [{"clip": f"c{n}", "path": f"c{n}.mp4", "split": split, "label": label} for n, label in enumerate(labels)]
    return from_rows(rows).assign(digest="0", **columns)


def plan(weights, labels=None, table=None, **keys):
    parsed = configs.parse(config(weights, labels, **keys))
    return Plan(parsed, table_of(["Happy", "Sad"]) if table is None else table, SCRIPTS)


# --- refused when the config is checked


@pytest.mark.parametrize("labels", [MULTI, VA])
@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"ensemble": {"method": "stacking"}},
            r"^ensemble\.method is stacking, but labels\.kind is .* Expected mean, w",
        ),
        ({"ensemble": {"calibrate": True}}, r"^ensemble\.calibrate is true, but labels\.kind is"),
        (
            {"ensembles": {"ensemble_g": {"mean": "geometric"}}},
            r"^ensembles\.ensemble_g\.mean is geometric, but labels",
        ),
        (
            {"models": {"face_p": {"streams": ["a"], "fusion": "product"}}},
            r"^models\.face_p\.fusion is product, but lab",
        ),
        (
            {"models": {"face_e": {"streams": ["a"], "face_inputs": ["vectors", "evidence"]}}},
            r"^models\.face_e\.face_inputs has evidence, but labels\.kind is",
        ),
        ({"paper_figures": True}, r"^paper_figures is true, but labels has "),
        ({"comparisons": [{"model": "face_a", "against": "heads_product"}]}, r"'heads_product', which does not exist"),
    ],
)
def test_what_needs_probabilities_of_one_class_is_refused(weights, labels, keys, said):
    with pytest.raises(ConfigError, match=said):
        configs.parse(config(weights, labels, **keys))


@pytest.mark.parametrize("labels", [None, VOTES, "iemocap4"])
def test_labels_of_one_class_allow_all_of_it(weights, labels):
    models = {"face_p": {"streams": ["a"], "fusion": "product"}, "face_v": {"streams": ["a"]}}
    keys = {"ensemble": {"method": "stacking", "calibrate": True, "members": ["face_v", "heads_mean"]}}
    assert configs.parse(config(weights, labels, models=models, **keys)).possible_baselines


@pytest.mark.parametrize("labels", [MULTI, VA])
def test_pretraining_is_refused_where_clips_have_no_single_class(weights, labels):
    given = config(weights, labels)
    given["backbones"]["a"] = {"kind": "expression", "pretrain": {}}
    with pytest.raises(
        ConfigError, match=r"^backbones\.a\.pretrain is set, but labels\.kind is (multi|dimensions)\. A n"
    ):
        configs.parse(given)


def test_weights_of_classes_mean_nothing_for_numbers(weights):
    models = {"face_a": {"streams": ["a"], "class_weights": "balanced"}}
    with pytest.raises(
        ConfigError, match=r"^models\.face_a\.class_weights is balanced, but labels\.kind is dimensions"
    ):
        configs.parse(config(weights, VA, models=models))
    configs.parse(config(weights, MULTI, models=models))
    searched = {"face_a": {"streams": ["a"], "search": {"label_smoothing": [0.0, 0.1]}}}
    with pytest.raises(ConfigError, match=r"^models\.face_a\.search\.label_smoothing is set, but labels\.kind is dim"):
        configs.parse(config(weights, VA, models=searched))


def test_a_map_with_faults_is_refused_by_its_key(weights):
    with pytest.raises(ConfigError, match=r"^labels\.map\.exc is 'Excited', which is not a label of the label space"):
        configs.parse(config(weights, {"set": "iemocap4", "map": {"exc": "Excited"}}))


def test_options_of_the_corpus_are_checked_in_the_label_space(weights):
    keys = {"corpus": {"name": "c", "kind": "folder", "options": {"labels": {"x": "bored"}}}}
    parsed = configs.parse(config(weights, ["Bored", "engaged"], **keys))
    assert parsed.corpus_options.labels == {"x": "Bored"}
    assert with_defaults(config(weights, ["Bored", "engaged"], **keys))["corpus"]["options"]["labels"] == {"x": "Bored"}
    with pytest.raises(ConfigError, match=r"^corpus\.options\.labels\.x: The class 'bored' is not one of the seven"):
        configs.parse(config(weights, **keys))


# --- what heads can answer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("labels", "heads"),
    [
        (None, ["a", "b"]),
        (["Happy", "bored", "Sad"], ["a", "b"]),
        (["happy", "bored", "Sad"], []),
        (VOTES, ["a", "b"]),
        (MULTI, []),
        (VA, []),
    ],
)
def test_heads_and_baselines_are_of_networks_that_share_two_classes(weights, labels, heads):
    made = plan(weights, labels)
    assert made.heads == heads
    assert list(made.baselines) == (["heads_product", "heads_product_untrained", "heads_mean"] if heads else [])


@pytest.mark.slow
def test_remarks_say_which_classes_the_heads_lack(weights):
    assert plan(weights).remarks == []
    said = plan(weights, ["Happy", "bored", "Sad", "engaged"]).remarks
    assert said == [
        f"The head of {name} knows 2 of the 4 classes: Happy, Sad. It says nothing about bored, engaged."
        for name in ("a", "b")
    ]
    assert "remarks" not in plan(weights).report()
    assert plan(weights, VA).report()["remarks"][0].startswith("The head of a answers with one class of Angry, Disgust")


@pytest.mark.parametrize(
    "block", [{"streams": ["a"], "fusion": "product"}, {"streams": ["a"], "face_inputs": ["vectors", "evidence"]}]
)
def test_models_are_refused_that_take_the_answers_of_heads_for_other_classes(weights, block, monkeypatch):
    made = plan(weights, ["Happy", "bored", "tired"], models={"face_p": block})
    monkeypatch.setattr(Plan, "faces", lambda self, preset: {})
    with pytest.raises(ConfigError, match=r"models\.face_p: its .* knows the classes .* of which labels has Happy; at"):
        made.check_weights()
    logp = {"face_p": {"streams": ["a"], "face_inputs": ["vectors", "logp"], "statistics": ["confidence"]}}
    plan(weights, ["Happy", "bored", "tired"], models=logp).check_weights()


# --- recipes


def test_the_check_of_a_config_refuses_them_if_the_weights_are_there(weights):
    product = {"face_x": {"streams": ["a"], "fusion": "product"}}
    heads.check_heads_of_files(configs.parse(config(weights, "iemocap4", models=product)))
    given = config(weights, ["bored", "engaged"], models=product)
    with pytest.raises(ConfigError, match=r"^models\.face_x: its fusion is product, .* of which labels has none"):
        heads.check_heads_of_files(configs.parse(given))
    either = {"net": ["a", "b"]}
    given["backbones"]["a"]["optional"] = True
    named = {**given, "first_available": either, "models": {"face_x": {"streams": ["net"], "fusion": "product"}}}
    with pytest.raises(ConfigError, match=r"the head of a would have to answer"):
        heads.check_heads_of_files(configs.parse(named))
    for block in given["backbones"].values():
        block["weights"] = "absent.safetensors"
    heads.check_heads_of_files(configs.parse(given))


@pytest.mark.slow
def test_recipes_name_the_label_space_unless_it_is_the_seven(weights, monkeypatch):
    monkeypatch.setattr(Plan, "faces", lambda self, preset: {})
    assert plan(weights, "basic7").report() == plan(weights).report()
    given = config(weights, ["Happy", "bored"])
    given["backbones"]["a"] = {"kind": "expression", "options": FACE, "pretrain": {}}
    made = Plan(configs.parse(given), table_of(["Happy", "bored"]), SCRIPTS)
    space = {"kind": "single", "names": ["Happy", "bored"]}
    assert made.pretrain("a")["labels"] == made.report()["labels"] == made.fusion("face_a")["labels"] == space
    del given["labels"]
    assert "labels" not in Plan(configs.parse(given), table_of(["Happy", "Sad"]), SCRIPTS).pretrain("a")


def test_features_are_those_of_the_seven_unless_the_head_answers_for_others(weights, monkeypatch):
    monkeypatch.setattr(Plan, "faces", lambda self, preset: {})

    def features(labels, backbone):
        given = config(weights, labels)
        given["backbones"]["a"] = backbone
        made = Plan(configs.parse(given), table_of(["Happy", "Sad"]), SCRIPTS)
        return made.features("a")

    block = {"kind": "expression", "options": FACE}
    seven, eight = ({**block, "weights": weights[name]} for name in ("seven", "eight"))
    assert features(None, seven) == features("iemocap4", seven) == features(["bored", "tired"], seven)
    assert "head_classes" not in features(None, eight)
    assert features("ferplus8", eight)["head_classes"] == [*CLASSES, "Contempt"]
    assert features(["Sad", "Happy"], {**block, "pretrain": {}})["head_classes"] == ["Sad", "Happy"]
    assert "head_classes" not in features("basic7", {**block, "pretrain": {}})


def test_a_changed_vote_changes_what_a_network_is_trained_on(weights, monkeypatch):
    monkeypatch.setattr(Plan, "faces", lambda self, preset: {})
    given = config(weights, {"names": ["Happy", "Sad"], "kind": "votes"})
    given["backbones"]["a"] = {"kind": "expression", "options": FACE, "pretrain": {}}
    trained = [
        Plan(configs.parse(given), table_of(["Happy", "Sad"], votes_Happy=votes, votes_Sad=["0", "2"]), SCRIPTS)
        for votes in (["2", "1"], ["2", "1"], ["3", "1"])
    ]
    first, same, other = (made.pretrain("a")["train"] for made in trained)
    assert first == same != other


# --- preconditions


@pytest.mark.parametrize(
    ("labels", "cells", "said"),
    [
        (
            VA,
            ["0.5;0"] * 6,
            r"All 6 clips to train on are of the label 0\.5;0, .* two different values of valence, arous",
        ),
        (
            MULTI,
            ["(none)"] * 6,
            r"of the label \(none\), .* two different labels with some of Angry, Happy, Neutral, Sad",
        ),
        ("iemocap4", ["Sad"] * 6, r"of the class Sad, .* two of the classes Angry, Happy, Neutral, Sad\."),
        (VOTES, ["Happy;Sad"] * 6, r"of the class Happy;Sad, "),
    ],
)
def test_clips_of_one_label_are_refused(weights, labels, cells, said):
    parsed = configs.parse(config(weights, labels))
    with pytest.raises(CorpusError, match=said):
        preconditions.check_clips(parsed, table_of(cells))


def test_clips_of_several_labels_can_be_trained_on(weights):
    for labels, cells in (
        (VA, [f"{n / 10};0" for n in range(10)]),
        (MULTI, ["(none)", "Happy;Sad"] * 5),
        (VOTES, ["Happy;Sad", "Happy"] * 5),
        (["bored", "engaged"], ["bored", "engaged"] * 5),
    ):
        preconditions.check_clips(configs.parse(config(weights, labels)), table_of(cells))


def test_clips_without_numbers_are_refused_with_the_columns_to_add(weights):
    with pytest.raises(CorpusError, match=r"column `label` of a table, or the columns valence, arousal, or run only"):
        preconditions.check_clips(configs.parse(config(weights, VA)), table_of(["", ""], "test"))


# --- the demo


def test_the_demo_has_labels_of_any_kind_by_a_map(weights):
    def scanned(labels):
        given = config(weights, labels, corpus={"name": "c", "kind": "demo"})
        return scan.clips(configs.parse(given))

    seven = scanned(None)
    numbers = {name: f"{n / 10:g};0" for n, name in enumerate(CLASSES)}
    found = scanned({**VA, "map": numbers})
    assert found["label"].tolist() == [numbers.get(label, "") for label in seven["label"]]
    assert found["digest"].tolist() == seven["digest"].tolist()
    with pytest.raises(CorpusError, match=r"The label '\w+' of the clip .* is not in the label space"):
        scanned(["bored", "engaged"])
    four = scanned({"set": "iemocap4", "others": "exclude"})
    assert set(four["label"]) == {"Angry", "Happy", "Neutral", "Sad", ""}
    pd.testing.assert_frame_equal(four, seven[seven["clip"].isin(four["clip"])].reset_index(drop=True))
