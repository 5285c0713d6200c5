"""Tables of raters: the ceiling beside each accuracy, and accuracies against intended and perceived labels."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from emopipe.core import tables
from emopipe.core.labels import BASIC7, CLASSES, LabelSpace
from emopipe.report import against_labels, ceiling, of_corpus, rater_votes, results, writing
from emopipe.report.page import people, raters, whole
from emopipe.report.results import Model, Results
from emopipe.scoring import predictions
from tests import drawn_run

SPACE = LabelSpace(("Calm", "Loud"))
RECIPE = {"run": "r"}


def clip_table(**columns):
    """Twelve val clips of six people, all with the label Calm unless `columns` say otherwise."""
    count = 12
    table = pd.DataFrame({"clip": [f"c{n:02d}" for n in range(count)], "split": "val", "label": "Calm"})
    people = [f"p{n % 6}" for n in range(count)]
    return table.assign(subject=people, path=table["clip"], digest=table["clip"], **columns)


def run_of(clips, answers, space=SPACE):
    """Results of models that give `answers`: model -> the class of each clip."""
    models = {}
    for name, given in answers.items():
        p = np.stack([space.vector(one) for one in given]) * 0.8 + 0.1
        table = predictions.table(clips, p / p.sum(1, keepdims=True), np.ones(len(clips), bool), space)
        models[name] = Model(name, table, table.assign(fold=0), table.assign(seed=0))
    return Results(models, dict(zip(clips["clip"], clips["subject"], strict=True)), clips=clips)


def test_votes_are_read_by_what_raters_had():
    clips = clip_table(votes_Calm=["2", "", "x"] * 4, voice_votes_Calm="1", voice_votes_Loud="1")
    assert rater_votes.votes_of(clips, "clip", SPACE)[:2].tolist() == [[2, 0], [0, 0]]
    assert np.isnan(rater_votes.votes_of(clips, "clip", SPACE)[2, 0])
    assert list(rater_votes.rated(clips, SPACE)) == ["clip", "voice"]
    assert rater_votes.rated(clip_table(), SPACE) == {}
    assert rater_votes.rated(clip_table(votes_Calm="0.5", votes_Loud="0.5"), SPACE) == {}  # shares are not counts
    assert rater_votes.rated(clips, LabelSpace(("Calm", "Loud"), "multi")) == {}


def test_the_ceiling_has_a_row_for_what_raters_had():
    votes = {"votes_Calm": ["4", "3"] * 6, "votes_Loud": ["0", "1"] * 6}
    voice = {"voice_votes_Calm": ["2"] * 11 + ["1"], "voice_votes_Loud": ["1"] * 11 + [""]}
    clips = clip_table(**votes, **voice)
    found = ceiling.table(run_of(clips, {"fused_a": ["Calm"] * 12}), SPACE).set_index("raters_had")
    assert list(found.index) == ["clip", "voice"]
    whole, heard = found.loc["clip"], found.loc["voice"]
    assert (whole["n"], whole["raters"], whole["drawn"], whole["groups"]) == (12, 4, "subject", 6)
    assert whole["ceiling"] == pytest.approx((1 + 3 / 4) / 2) and whole["interval"] == "t"
    assert whole["one_with_label"] == whole["best_against_one"] == pytest.approx(7 / 8)
    # Six people of equal clips in pairs of one kind differ, so there is an interval around the ceiling.
    assert whole["low"] < whole["ceiling"] < whole["high"]
    assert heard["n"] == 11 and heard["ceiling"] == pytest.approx(2 / 3 / 2)  # one vote alone does not count


def test_clips_without_a_class_as_label_do_not_count():
    clips = clip_table(votes_Calm="3", votes_Loud="1")
    clips.loc[0, "label"] = "Calm;Loud"
    clips.loc[1, "label"] = ""
    clips = clips.assign(pred="Calm")
    found = ceiling.table(run_of(clips, {"fused_a": ["Calm"] * 12}), SPACE)
    assert found["n"].tolist() == [10]


def test_models_of_one_modality_stand_beside_raters_who_had_it():
    clips = clip_table(votes_Calm="5", votes_Loud="0", voice_votes_Calm="3", voice_votes_Loud="1")
    answers = dict.fromkeys(("audio_x", "face_x", "fused_x"), ["Calm"] * 12)
    run = run_of(clips, answers)
    made = pd.DataFrame(
        {"model": [*answers, "face_y"], "split": ["val"] * 3 + [np.nan], "low": 0.1, "high": 0.9, "uar": 1}
    )
    shown = ceiling.beside(made, {"ceiling": ceiling.table(run, SPACE)})
    assert shown.columns.tolist() == ["model", "split", "low", "high", "ceiling", "uar"]
    assert shown["ceiling"].tolist()[:3] == [0.75, 1, 1] and pd.isna(shown["ceiling"][3])
    assert ceiling.beside(made, {}) is made


def test_the_ceiling_in_words():
    clips = clip_table(votes_Calm=["4", "3"] * 6, votes_Loud=["0", "1"] * 6, face_votes_Calm="2")
    found = ceiling.table(run_of(clips, {"fused_a": ["Calm"] * 12}), SPACE)
    (sentence,) = ceiling.sentences({"ceiling": found})
    assert sentence.startswith("Raters of val agree with the majority of the other raters on 87.5% [")
    assert "if they saw and heard the clip, on 100.0% [" in sentence and "if they only saw the clip." in sentence
    assert "It is not a bound for models." in sentence and ceiling.sentences({}) == []
    assert "gives the label that models are scored with on 87.5% if they saw and heard the clip, on 100.0%" in sentence
    text = writing.markdown("ceiling", found, RECIPE)
    assert "| val | saw and heard the clip | 12 | 4.0 | 87.5 [" in text
    assert "leave-one-rater-out" in text and "G = 6 subjects: intervals are from the t distribution" in text


def test_votes_for_classes_outside_the_label_space_are_answers():
    clips = clip_table(votes_Calm="2", votes_Loud="0", votes_Frustrated="1", voice_votes_Calm="2", voice_votes_Odd="0")
    found = ceiling.table(run_of(clips, {"fused_a": ["Calm"] * 12}), SPACE).set_index("raters_had")
    # Two raters of three say Calm: each has one Calm and one Frustrated beside them, a tie. The third has two Calm.
    assert found["raters"].tolist() == [3, 2]
    assert found["ceiling"].tolist() == pytest.approx([1 / 3, 1]) and found["uar"].tolist() == pytest.approx([1 / 2, 1])
    assert found["one_with_label"].tolist() == pytest.approx([2 / 3, 1])
    assert found["best_against_one"].tolist() == pytest.approx([2 / 3, 1])
    shares = clip_table(votes_Calm="2", votes_Frustrated="0.5")  # not whole numbers of raters
    assert rater_votes.rated(shares, SPACE) == {} and rater_votes.rated(clip_table(votes_Odd="3"), SPACE) == {}
    several = LabelSpace(("Calm", "Loud"), "multi")
    assert rater_votes.rated(clips, several) == {}


def test_accuracy_against_intended_and_perceived_labels():
    intended = ["Calm"] * 8 + ["Loud"] * 4
    votes = {
        "votes_Calm": ["3"] * 6 + ["1"] * 5 + ["2"],
        "votes_Loud": ["1"] * 6 + ["3"] * 5 + ["2"],
    }  # the last is tied
    clips = clip_table(intended=[*intended[:-1], "Screaming"], **votes)
    answers = {"face_a": ["Calm"] * 12, "fused_b": ["Calm"] * 6 + ["Loud"] * 6}
    found = against_labels.table(run_of(clips, answers), SPACE)
    rows = found[["model", "labels", "n", "ties", "right"]].values.tolist()
    assert rows == [
        ["face_a", "intended", 11, 0, 8],
        ["face_a", "perceived", 11, 1, 6],
        ["fused_b", "intended", 11, 0, 9],
        ["fused_b", "perceived", 11, 1, 11],
    ]
    assert found["accuracy"].tolist() == pytest.approx([8 / 11, 6 / 11, 9 / 11, 1])
    assert found["uar"].tolist()[:3] == pytest.approx([1 / 2, 1 / 2, (6 / 8 + 1) / 2])
    assert (found["groups"] == 6).all() and found["low"].notna().all()
    text = writing.markdown("against_labels", found, RECIPE)
    assert "| face_a | val | perceived | 6/11 | 54.5 [" in text


def test_clips_whose_most_votes_are_for_another_class_have_no_perceived_class():
    votes = {"votes_Calm": ["2", "3", "1"] * 4, "votes_Loud": "0", "votes_Fear": ["3", "1", "1"] * 4}
    clips = clip_table(intended="Loud", **votes)
    assert rater_votes.perceived(clips, SPACE).tolist() == ["", "Calm", "Calm;Fear"] * 4
    found = against_labels.table(run_of(clips, {"face_a": ["Calm"] * 12}), SPACE)
    assert found[["labels", "n", "ties", "right"]].values.tolist() == [["intended", 12, 0, 0], ["perceived", 4, 4, 4]]


def test_a_label_that_nobody_gave_is_the_intended_one():
    same = clip_table(votes_Calm="3", votes_Loud="1")
    assert (rater_votes.intended(same, SPACE) == "").all() and not against_labels.both_known(same, SPACE)
    few = clip_table(votes_Calm=["1"] + ["3"] * 11, votes_Loud=["3"] + ["1"] * 11)
    assert not against_labels.both_known(few, SPACE)  # such as a rater of IEMOCAP who chose two classes
    differs = clip_table(votes_Calm=["0"] + ["3"] * 11, votes_Loud=["3"] + ["1"] * 11)
    assert (rater_votes.intended(differs, SPACE) == "Calm").all() and against_labels.both_known(differs, SPACE)
    tied = clip_table(votes_Calm=["1"] + ["3"] * 11, votes_Loud="1")
    assert not against_labels.both_known(tied, SPACE)  # a tie contradicts nothing
    without = clip_table(intended="Loud")  # the label is the perceived one
    found = against_labels.table(run_of(without, {"face_a": ["Loud"] * 12}), SPACE)
    assert found[["labels", "right"]].values.tolist() == [["intended", 12], ["perceived", 0]]


def votes(table):
    """Votes of five raters, of whom three or more gave the label, and two who only heard the clip."""
    rng = np.random.default_rng(3)
    label = table["label"].map(CLASSES.index).to_numpy()
    counts = np.zeros((len(table), 7), int)
    for number, own in enumerate(label):
        counts[number] = np.bincount([own] * 3 + list(rng.integers(7, size=2)), minlength=7)
    made = {f"votes_{name}": counts[:, k].astype(str) for k, name in enumerate(CLASSES)}
    heard = {f"voice_votes_{name}": np.where(label == k, "2", "") for k, name in enumerate(CLASSES)}
    return made | heard | {"intended": np.array(CLASSES)[(label + (np.arange(len(table)) % 3 == 0)) % 7]}


@pytest.mark.slow
def test_a_run_with_votes_has_the_tables_and_one_without_stays_as_it_is(tmp_path):
    plain, rated = (
        drawn_run.make(tmp_path / name, 90, columns).folder for name, columns in (("a", None), ("b", votes))
    )
    files = {folder: {path.name for path in (folder / "tables").iterdir()} for folder in (plain, rated)}
    assert files[rated] - files[plain] == {
        f"{n}.{kind}" for n in ("ceiling", "against_labels") for kind in ("csv", "md")
    }
    assert files[plain] <= files[rated]
    before, after = (pd.read_csv(folder / "tables/results.csv") for folder in (plain, rated))
    pd.testing.assert_frame_equal(after.drop(columns="ceiling"), before)
    found = pd.read_csv(rated / "tables/ceiling.csv").set_index("raters_had")["ceiling"]
    assert after.set_index("model")["ceiling"].to_dict() == {
        "face_net": found["clip"],
        "audio_net": found["voice"],
        "fused_both": found["clip"],
        "ensemble": found["clip"],
    }
    assert found["voice"] == 1 and 0.6 < found["clip"] < 1
    assert "label ceiling" in (rated / "tables/results.md").read_text()
    assert "label ceiling" not in (plain / "tables/results.md").read_text()
    first = (rated / "summary.md").read_text().partition("\n| ")[0].splitlines()
    assert first[-1].startswith("- In short:") and first[-2].startswith("- Raters of val agree")


@pytest.mark.slow
def test_the_page_shows_raters_and_groups_of_people_where_they_are_known(tmp_path):
    def both(table):
        sex = np.where(table["subject"].str[1:].astype(int) % 2, "<b>female</b>", "007")
        return votes(table) | {"sex": sex}

    known = drawn_run.make(tmp_path, 40, both)
    whole.write(known, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    for title in ("What raters reach, and accuracy on val", "ensemble on val, by groups of people", 'id="raters"'):
        assert title in page
    assert "Accuracy against intended and perceived labels" in page and "raters (voice)" in page
    assert "&lt;b&gt;female&lt;/b&gt;" in page and "<b>female" not in page and "sex: 007" in page
    tables.write(known.table[["clip", "path", "split", "label", "subject"]], known.clips)
    without = replace(known)
    assert not raters.is_known(without) and not people.is_known(without)  # tables of an earlier run are not shown


def test_the_files_follow_from_the_clip_table():
    assert of_corpus.names(clip_table(), SPACE) == []
    assert of_corpus.names(clip_table(votes_Calm="2"), SPACE) == ["ceiling"]
    assert of_corpus.names(clip_table(votes_Calm="2", intended="Loud"), SPACE) == ["ceiling", "against_labels"]
    assert of_corpus.names(clip_table(votes_Calm="2", intended="Loud"), BASIC7) == []
    assert of_corpus.names(clip_table(votes_Calm="2"), LabelSpace(("Calm", "Loud"), "dimensions")) == []
    assert "ceiling" not in results.COLUMNS
