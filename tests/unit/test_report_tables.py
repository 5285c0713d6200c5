"""Tables: intervals, paired tests, calibration, notes; rows that could not run say why."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from emopipe.core.labels import CLASSES
from emopipe.report import comparisons, paper, results, writing
from emopipe.report.options import Comparison
from emopipe.report.results import Model, Results
from emopipe.scoring import predictions
from emopipe.scoring.calibration import calibration_error
from emopipe.scoring.paired_tests import MCNEMAR, SIGN_FLIP


class TestCalibration:
    def test_calibration_error(self):
        confidence = np.array([0.95] * 10 + [0.55] * 10)
        right = np.array([1] * 9 + [0] + [1] * 3 + [0] * 7)
        assert calibration_error(confidence, right) == pytest.approx((0.05 + 0.25) / 2)
        assert calibration_error(np.array([1.0, 1.0]), np.array([1, 1])) == 0

    def test_bins_of_confidence_are_a_fifteenth_wide_and_the_last_holds_one(self):
        """What cancels within a bin does not between bins."""
        confidence, right = np.array([0.13, 0.14, 0.92, 0.94, 1.0]), np.array([1, 0, 0, 1, 1])
        expected = 0.87 + 0.14 + 0.92 + (0.06 + 0.0)  # 1/15 is 0.067: bins 1, 2, 13, 14, 14
        assert calibration_error(confidence, right) == pytest.approx(expected / 5)


N = 200


def model(name, accuracy, seed, *, ensemble=False, **more):
    """A model that is right on a share of 200 val clips; each seed on some others."""
    rng = np.random.default_rng(seed)
    label = np.arange(N) % 7
    clips = pd.DataFrame({"clip": [f"{n:03d}" for n in range(N)], "split": "val", "label": [CLASSES[k] for k in label]})

    def said():
        return np.where(
            (np.arange(N) + (60 if ensemble else 0)) % N < accuracy * N, label, (label + rng.integers(1, 7, N)) % 7
        )

    pred = said()
    p = np.full((N, 7), 0.05)
    p[np.arange(N), pred] = 0.7
    table = predictions.table(clips, p, np.ones(N, bool))
    seeds = pd.concat([clips.assign(seed=s, pred=[CLASSES[k] for k in said()]) for s in range(3)])
    return Model(name, table, table.assign(fold=0), seeds, combines=ensemble, **more)


def run(**more):
    models = [
        model("face_x", 0.4, 0),
        model("audio_y", 0.5, 1),
        model("fused_z", 0.7, 2, selected_on="val"),
        model("ensemble", 0.72, 3, ensemble=True, paper="251/383 (65.5%)"),
    ]
    return Results({m.name: m for m in models}, {}, **more)


RECIPE = {
    "run": "r",
    "selected_on_val": ["fused_z"],
    "learned_here": ["net"],
    "absent_classes": "",
    "paper": {},
    "protocol": {"kind": "given", "folds": 5},
}


@pytest.mark.slow
def test_results_have_a_row_for_every_model():
    missing = {
        "face_ir50": "backbones.ir50.weights names w.pth, which does not exist. Put the weights file at that path."
    }
    table = results.table(run(missing=missing)).set_index("model")
    assert list(table.index) == ["face_x", "audio_y", "fused_z", "ensemble", "face_ir50"]
    assert table.loc["face_x", "right"] == 80 and table.loc["face_x", "n"] == N
    assert table.loc["fused_z", "selected_on"] == "val" and table.loc["face_x", "selected_on"] == ""
    assert table.loc["face_x", "best_single"] == "fused_z" and table.loc["face_x", "p"] < 1e-6
    assert table.loc["face_x", "test"] == MCNEMAR and pd.isna(table.loc["fused_z", "p"])
    assert table.loc["face_x", "p"] < table.loc["face_x", "p_holm"] == 3 * table.loc["face_x", "p"]
    assert table.loc["face_x", "seeds"] == 3 and table.loc["face_x", "seeds_mean"] == pytest.approx(0.4)
    assert table.loc["ensemble", "seeds"] == 3 and table.loc["ensemble", "seeds_mean"] == pytest.approx(0.72)
    assert table.loc["face_x", "low"] < 0.4 < table.loc["face_x", "high"]
    assert table.loc["face_x", "uar_low"] < table.loc["face_x", "uar"] < table.loc["face_x", "uar_high"]
    assert table.loc["face_x", "macro_f1_low"] < table.loc["face_x", "macro_f1"] < table.loc["face_x", "macro_f1_high"]
    assert table.loc["face_x", ["drawn", "groups", "interval"]].tolist() == ["clip", N, "bootstrap"]
    assert table.loc["face_ir50", "note"] == missing["face_ir50"] and pd.isna(table.loc["face_ir50", "split"])


@pytest.mark.slow
def test_the_papers_figure_stands_beside_its_own_clips_alone():
    assert (results.table(run())["paper"] == "").all()  # 200 clips are not AFEW's 383
    assert paper.figure("five_models_augmented") == "251/383 (65.5%)" and paper.figure(None) == ""


@pytest.mark.slow
def test_results_as_markdown():
    text = writing.markdown("results", results.table(run(missing={"face_ir50": "Get it | there."})), RECIPE)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 5 and len({line.count("|") - line.count("\\|") for line in rows}) == 1
    assert "| face_x | val | 80/200 | 40.0 [" in text
    assert "Get it \\| there." in text
    assert "Selected on val, the split reported here, so their results are optimistic: fused_z." in text
    honest = writing.markdown("results", results.table(run()), RECIPE | {"selected_on_val": []})
    assert "No reported split was used for selection" in honest
    assert "paper" not in rows[0]  # a column without content is left out


@pytest.mark.slow
def test_comparisons():
    asked = [
        Comparison(model="audio_y", against="face_x", aim=3.0),
        Comparison(model="fused_z", against="ensemble", aim=5.0),
        Comparison(model="face_ir50", against="face_x"),
    ]
    table = comparisons.table(run(missing={"face_ir50": "..."}), asked)
    assert list(zip(table["model"], table["against"], strict=True)) == [
        ("audio_y", "face_x"),
        ("fused_z", "ensemble"),
        ("face_ir50", "face_x"),
        ("fused_z", "audio_y"),  # a fused model against the best single modality
        ("ensemble", "fused_z"),  # an ensemble against the best single model, which is also the best in hindsight
    ]
    first, second, third, fused, answer = table.itertuples()
    assert first.difference == pytest.approx(10) and first.low > 0
    assert first.verdict == "higher; the aim of +3.0 points is met" and first.low > 3
    assert second.verdict == "not shown to differ; the aim of +5.0 points is not shown to be met"
    assert third.verdict == "not run: face_ir50 (see the table of results)"
    assert first.seeds_mean == pytest.approx(10) and first.seeds_sd == pytest.approx(0, abs=1e-9)
    assert fused.verdict == "higher" and answer.seeds_mean == pytest.approx(2)
    text = writing.markdown("comparisons", table, RECIPE)
    assert "| audio_y | face_x | val | +10.0 [" in text


def test_an_aim_is_held_against_the_best_model_out_of_fold():
    asked = [
        Comparison(model="fused_z", against="best_modality", aim=8.0),
        Comparison(model="ensemble", against="best_single", aim=8.0),
    ]
    table = comparisons.table(run(), asked)
    assert list(table["against"]) == ["audio_y", "fused_z"]  # and no row twice
    assert table["verdict"][0] == "higher; the aim of +8.0 points is met"
    assert table["verdict"][1].endswith("the aim of +8.0 points is not shown to be met")


@pytest.mark.slow
def test_the_baseline_is_selected_out_of_fold_and_the_best_in_hindsight_is_second():
    found = run()
    worse = found.models["fused_z"].oof.assign(pred="Angry")
    models = {**found.models, "fused_z": replace(found.models["fused_z"], oof=worse)}
    table = comparisons.table(Results(models, {}), [Comparison(model="audio_y", against="face_x", primary=True)])
    assert table[["kind", "model", "against"]].to_numpy().tolist() == [
        ["primary", "audio_y", "face_x"],
        ["", "fused_z", "audio_y"],
        ["", "ensemble", "audio_y"],
        ["in hindsight", "ensemble", "fused_z"],
    ]
    assert table["p_holm"][0] == table["p"][0]  # declared before, so it is not corrected
    assert (table["p_holm"][1:] >= table["p"][1:]).all() and table["p_holm"][1] == min(1, 3 * table["p"][1])
    text = writing.markdown("comparisons", table, RECIPE)
    assert "| primary | audio_y |" in text and "| in hindsight | ensemble |" in text
    assert "a difference of" in text and "is detected with a probability of 80%" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("people", "method", "test", "words"),
    [
        (4, "none", MCNEMAR, "G = 4 subjects: there are no intervals: fewer than 5 subjects do not show"),
        (8, "t", SIGN_FLIP, "G = 8 subjects: intervals are from the t distribution over subjects"),
        (40, "bootstrap", SIGN_FLIP, "G = 40 subjects: intervals are from a bootstrap of subjects (2000 samples"),
        (0, "bootstrap", MCNEMAR, "Subjects are not all known, so clips count as independent"),
    ],
)
def test_the_number_of_subjects_decides_intervals_and_tests(people, method, test, words):
    found = run()
    subjects = {f"{n:03d}": f"s{n % people}" for n in range(N)} if people else {}
    of_people = Results(found.models, subjects)
    made, compared = results.table(of_people), comparisons.table(of_people, [])
    assert set(made["interval"]) == set(compared["interval"]) == {method}
    assert set(made["groups"]) == {people or N} and {*made["test"]} - {""} == set(compared["test"]) == {test}
    assert made["low"].isna().all() == compared["low"].isna().all() == (method == "none")
    for name, table in (("results", made), ("comparisons", compared)):
        text = writing.markdown(name, table, RECIPE)
        assert words in text and "nan" not in text
    assert ("| face_x | val | 80/200 | 40.0 |" in writing.markdown("results", made, RECIPE)) == (method == "none")


def test_an_aim_is_met_only_by_the_whole_interval():
    table = comparisons.table(run(), [Comparison(model="audio_y", against="face_x", aim=9.9)])
    assert table["difference"][0] > 9.9 > table["low"][0]
    assert table["verdict"][0] == (
        "higher; the aim of +9.9 points is not shown to be met, though the difference itself reaches it"
    )


def test_where_nothing_is_scored_the_figures_out_of_fold_remain():
    final = Results({"face_x": model("face_x", 0.4, 0)}, {})
    final.models["face_x"].predictions["label"] = ""
    table = results.table(final)
    assert table["oof_accuracy"].tolist() == [pytest.approx(0.4)] and table["split"].isna().all()
    assert "| face_x |" in writing.markdown("results", table, RECIPE | {"selected_on_val": []})


def test_weights_as_markdown():
    row = {"ensemble": "ensemble", "method": "greedy", "member": "m", "weight": 0.25, "temperature": 1.5}
    text = writing.markdown("ensembles", pd.DataFrame([{**row, "oof_accuracy": 0.5, "oof_loss": 1.25}]), RECIPE)
    assert "| ensemble | greedy | m | 0.250 | 1.50 | 50.0 | 1.250 |" in text
    empty = pd.DataFrame([], columns=[*row, "oof_accuracy", "oof_loss"])
    assert "Nothing." in writing.markdown("ensembles", empty, RECIPE)
