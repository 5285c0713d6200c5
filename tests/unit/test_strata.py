"""Splits and folds of clips whose labels are combinations of classes, or numbers."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.core.label_block import LabelsBlock
from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.corpora import folds, splits
from emopipe.corpora.labelling import ClassOptions, Labelling, in_run
from emopipe.corpora.strata import strata
from emopipe.fusion.options import EarlyStopping, Protocol
from emopipe.fusion.protocol import absent_classes, split_clips, split_for_early_stopping

MULTI = LabelSpace(("Happy", "Sad", "Fear"), "multi")
VA = LabelSpace(("valence", "arousal"), "dimensions")


class SplitByClip(ClassOptions, splits.SplitOptions):
    pass


def clips(labels, split="train"):
    rows = {"clip": [f"c{n:03d}" for n in range(len(labels))], "label": labels, "split": split, "subject": ""}
    return pd.DataFrame({**rows, "path": rows["clip"]}, dtype=str)


def options(labels, **given):
    context = in_run(Labelling.of(LabelsBlock.model_validate(labels)))
    return SplitByClip.model_validate({"split": "stratified", **given}, context=context)


def test_labels_of_one_class_are_their_own_groups():
    labels = pd.Series(["Happy", "", "Sad"])
    assert strata(labels, BASIC7, 9) is labels
    ties = pd.Series(["Happy;Sad", "Happy"])
    assert strata(ties, LabelSpace(("Happy", "Sad"), "votes"), 9).tolist() == ["Happy;Sad", "Happy"]


def test_rare_combinations_count_as_their_rarest_class():
    labels = pd.Series(["Happy"] * 4 + ["Happy;Sad"] * 3 + ["Happy;Sad;Fear", "(none)", "Sad;Fear", ""])
    # Happy has 8 clips, Sad 5, Fear 2.
    assert strata(labels, MULTI, 3).tolist() == ["Happy"] * 4 + ["Happy;Sad"] * 3 + ["Fear", "(none)", "Fear", ""]
    assert strata(labels, MULTI, 4).tolist() == ["Happy"] * 4 + ["Sad"] * 3 + ["Fear", "(none)", "Fear", ""]


@pytest.mark.slow
@given(st.lists(st.floats(-1, 1, width=16), min_size=1, max_size=40))
def test_numbers_are_grouped_by_the_quarters_of_the_first_dimension(values):
    labels = pd.Series([VA.label(np.array([value, 0.5])) for value in values])
    groups = strata(pd.concat([labels, pd.Series([""])], ignore_index=True), VA, 5)
    assert groups.iloc[-1] == "" and {*groups.iloc[:-1]} <= {"1", "2", "3", "4"}
    order = np.argsort(values, kind="stable")
    assert list(groups.iloc[order]) == sorted(groups.iloc[:-1])
    if len({*labels}) == len(values) and len(values) % 4 == 0:
        assert set(groups.iloc[:-1].value_counts()) == {len(values) // 4}


def test_folds_have_the_same_share_of_each_group():
    labels = [VA.label(np.array([value, 0.0])) for value in np.linspace(-1, 1, 40)]
    table = clips(labels)
    found = split_clips(table, Protocol(folds=5, by="class"), VA)
    counts = pd.crosstab(found.fold, strata(table["label"], VA, 5).to_numpy())
    assert found.by == "class" and counts.to_numpy().tolist() == [[2, 2, 2, 2]] * 5
    combined = clips(["Happy;Sad"] * 5 + ["Happy"] * 5 + ["(none)"] * 5)
    fold = folds.assign(combined, 5, 0, MULTI)
    assert pd.crosstab(combined["label"], combined["clip"].map(fold)).to_numpy().tolist() == [[1] * 5] * 3


def test_the_inner_fold_of_early_stopping_has_clips_of_all_groups():
    table = clips([VA.label(np.array([value, 0.0])) for value in np.linspace(-1, 1, 20)])
    _, inner = split_for_early_stopping(table, np.arange(20), EarlyStopping(folds=5), 0, space=VA)
    assert sorted(strata(table["label"], VA, 5).iloc[inner]) == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("labels", "cells", "said"),
    [
        ("basic7", ["Happy", "Sad"] * 10, "drawn from each class by val_fraction: 0.25, seed: 0"),
        (
            {"names": ["Happy", "Sad", "Fear"], "kind": "multi"},
            ["Happy;Sad", "Happy"] * 10,
            "drawn from each combination of classes (a rare one by its rarest class) by val_fraction: 0.25, seed: 0",
        ),
        (
            {"names": ["valence", "arousal"], "kind": "dimensions"},
            [f"{value:.3f};0" for value in np.linspace(-1, 1, 20)],
            "drawn from each quarter of the values of valence by val_fraction: 0.25, seed: 0",
        ),
    ],
)
def test_a_val_split_has_clips_of_each_group(labels, cells, said, caplog):
    chosen = options(labels, val_fraction=0.25)
    with caplog.at_level("INFO"):
        table = splits.assign(clips(cells, split=""), chosen)
    assert said in caplog.text and said in splits.rule(table, chosen)
    groups = strata(table["label"], chosen.labelling.space, 4)
    assert set(groups[table["split"] == "val"]) == set(groups)


def test_classes_are_absent_by_the_parts_of_labels():
    table = pd.concat([clips(["Happy;Sad", "(none)"]), clips(["Fear;Sad", "Happy"], "val")])
    said = absent_classes(table, Protocol(), MULTI)
    assert said.startswith("No training clip shows Fear, so models give it no probability.")
    assert said.endswith("Clips that show it: 1 of 2 labelled val clips (Fear;Sad 1).")
    assert absent_classes(table, Protocol(kind="kfold"), MULTI) == ""
    assert absent_classes(clips(["0;0", "1;1"]), Protocol(), VA) == ""


def test_a_class_with_some_votes_is_not_absent():
    votes = LabelSpace(MULTI.names, "votes")
    table = clips(["Happy", "Sad"]).assign(votes_Happy=["3", "0"], votes_Sad=["0", "3"], votes_Fear=["1", "0"])
    assert absent_classes(table, Protocol(), votes) == ""
    without = table.assign(votes_Fear="0")
    assert absent_classes(without, Protocol(), votes).startswith("No training clip shows Fear, so models give it no")
