"""Subgroups: the score of each group of people with intervals over people, small groups marked, no invented columns."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind

from emopipe.core.labels import LabelSpace, in_recipe
from emopipe.report import of_corpus, subgroups, writing
from emopipe.report.results import Model, Results
from emopipe.scoring import predictions
from emopipe.scoring.scores import score_intervals
from tests import drawn_run

SPACE = LabelSpace(("Calm", "Loud"))
RECIPE = {"run": "r"}
CLIPS_EACH = 4


def clip_table(people=20, **columns):
    """Four val clips of each person, of both classes; `columns` has a value for each person."""
    count = people * CLIPS_EACH
    table = pd.DataFrame({"clip": [f"c{n:03d}" for n in range(count)], "split": "val"})
    table["label"] = [SPACE.names[n % 2] for n in range(count)]
    table["subject"] = [f"p{n // CLIPS_EACH:02d}" for n in range(count)]
    table = table.assign(path=table["clip"], digest=table["clip"])
    return table.assign(**{name: np.repeat(values, CLIPS_EACH) for name, values in columns.items()})


def run_of(clips, correct):
    """Results of a model whose answer is correct where `correct` says so."""
    right = clips["label"].map(SPACE.names.index).to_numpy()
    answer = np.where(correct, right, 1 - right)
    p = np.full((len(clips), 2), 0.2)
    p[np.arange(len(clips)), answer] = 0.8
    table = predictions.table(clips, p, np.ones(len(clips), bool), SPACE)
    model = Model("face_a", table, table.assign(fold=0), table.assign(seed=0))
    return Results({"face_a": model}, dict(zip(clips["clip"], clips["subject"], strict=True)), clips=clips)


def correct_of(people, shares):
    """Whether each clip is correct: `shares` of the four clips of each person."""
    return np.concatenate([np.arange(CLIPS_EACH) < share for share in shares[:people]])


def test_each_group_has_its_score_over_its_people():
    clips = clip_table(sex=["female"] * 12 + ["male"] * 8)
    correct = correct_of(20, [4, 3] * 6 + [2, 1, 3, 2] * 2)
    found = subgroups.table(run_of(clips, correct), SPACE)
    assert found.columns.tolist() == subgroups.columns(SPACE)
    female, male = found.itertuples()
    assert (female.value, female.n, female.people, female.accuracy) == ("female", 48, 12, pytest.approx(7 / 8))
    assert (male.value, male.n, male.people, male.accuracy) == ("male", 32, 8, pytest.approx(1 / 2))
    assert (female.few, female.groups, female.drawn, female.interval) == (0, 12, "subject", "t")
    part = clips[48:]
    answers = np.where(correct[48:], part["label"], "no")
    alone = score_intervals(part["label"], answers, part["subject"].to_numpy(), SPACE.names)
    assert (male.low, male.high) == pytest.approx((alone.low[0], alone.high[0]))


def test_the_difference_is_welchs_against_the_group_with_most_clips():
    clips = clip_table(sex=["female"] * 12 + ["male"] * 8)
    shares = [4, 3] * 6 + [2, 1, 3, 2] * 2
    female, male = subgroups.table(run_of(clips, correct_of(20, shares)), SPACE).itertuples()
    assert pd.isna(female.difference) and pd.isna(female.difference_low)
    assert male.difference == pytest.approx(1 / 2 - 7 / 8)
    of_people = np.array(shares) / CLIPS_EACH
    welch = ttest_ind(of_people[12:], of_people[:12], equal_var=False).confidence_interval()
    assert (male.difference_low, male.difference_high) == pytest.approx((welch.low, welch.high), abs=0.005)


def test_groups_of_few_people_are_marked_and_have_no_interval():
    clips = clip_table(race=["A"] * 15 + ["B"] * 4 + [""])
    correct = correct_of(20, [4, 3, 2, 1] * 5)
    found = subgroups.table(run_of(clips, correct), SPACE).set_index("value")
    assert list(found.index) == ["A", "B"] and found["n"].tolist() == [60, 16]  # a person of unknown race is in neither
    assert found["few"].tolist() == [0, 1] and found.loc["B", "people"] == 4
    assert pd.isna(found.loc["B", "low"]) and pd.isna(found.loc["B", "difference_low"])
    assert found.loc["B", "difference"] == pytest.approx(found.loc["B", "accuracy"] - found.loc["A", "accuracy"])
    text = writing.markdown("subgroups", found.reset_index(), RECIPE)
    assert "| face_a | val | race | B | 16 | 4 | 62.5 | -2.5 | few people |" in text
    assert " | largest group |" in text
    assert "Groups with fewer than 5 people are marked" in text


def test_people_who_do_not_differ_give_no_interval_of_a_difference():
    clips = clip_table(sex=["female"] * 12 + ["male"] * 8)
    male = subgroups.table(run_of(clips, np.ones(80, bool)), SPACE).set_index("value").loc["male"]
    assert male["difference"] == 0 and pd.isna(male["difference_low"]) and male["low"] < 1


def test_people_who_are_in_both_groups_give_no_interval_of_a_difference():
    clips = clip_table(language=["de"] * 12 + ["en"] * 8)
    correct = correct_of(20, [4, 3] * 6 + [2, 1, 3, 2] * 2)
    clips.loc[0, "language"] = "en"  # a clip of a person whose other clips are German
    german, english = subgroups.table(run_of(clips, correct), SPACE).itertuples()
    assert english.difference == pytest.approx(english.accuracy - german.accuracy)
    assert pd.isna(english.difference_low) and not pd.isna(english.low)


def test_a_group_without_a_score_is_not_called_the_largest():
    made = {name: [np.nan] * 2 for name in subgroups.columns(LabelSpace(("a", "b"), "multi"))}
    made |= {"model": ["m"] * 2, "split": ["val"] * 2, "column": ["sex"] * 2, "value": ["f", "m"], "n": [9, 4]}
    text = writing.markdown("subgroups", pd.DataFrame(made), {"run": "r", **in_recipe(LabelSpace(("a", "b"), "multi"))})
    assert text.count("largest group |") == 1
    empty = pd.DataFrame(columns=subgroups.columns(SPACE))
    assert "Nothing." in writing.markdown("subgroups", empty, {"run": "r", **in_recipe(SPACE)})


def test_ages_become_bands_in_their_order():
    ages = ["29.9", "30", "44", "45", "59", "60", "87", "7", "", "20s", "nan", "inf"]
    bands = subgroups.values_of(pd.DataFrame({"age": ages}), "age").tolist()
    assert bands == [
        "under 30", "30-44", "30-44", "45-59", "45-59", "60 and over", "60 and over", "under 30", "", "20s", "", "",
    ]  # fmt: skip
    clips = clip_table(age=["61"] * 5 + ["45"] * 5 + ["31"] * 5 + ["20"] * 5)
    found = subgroups.table(run_of(clips, correct_of(20, [1, 2] * 10)), SPACE)
    assert found["value"].tolist() == ["under 30", "30-44", "45-59", "60 and over"]


def test_unknown_people_are_not_counted():
    clips = clip_table(sex=["female"] * 10 + ["male"] * 10)
    clips.loc[0, "subject"] = ""
    found = subgroups.table(run_of(clips, correct_of(20, [1, 2] * 10)), SPACE).set_index("value")
    assert pd.isna(found.loc["female", "people"]) and found.loc["male", "people"] == 10
    assert (found["drawn"] != "subject").all()


def test_nothing_is_made_of_a_corpus_without_such_columns():
    clips = clip_table(people=5)
    assert subgroups.known_columns(clips) == [] and of_corpus.names(clips, SPACE) == []
    assert subgroups.known_columns(clips.assign(sex="")) == []
    assert of_corpus.names(clips.assign(sex="female", note="x"), SPACE) == ["subgroups"]
    assert of_corpus.names(clips.assign(language="de"), LabelSpace(("Calm", "Loud"), "multi")) == ["subgroups"]


def test_dimensions_and_several_classes_have_their_own_score():
    rng = np.random.default_rng(0)
    for space in (LabelSpace(("valence", "arousal"), "dimensions"), LabelSpace(("Calm", "Loud"), "multi")):
        clips = clip_table(sex=["female"] * 12 + ["male"] * 8)
        given = rng.uniform(0, 1, (80, 2))
        clips["label"] = [space.label(row) for row in given]
        table = predictions.table(clips, (given + rng.uniform(0, 1, (80, 2))) / 2, np.ones(80, bool), space)
        model = Model("face_a", table, table.assign(fold=0), table.assign(seed=0))
        run = Results({"face_a": model}, dict(zip(clips["clip"], clips["subject"], strict=True)), clips=clips)
        found = subgroups.table(run, space)
        key = {"dimensions": "ccc", "multi": "macro_ap"}[space.kind]
        assert found[key].between(0.1, 1).all() and (found["low"] < found[key]).all()
        heading = {
            "dimensions": "| CCC [95 %] | difference from the largest group, CCC [95 %] |",
            "multi": "| macro AP [95 %] |",
        }
        assert heading[space.kind] in writing.markdown("subgroups", found, RECIPE | in_recipe(space))


@pytest.mark.slow
def test_a_run_with_facts_about_people_has_the_table(tmp_path):
    def people(table):
        return {"sex": np.where(table["subject"].str[1:].astype(int) % 2, "female", "male")}

    folder = drawn_run.make(tmp_path, 90, people).folder
    found = pd.read_csv(folder / "tables/subgroups.csv")
    assert set(zip(found["model"], found["value"], strict=True)) == {
        (model, value) for model in drawn_run.SKILL for value in ("female", "male")
    }
    assert found.groupby("model")["n"].sum().eq(30).all() and (folder / "tables/subgroups.md").is_file()
    assert "ceiling" not in pd.read_csv(folder / "tables/results.csv")
