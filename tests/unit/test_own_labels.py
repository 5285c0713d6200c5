"""A finished run keeps its labels when another run writes others into the clip table of the cache that they share."""

import numpy as np
import pandas as pd

from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.report.own_labels import with_own_labels
from emopipe.scoring import predictions

PLANE = LabelSpace(("valence", "arousal"), "dimensions")
TABLE = pd.DataFrame({"clip": ["a", "b", "c", "d"], "split": ["train", "val", "test", "test"], "label": [*"xyz", ""]})


def write(results, folder, clips, labels, space):
    rows = pd.DataFrame({"clip": clips, "split": "val", "label": labels})
    values = np.full((len(clips), len(space)), 1 / len(space))
    (results / folder).mkdir(parents=True)
    predictions.write(predictions.table(rows, values, np.ones(len(clips), bool), space), results / folder / "m.csv")


def test_labels_are_those_of_the_run(tmp_path):
    write(tmp_path, "oof", ["a"], ["0.5;0.25"], PLANE)
    write(tmp_path, "predictions", ["b", "c"], ["-1;1", ""], PLANE)
    assert with_own_labels(TABLE, tmp_path, PLANE)["label"].tolist() == ["0.5;0.25", "-1;1", "", ""]


def test_clips_that_a_run_did_not_use_keep_labels_of_its_space_alone(tmp_path):
    write(tmp_path, "predictions", ["a"], ["Sad"], BASIC7)
    table = TABLE.assign(label=["Happy", "Fear", "0.5;1", ""])
    assert with_own_labels(table, tmp_path, BASIC7)["label"].tolist() == ["Sad", "Fear", "", ""]
    assert with_own_labels(table, tmp_path / "nothing", BASIC7)["label"].tolist() == table["label"].tolist()
