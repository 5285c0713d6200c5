"""What stands before the numbers of a run."""

import numpy as np
import pandas as pd
import pytest

from emopipe.core.labels import CLASSES
from emopipe.report import by_class, comparisons, read_first
from emopipe.report.options import Comparison
from emopipe.report.results import Model, Results
from emopipe.scoring import predictions

RECIPE = {"selected_on_val": [], "learned_here": [], "protocol": {"kind": "given"}}


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
        "The splits are those of the corpus.",
        "1 of 2 people are in several splits (0): scores are of people that the models have seen.",
        "val has 1 person: too few for an interval, so nothing can be said of other people.",
        "On val, a guess is right on 33.3%, and always answering Angry on 33.3%.",
        "In short: ensemble is not shown to differ from face_a (+0.0 points on val).",
    ]


def test_many_people_apart():
    lines = said(corpus(100, 300), accuracies=(0.4, 0.7))
    assert lines[1:5] == [
        "The splits are those of the corpus.",
        "40 people, each in one split.",
        "Intervals and tests of val are over G = 30 people.",
        "On val, a guess is right on 33.3%, and always answering Angry on 33.3%.",
    ]
    assert lines[-1].startswith("In short: ensemble is better than face_a (+30.0 points on val, 95 % interval +")


def test_unknown_people_and_what_is_in_sample():
    recipe = RECIPE | {"selected_on_val": ["fused_b"], "learned_here": ["net"], "protocol": {"kind": "kfold"}}
    lines = said(corpus(10, 60, people=False), recipe | {"split_rule": "12 of 60 clips become val."})
    assert "12 of 60 clips become val." in lines and "The splits are those of the corpus." not in lines
    assert "The people in the clips are not known: the same person may be in several splits." in lines
    assert "Intervals and tests of val are over G = 60 clips, as if they were independent." in lines
    assert "Selected on val, so their scores on val are in-sample and optimistic: fused_b." in lines
    assert any(line.startswith("The backbones net were also trained on clips of the reported fold") for line in lines)


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
