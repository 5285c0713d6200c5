"""The table of results that ends a run: the best model, chance and the majority class, on a terminal and in a pipe."""

import cv2
import numpy as np
import pandas as pd
import pytest

from emopipe.cache.store import Row, Writer
from emopipe.faces import rows as face_rows
from emopipe.media.decoded import encode_jpeg
from emopipe.report import figures, summary
from emopipe.report.results import COLUMNS


def scored(model, split, right, n):
    accuracy = right / n
    return dict.fromkeys(COLUMNS) | {
        "model": model,
        "split": split,
        "right": right,
        "n": n,
        "accuracy": accuracy,
        "low": accuracy - 0.1,
        "high": accuracy + 0.1,
        "uar": 0.5,
        "macro_f1": 0.4,
        "coverage": 1.0,
    }


@pytest.fixture
def folder(tmp_path):
    """A finished run: two models and one that could not run; 4 Happy, 3 Sad, 1 Angry in val, 2 Sad in test."""
    run = tmp_path / "results/demo"
    (run / "tables").mkdir(parents=True)
    (run / "predictions").mkdir()
    rows = [scored("face_a", "val", 3, 8), scored("fused_b", "val", 6, 8), scored("face_a", "test", 2, 2)]
    missing = dict.fromkeys(COLUMNS) | {"model": "audio_c", "note": "Its weights [are] missing."}
    pd.DataFrame([*rows, missing], columns=COLUMNS).to_csv(run / "tables/results.csv", index=False)
    labels = [*["Happy"] * 4, *["Sad"] * 3, "Angry", "Sad", "Sad", ""]
    splits = [*["val"] * 8, "test", "test", "test"]
    clips = pd.DataFrame({"clip": range(11), "split": splits, "label": labels, "pred": "Happy"})
    clips.to_csv(run / "predictions/face_a.csv", index=False)
    first = "## Read this first\n\n- Clips: val 8.\n- By chance, a guess is correct on 33.3%.\n- In short: [0, 0].\n"
    (run / "summary.md").write_text(f"# Run demo\n\n{first}\n| model |\n- not this\n")
    return run


def lines(text, *words):
    return [line for line in text.splitlines() if all(word in line for word in words)]


def test_the_best_model_of_each_split_is_marked(folder, capsys):
    summary.show(folder)
    shown = capsys.readouterr().out
    assert [line.split()[:2] for line in lines(shown, "<- best")] == [["face_a", "test"], ["fused_b", "val"]]
    assert lines(shown, "fused_b", "val", "6/8", "75.0% [65.0%, 85.0%]", "50.0%", "40.0%", "100.0%")


def test_chance_and_the_majority_class_stand_beside(folder, capsys):
    summary.show(folder)
    shown = capsys.readouterr().out
    assert lines(shown, "chance (3 classes)", "val", "33.3%")
    assert lines(shown, "majority (Happy)", "val", "50.0%", "33.3%")
    assert lines(shown, "majority (Sad)", "test", "100.0%")


def test_what_to_read_first_stands_before_the_table_without_chance(folder, capsys):
    summary.show(folder)
    shown = capsys.readouterr().out
    assert shown.splitlines()[:3] == ["Read this first", "- Clips: val 8.", "- In short: [0, 0]."]
    assert "By chance" not in shown and "not this" not in shown and shown.index("In short") < shown.index("<- best")


def test_a_score_without_an_interval_stands_alone(folder, capsys):
    table = pd.read_csv(folder / "tables/results.csv")
    table.assign(low=np.nan, high=np.nan).to_csv(folder / "tables/results.csv", index=False)
    summary.show(folder)
    shown = capsys.readouterr().out
    assert lines(shown, "fused_b", "6/8", "75.0%") and "nan" not in shown and "[95 %]" not in shown


def test_it_is_plain_text_in_a_pipe_and_names_what_did_not_run(folder, capsys):
    summary.show(folder)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "Run demo" in shown
    assert "audio_c: Its weights [are] missing." in shown
    assert shown.splitlines()[-1] == f"All results are in {folder}/"


def test_the_headline_is_a_sentence_on_val(folder, capsys):
    summary.show(folder)
    shown = capsys.readouterr().out
    assert "fused_b names the emotion of 6 of 8 val clips (75%); a guess among 3 classes would name 33%.\n" in shown
    assert "drawn" not in shown
    (folder / "figures").mkdir()
    (folder / "figures/faces.png").touch()
    summary.show(folder)
    assert f"A few of the faces: {folder}/figures/faces.png. They are drawn" in capsys.readouterr().out


def test_a_sheet_shows_the_middle_face_of_each_clip(tmp_path):
    with Writer(tmp_path / "00.h5", face_rows.FIELDS, stage="faces", recipe={}) as writer:
        for number, clip in enumerate("abcdefghi"):
            crops = [encode_jpeg(np.full((256, 256, 3), 20 * number + 10 * k, np.uint8), 95) for k in range(3)]
            arrays = {"crop": np.frombuffer(b"".join(crops), np.uint8), "crop_size": [len(crop) for crop in crops]}
            writer.add(Row(clip, "d", "ok", "", arrays if clip != "b" else {}))
    clips = pd.DataFrame({"clip": list("ihgfedcba")})
    figures.face_sheet([tmp_path / "00.h5"], clips, tmp_path / "faces.png")
    sheet = cv2.imread(str(tmp_path / "faces.png"))
    assert sheet.shape == (2 * figures.FACE_SIDE, 7 * figures.FACE_SIDE, 3)
    shown = sheet[figures.FACE_SIDE // 2 :: figures.FACE_SIDE, figures.FACE_SIDE // 2 :: figures.FACE_SIDE, 0]
    np.testing.assert_allclose(shown[0], [20 * n + 10 for n in (8, 7, 6, 5, 4, 3, 2)], atol=2)
    np.testing.assert_array_equal(shown[1, 1:], 255)
    assert abs(int(shown[1, 0]) - 10) <= 2


def test_of_equal_classes_the_first_is_the_majority_class():
    made = summary.baselines(pd.Series(["Sad", "Happy", "Sad", "Happy"]))
    assert made == {"chance (2 classes)": (0.5, 0.5), "majority (Happy)": (0.5, 0.5)}


def test_a_run_without_labels_says_so(folder, capsys):
    table = pd.read_csv(folder / "tables/results.csv")
    table[["split", "right", "n"]] = None
    table.to_csv(folder / "tables/results.csv", index=False)
    summary.show(folder)
    assert "No clip outside the training split has a label, so there is nothing to score." in capsys.readouterr().out
