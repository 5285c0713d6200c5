"""What stands before the numbers of a run."""

import numpy as np
import pandas as pd
import pytest

from emopipe.core.labels import CLASSES
from emopipe.report import by_class, comparisons, read_first
from emopipe.report.options import Comparison
from emopipe.report.results import Model, Results
from emopipe.scoring import predictions

OWN = "The splits are those of the corpus."
RECIPE = {"selected_on_val": [], "learned_here": [], "protocol": {"kind": "given"}, "split_rule": OWN}


def corpus(train, val, *, people=True, same=False):
    """A clip table; each ten clips are of one person, who in `same` is also in train."""
    rows = []
    for split, n in (("train", train), ("val", val)):
        for number in range(n):
            who = f"{'' if same else split}{number // 10}" if people else ""
            rows.append((f"{split}{number}", split, CLASSES[number % 3], who))
    return pd.DataFrame(rows, columns=["clip", "split", "label", "subject"])


def model(name, table, accuracy, combines=False):
    val = table[table["split"] == "val"]
    label = val["label"].map(CLASSES.index).to_numpy()
    answer = np.where(np.arange(len(val)) % 10 < 10 * accuracy, label, (label + 1) % 7)
    made = predictions.table(val, np.eye(7)[answer], np.ones(len(val), bool))
    return Model(name, made, made.assign(fold=0), made.assign(seed=0), combines=combines)


def said(table, recipe=RECIPE, accuracies=(0.5, 0.5), asked=()):
    made = [model("face_a", table, accuracies[0]), model("ensemble", table, accuracies[1], combines=True)]
    results = Results({each.name: each for each in made}, dict(zip(table["clip"], table["subject"], strict=True)))
    return read_first.sentences(table, results, comparisons.table(results, list(asked)), recipe)


def test_three_clips_of_one_person_are_called_what_they_are():
    lines = said(corpus(20, 3, same=True))
    assert lines == [
        "Clips: train 20 (3 classes), val 3 (3 classes).",
        "val has only 3 labelled clips: one clip is 33 points of accuracy.",
        OWN,
        "1 of 2 people is in several splits (0): scores are of people that the models have seen.",
        "val has 1 person: too few for an interval, so nothing can be said of other people.",
        "By chance, a guess is correct on 33.3% of val, and always Angry on 33.3%.",
        "In short: ensemble is not shown to beat face_a (+0.0 points on val).",
    ]


def test_many_people_apart():
    lines = said(corpus(100, 300), accuracies=(0.4, 0.7))
    assert lines[1:5] == [
        OWN,
        "40 people, each in one split.",
        "Intervals and tests of val are over G = 30 people.",
        "By chance, a guess is correct on 33.3% of val, and always Angry on 33.3%.",
    ]
    assert lines[-1].startswith("In short: ensemble is better than face_a (+30.0 points on val, 95 % interval +")


def test_people_of_val_and_test_are_new_to_the_models():
    table = corpus(30, 30)
    of_test = table[table["split"] == "val"].head(10).assign(split="test", label="", clip=[f"t{n}" for n in range(10)])
    lines = said(pd.concat([table, of_test], ignore_index=True))
    assert "6 people, of whom nobody is in train and in another split." in lines


def test_unknown_people_and_what_is_in_sample():
    recipe = RECIPE | {"selected_on_val": ["fused_b"], "split_rule": "12 of 60 clips become val."}
    lines = said(corpus(10, 60, people=False), recipe)
    assert "12 of 60 clips become val." in lines and OWN not in lines
    assert "The people in the clips are not known: the same person may be in several splits." in lines
    assert "Intervals and tests of val are over G = 60 clips, as if they were independent." in lines
    assert "Selected on val, so their scores on val are in-sample and optimistic: fused_b." in lines


def test_clips_of_one_utterance_are_one_group():
    table = corpus(10, 60, people=False).assign(utterance=[f"u{n % 10}" for n in range(70)])
    made = {name: model(name, table, 0.5) for name in ("face_a", "audio_b")}
    results = Results(made, {}, clips=table)
    lines = read_first.sentences(table, results, comparisons.table(results, []), RECIPE)
    assert (
        "Intervals and tests of val are over G = 10 groups of clips that share a person, an utterance, a still or a "
        "file." in lines
    )
    assert lines[-1] == "In short: face_a is correct on 30 of 60 val clips."  # nothing is compared


def of_folds(table, protocol):
    """Results of a cross-validation of all labelled clips."""
    used = table[table["label"] != ""].assign(split="kfold")
    label = used["label"].map(CLASSES.index).to_numpy()
    made = predictions.table(used, np.eye(7)[label], np.ones(len(used), bool))
    one = Model("face_a", made, made.assign(fold=0), made.assign(seed=0))
    results = Results({"face_a": one}, dict(zip(table["clip"], table["subject"], strict=True)), clips=table)
    return read_first.sentences(table, results, comparisons.table(results, []), RECIPE | {"protocol": protocol})


def test_a_cross_validation_is_told_by_its_folds():
    table = corpus(100, 60)
    lines = of_folds(table, {"kind": "kfold", "folds": 4, "by": "subject"})
    assert lines[:4] == [
        "Clips: 160 labelled clips (3 classes), each predicted by models that were trained without its fold.",
        "The 4 folds are by subject.",
        "16 people, each in one fold.",
        "Intervals and tests of kfold are over G = 16 people.",
    ]
    sentences = table.assign(sentence=[f"t{n % 4}" for n in range(len(table))])
    lines = of_folds(sentences, {"kind": "kfold", "folds": 4, "by": "sentence"})
    assert lines[1:3] == [
        "The 4 folds are by sentence.",
        "16 of 16 people are in several folds (train0, train1, train2 and 13 more): scores are of people that the "
        "models have seen.",
    ]
    lines = of_folds(table.assign(subject=""), {"kind": "kfold", "folds": 4})
    assert lines[1:3] == [
        "The 4 folds are stratified by class.",
        "The people in the clips are not known: the same person may be in several folds.",
    ]


def test_where_train_and_val_are_trained_on_people_may_be_in_both():
    table = corpus(20, 20, same=True)
    test = table.iloc[:10].assign(clip=[f"test{n}" for n in range(10)], split="test", subject="other")
    lines = said(pd.concat([table, test], ignore_index=True), RECIPE | {"protocol": {"kind": "final"}})
    assert (
        "3 people, each in one split." in lines
        and "test has only 10 labelled clips: one clip is 10 points of " in (lines[1])
    )


def test_four_clips_are_too_few_and_five_people_have_no_test():
    assert "val has 4 clips: too few for an interval." in said(corpus(20, 4, people=False))
    assert "Intervals of val are over G = 5 people; tests are by clip and ignore the groups." in said(corpus(20, 50))


def test_backbones_of_a_cross_validation_may_be_optimistic():
    recipe = RECIPE | {"learned_here": ["net"], "protocol": {"kind": "kfold", "folds": 3}}
    lines = said(corpus(100, 60), recipe)
    assert any(line.startswith("net: trained on this corpus. A clip's vectors are from a network") for line in lines)


def test_transductive_models_are_named():
    lines = said(corpus(10, 60), RECIPE | {"transductive": ["audio_b", "ensemble"]})
    assert [line for line in lines if line.startswith("Transductive")] == [
        "Transductive, because the sound of each person is normalised over all of that person's clips, those that are "
        "tested included (not their labels), so their scores hold only where several clips of a person are at hand: "
        "audio_b, ensemble."
    ]
    assert not any(line.startswith("Transductive") for line in said(corpus(10, 60)))


def test_the_primary_comparison_is_the_headline():
    primary = Comparison(model="face_a", against="ensemble", primary=True)
    lines = said(corpus(100, 300), accuracies=(0.4, 0.7), asked=[primary])
    assert lines[-1].startswith("In short: face_a is worse than ensemble (-30.0 points on val")


@pytest.mark.parametrize("people", [True, False])
def test_tables_by_class_and_by_person(people):
    table = corpus(0, 30, people=people)
    made = model("face_a", table, 0.5)
    results = Results({"face_a": made}, dict(zip(table["clip"], table["subject"], strict=True)))
    recalls = by_class.recalls(results)
    assert recalls["n"].sum() == 30 and recalls["right"].sum() == made.correct("val").sum() == 15
    assert list(recalls["label"]) == ["Angry", "Disgust", "Fear"]
    subjects = by_class.by_subject(results)
    assert subjects[["subject", "n", "right"]].to_numpy().tolist() == (
        [["val0", 10, 5], ["val1", 10, 5], ["val2", 10, 5]] if people else []
    )
