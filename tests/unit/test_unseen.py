"""Scores over clips that the weights of a model were not trained on, in a run."""

import numpy as np
import pandas as pd
import pytest
import torch

from emopipe.cache.tensors import save_state
from emopipe.core.labels import CLASSES
from emopipe.report import comparisons, read_first, results, unseen, writing
from emopipe.report.results import Model, Results
from emopipe.scoring import predictions
from emopipe.weights import trained_on
from emopipe.weights.trained_on import TrainedOn

RECIPE = {
    "run": "r",
    "selected_on_val": [],
    "learned_here": [],
    "absent_classes": "",
    "paper": {},
    "protocol": {"kind": "given", "folds": 5},
    "split_rule": "The splits are those of the corpus.",
}


def corpus():
    """Forty val clips of eight people, who are correct on every even clip and on all of the first person's five."""
    return pd.DataFrame({
        "clip": [f"{n:02d}" for n in range(40)], "split": "val", "label": [CLASSES[n % 2] for n in range(40)],
        "subject": [f"{n // 5}" for n in range(40)], "digest": [f"{n:064x}"[::-1] for n in range(40)],
    })  # fmt: skip


def model(name, met, *, combines=False):
    table = corpus()
    correct = (np.arange(40) % 2 == 0) | (np.arange(40) < 5)
    label = table["label"].map(CLASSES.index).to_numpy()
    made = predictions.table(table, np.eye(7)[np.where(correct, label, 3)], np.ones(40, bool))
    return Model(name, made, made.assign(fold=0), made.assign(seed=0), combines=combines, met=frozenset(met))


def run(*models):
    return Results({one.name: one for one in models}, {}, clips=corpus().assign(utterance=""))


def test_both_scores_of_a_model_and_none_of_another():
    table = results.table(run(model("old", [f"{n:02d}" for n in range(5)]), model("new", []))).set_index("model")
    assert table.loc["old", "right"] == 22 and table.loc["old", "accuracy"] == 22 / 40
    assert table.loc["old", "unseen"] == 35 and table.loc["old", "unseen_right"] == 17
    assert table.loc["old", "unseen_accuracy"] == pytest.approx(17 / 35)
    assert table.loc["old", "unseen_uar"] == pytest.approx((17 / 17 + 0) / 2)  # every clip of class 1 is odd
    assert table.loc["old", "unseen_low"] < 17 / 35 < table.loc["old", "unseen_high"]  # seven people remain
    assert table.loc["new", list(unseen.COLUMNS)].isna().all()


def test_few_remaining_people_have_no_interval():
    found = unseen.scores(model("m", []).on("val"), frozenset(f"{n:02d}" for n in range(25)), np.arange(40) // 5)
    assert found["unseen"] == 15 and np.isnan(found["unseen_low"]) and np.isnan(found["unseen_high"])


def test_the_table_explains_the_columns_where_they_have_numbers():
    met = writing.markdown("results", results.table(run(model("old", ["01"]), model("new", []))), RECIPE)
    assert "unseen clips | accuracy on them [95 %] | UAR on them" in met and "Unseen clips are those" in met
    none = writing.markdown("results", results.table(run(model("new", []))), RECIPE)
    assert "unseen" not in none and "Unseen" not in none


def said(*models):
    made = run(*models)
    return read_first.sentences(corpus(), made, comparisons.table(made, []), RECIPE)


def test_what_to_read_first_has_both_scores_of_the_answer():
    first_person = [f"{n:02d}" for n in range(5)]
    lines = said(model("face", first_person), model("ensemble", first_person, combines=True))
    assert (
        "Weights of ensemble were trained on 5 of 40 val clips, or on their people: it is correct on 55.0% of all and "
        "on 48.6% of the other 35. tables/results.md has both for each model." in lines
    )
    every = said(model("face", corpus()["clip"]))
    assert (
        "Weights of face were trained on 40 of 40 val clips, or on their people: its 55.0% say nothing about new clips."
        in every
    )
    assert not [line for line in said(model("face", [])) if line.startswith("Weights")]


def test_clips_met_are_those_of_any_stream(tmp_path):
    contents, people = TrainedOn(contents=frozenset({f"{7:064x}"[::-1][:16]})), TrainedOn(speakers=frozenset({"k/2"}))
    for name, seen in {"a": contents, "b": people}.items():
        save_state({"x": torch.zeros(1)}, tmp_path / f"{name}.safetensors", trained_on.to_metadata(seen))
    weights = {name: tmp_path / f"{name}.safetensors" for name in ("a", "b")}
    met_by = {"face": ["a"], "voice": ["b"], "ensemble": ["a", "b"]}
    found = unseen.met_clips(corpus(), {"corpus": "k", "met_by": met_by}, weights)
    assert found == {
        "face": {"07"},
        "voice": {f"{n}" for n in range(10, 15)},
        "ensemble": {"07", *(f"{n}" for n in range(10, 15))},
    }
    assert unseen.met_clips(corpus(), {}, {}) == {}
