"""Scores, the ledger, the submission, the table of predictions."""

import zipfile

import numpy as np
import pandas as pd
import pytest

from emopipe.cache.store import Field, Row, Writer
from emopipe.core.labels import CLASSES
from emopipe.evaluation import scoring as evaluation
from emopipe.report import ledger, submission, summary
from emopipe.scoring import metrics, predictions
from emopipe.training import trainer


def clips(labels, split="val"):
    names = [f"{number:03d}" for number in range(len(labels))]
    return pd.DataFrame({"clip": names, "split": split, "label": labels})


def one_hot(labels, confidence=0.7):
    rest = (1 - confidence) / (len(CLASSES) - 1)
    return np.array([[confidence if name == label else rest for name in CLASSES] for label in labels])


@pytest.mark.slow
def test_scores():
    labels = ["Angry"] * 6 + ["Happy"] * 3 + ["Sad"]
    said = ["Angry"] * 5 + ["Happy"] + ["Happy"] * 2 + ["Angry"] + ["Sad"]
    covered = np.array([1] * 8 + [0, 1], bool)
    row = metrics.score(predictions.table(clips(labels), one_hot(said), covered), "m").iloc[0]
    assert (row.n, row.n_covered, row.coverage) == (10, 9, 0.9)
    assert row.accuracy == pytest.approx(8 / 10)  # the uncovered clip counts
    assert row.accuracy_covered == pytest.approx(8 / 9)
    assert row.uar == pytest.approx((5 / 6 + 2 / 3 + 1) / 3)
    f1 = [2 * 5 / (2 * 5 + 1 + 1), 2 * 2 / (2 * 2 + 1 + 1), 1]
    assert row.macro_f1 == pytest.approx(np.mean(f1))
    counts = metrics.confusion(labels, said)
    assert counts.loc["Angry", "Happy"] == 1 and counts.to_numpy().sum() == 10


def test_uar_is_computed_in_one_place(monkeypatch):
    """In tables of results, in `emopipe evaluate` and in the history of a training."""
    labels, said = ["Angry", "Angry", "Happy"], ["Angry", "Happy", "Happy"]
    target, found = one_hot(labels, 1.0), one_hot(said)
    evaluated = evaluation.Scores(
        pd.DataFrame({"label": target.argmax(1), "predicted": found.argmax(1), "subject": ""}), "clips", 1.0
    )

    def everywhere():
        table = predictions.table(clips(labels), found, np.ones(3, bool))
        return [metrics.score(table, "m").iloc[0].uar, evaluated.uar, trainer.scores(found, target)["uar"]]

    assert everywhere() == pytest.approx([0.75] * 3)
    monkeypatch.setattr(metrics, "recalls", lambda labels, predicted: {"all": 0.125})
    assert everywhere() == [0.125] * 3


def test_log_losses_are_of_each_clip():
    p = np.array([[[0.5, 0.5], [0.0, 1.0]], [[0.25, 0.75], [1.0, 0.0]]])  # (members, clips, classes)
    expected = [[np.log(2), -np.log(metrics.PROBABILITY_FLOOR)], [np.log(4), 0]]
    np.testing.assert_allclose(metrics.log_losses(p, np.array([0, 0])), expected)


def test_unlabelled_clips_are_not_scored():
    table = predictions.table(clips(["", ""], "test"), one_hot(["Sad", "Sad"]), np.ones(2, bool))
    assert metrics.score(table, "m").empty


def test_predictions_sum_to_one_and_read_back(tmp_path):
    rng = np.random.default_rng(0)
    table = predictions.table(clips(["Sad"] * 200), rng.dirichlet([0.3] * 7, 200), np.arange(200) % 2 == 0)
    predictions.write(table, tmp_path / "p.csv")
    again = predictions.read(tmp_path / "p.csv")
    pd.testing.assert_frame_equal(again, table, check_dtype=False)
    sums = again[predictions.PROBABILITIES].sum(axis=1)
    np.testing.assert_allclose(sums, 1, atol=1e-9)
    assert again["clip"].iloc[7] == "007"
    assert list(again.columns) == ["clip", "split", "label", "pred", *(f"p_{name}" for name in CLASSES), "covered"]
    assert (again["pred"] == [CLASSES[i] for i in again[predictions.PROBABILITIES].to_numpy().argmax(1)]).all()


def test_ledger_has_every_clip_and_stage(tmp_path):
    table = pd.DataFrame({"clip": ["a", "b", "c"], "split": ["train", "val", "test"]})
    rows = [Row("a", "d", "ok", "", {}), Row("c", "d", "no_face", "no face in 4 sampled frames", {})]
    with Writer(tmp_path / "0.h5", {"x": Field("f4")}, stage="faces", recipe={}) as writer:
        for row in rows:
            writer.add(row)
    statuses = ledger.build(table, {"decode": [], "faces": [tmp_path / "0.h5"]})
    assert list(statuses.columns) == ["clip", "split", "stage", "status", "reason"]
    assert len(statuses) == 6
    faces = statuses[statuses["stage"] == "faces"].set_index("clip")
    assert faces["status"].to_dict() == {"a": "ok", "b": "missing", "c": "no_face"}
    assert faces.loc["c", "reason"] == "no face in 4 sampled frames"
    assert ledger.counts(statuses).loc["faces", "ok"] == 1


def test_ledger_goes_by_clip_and_then_by_stage(tmp_path):
    table = pd.DataFrame({"clip": ["b", "10", "a", "9"], "split": ["val", "train", "test", "train"]})
    for name, clips in {"0": ["a", "9"], "1": ["b", "10"]}.items():
        with Writer(tmp_path / f"{name}.h5", {}, stage="decode", recipe={}) as writer:
            for clip in clips:
                writer.add(Row(clip, "d", "ok", f"of {clip}", {}))
    paths = [tmp_path / "0.h5", tmp_path / "1.h5"]
    statuses = ledger.build(table, {"decode": paths, "audio": paths[1:], "faces": paths[:1]})
    assert list(zip(statuses["clip"], statuses["stage"], strict=True)) == [
        (clip, stage) for clip in ("10", "9", "a", "b") for stage in ("decode", "audio", "faces")
    ]
    assert statuses["split"].tolist() == [split for split in ("train", "train", "test", "val") for _ in range(3)]
    assert statuses.loc[statuses["stage"] == "decode", "reason"].tolist() == ["of 10", "of 9", "of a", "of b"]
    assert statuses.loc[statuses["clip"] == "b", "status"].tolist() == ["ok", "ok", "missing"]
    assert list(ledger.counts(statuses).index) == ["decode", "audio", "faces"]


def test_submission_is_emotiws(tmp_path):
    mixed = pd.concat([clips(["Sad"]), clips(["", ""], "test").assign(clip=["0001", "0002"])], ignore_index=True)
    table = predictions.table(mixed, one_hot(["Sad", "Happy", "Fear"]), np.ones(3, bool))
    submission.write(table, tmp_path / "team.zip")
    with zipfile.ZipFile(tmp_path / "team.zip") as archive:
        assert {name: archive.read(name).decode().strip() for name in archive.namelist()} == {
            "0001.txt": "Happy",
            "0002.txt": "Fear",
        }


def test_summary_counts_right_ones():
    labels = ["Angry", "Happy", "Sad"]
    scores = metrics.score(
        predictions.table(clips(labels), one_hot(["Angry", "Sad", "Sad"]), np.ones(3, bool)), "face_x"
    )
    assert "| face_x | val | 2/3 | 66.7% |" in summary.markdown(scores, "r", "")
