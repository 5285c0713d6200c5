"""Tables: intervals, paired tests, calibration, notes; rows that could not run say why."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from emopipe.core.labels import CLASSES
from emopipe.report import comparisons, paper, results, writing
from emopipe.report.options import Comparison
from emopipe.report.results import Model, Results
from emopipe.scoring import predictions, statistics


class TestStatistics:
    def test_interval_is_that_of_a_mean(self):
        right = np.arange(400) % 10 < 6
        low, high = statistics.interval(right.astype(float), np.arange(400))
        error = 1.96 * np.sqrt(0.6 * 0.4 / 400)
        assert low == pytest.approx(0.6 - error, abs=0.012) and high == pytest.approx(0.6 + error, abs=0.012)
        assert statistics.interval(right.astype(float), np.arange(400)) == (low, high)

    def test_clips_of_a_subject_stay_together(self):
        """Ten subjects who are right always or never: as uncertain as ten clips."""
        right = np.repeat(np.arange(10) % 2, 40).astype(float)
        low, high = statistics.interval(right, np.repeat([f"s{n}" for n in range(10)], 40))
        assert high - low > 0.5
        low, high = statistics.interval(right, np.arange(400))
        assert high - low < 0.12

    @pytest.mark.slow
    @pytest.mark.parametrize("sizes", [[1] * 300, [7] * 40, [1, 2, 3, 50] * 12], ids=["clips", "equal", "unequal"])
    @pytest.mark.parametrize("values", ["correct", "difference", "any"])
    def test_an_interval_is_the_one_of_groups_drawn_one_by_one(self, sizes, values):
        """The same distribution as in a plain bootstrap, so the same bounds but for the error of 2000 samples."""
        rng = np.random.default_rng(len(sizes))
        groups = np.repeat([f"s{n}" for n in range(len(sizes))], sizes)
        n = len(groups)
        value = {"correct": rng.random(n) < 0.6, "difference": rng.integers(-1, 2, n), "any": rng.normal(size=n)}[
            values
        ]
        value = value.astype(float) + 0.2 * np.repeat(rng.normal(size=len(sizes)), sizes) * (values == "any")
        total, size = (np.array([part.sum() for part in np.split(v, np.cumsum(sizes)[:-1])]) for v in (value, value**0))
        drawn = rng.integers(len(sizes), size=(20_000, len(sizes)))
        low, high = np.percentile(total[drawn].sum(1) / size[drawn].sum(1), [2.5, 97.5])
        found = statistics.interval(value, groups)
        tolerance = 0.06 * (high - low)  # about four standard errors of a 2.5 % quantile of 2000 samples
        assert found[0] == pytest.approx(low, abs=tolerance) and found[1] == pytest.approx(high, abs=tolerance)

    def test_many_kinds_of_groups_are_drawn_in_parts(self, monkeypatch):
        value, groups = np.random.default_rng(0).normal(size=200), np.arange(200)
        whole = statistics.interval(value, groups)
        monkeypatch.setattr(statistics, "DRAWN_AT_ONCE", 1000)
        assert statistics.interval(value, groups) == whole

    def test_an_interval_of_many_clips_draws_few_numbers(self, monkeypatch):
        """100 000 clips that are correct or not are two kinds of groups: 2000 samples take 4000 numbers."""
        made, real = [], np.random.default_rng

        class Counting:
            def __init__(self, seed):
                self._rng = real(seed)

            def __getattr__(self, name):
                def draw(*arguments, **keys):
                    made.append(getattr(self._rng, name)(*arguments, **keys))
                    return made[-1]

                return draw

        monkeypatch.setattr(statistics.np.random, "default_rng", Counting)
        statistics.interval(np.arange(100_000) % 3 == 0, np.arange(100_000))
        assert sum(drawn.size for drawn in made) == 4000

    def test_mcnemar_is_exact(self):
        first = np.array([True] * 12 + [False] * 3 + [True] * 50)
        second = np.array([False] * 12 + [True] * 3 + [True] * 50)
        assert statistics.mcnemar(first, second) == pytest.approx(2 * binom.cdf(3, 15, 0.5))
        assert statistics.mcnemar(first, first) == 1.0

    def test_calibration_error(self):
        confidence = np.array([0.95] * 10 + [0.55] * 10)
        right = np.array([1] * 9 + [0] + [1] * 3 + [0] * 7)
        assert statistics.calibration_error(confidence, right) == pytest.approx((0.05 + 0.25) / 2)
        assert statistics.calibration_error(np.array([1.0, 1.0]), np.array([1, 1])) == 0

    def test_bins_of_confidence_are_a_fifteenth_wide_and_the_last_holds_one(self):
        """What cancels within a bin does not between bins."""
        confidence, right = np.array([0.13, 0.14, 0.92, 0.94, 1.0]), np.array([1, 0, 0, 1, 1])
        expected = 0.87 + 0.14 + 0.92 + (0.06 + 0.0)  # 1/15 is 0.067: bins 1, 2, 13, 14, 14
        assert statistics.calibration_error(confidence, right) == pytest.approx(expected / 5)

    def test_what_is_drawn(self):
        clips = np.array(["a", "b", "c"])
        assert statistics.groups_of(clips, np.array(["s", "t", "t"]))[1] == "subject"
        assert statistics.groups_of(clips, np.array(["s", "", "t"]))[1] == "clip"
        assert statistics.groups_of(clips, np.array(["s", "s", "s"]))[1] == "clip"


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
    assert table.loc["face_x", "best_single"] == "fused_z" and table.loc["face_x", "mcnemar_p"] < 1e-6
    assert pd.isna(table.loc["fused_z", "mcnemar_p"])
    assert table.loc["face_x", "seeds"] == 3 and table.loc["face_x", "seeds_mean"] == pytest.approx(0.4)
    assert table.loc["ensemble", "seeds"] == 3 and table.loc["ensemble", "seeds_mean"] == pytest.approx(0.72)
    assert table.loc["face_x", "low"] < 0.4 < table.loc["face_x", "high"]
    assert table.loc["face_x", "drawn"] == "clip"
    assert table.loc["face_ir50", "note"] == missing["face_ir50"] and pd.isna(table.loc["face_ir50", "split"])


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
        ("ensemble", "fused_z"),  # an ensemble against the best single model
    ]
    first, second, third, fused, answer = table.itertuples()
    assert first.difference == pytest.approx(10) and first.low > 0
    assert first.verdict == "higher; the aim of +3.0 points is met"
    assert second.verdict == "not significant: the interval contains zero; the aim of +5.0 points is missed"
    assert third.verdict == "not run: face_ir50 (see the table of results)"
    assert first.seeds_mean == pytest.approx(10) and first.seeds_sd == pytest.approx(0, abs=1e-9)
    assert fused.verdict == "higher" and answer.seeds_mean == pytest.approx(2)
    text = writing.markdown("comparisons", table, RECIPE)
    assert "| audio_y | face_x | val | +10.0 [" in text


def test_the_best_on_the_split_is_what_an_aim_is_held_against():
    asked = [
        Comparison(model="fused_z", against="best_modality", aim=8.0),
        Comparison(model="ensemble", against="best_single", aim=8.0),
    ]
    table = comparisons.table(run(), asked)
    assert list(table["against"]) == ["audio_y", "fused_z"]  # and no row twice
    assert table["verdict"][0] == "higher; the aim of +8.0 points is met"
    assert table["verdict"][1].endswith("the aim of +8.0 points is missed")


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
