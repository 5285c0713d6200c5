"""Labels and splits of a finished run, after another run with other labels has used its cache."""

import pandas as pd
import pytest

from emopipe.core import tables
from emopipe.core.labels import LabelSpace
from emopipe.corpora.table import from_rows
from emopipe.report.run_labels import with_labels_of_run

SPACE = LabelSpace(("Happy", "Sad"))
CLIPS = from_rows(
    {"clip": clip, "path": f"{clip}.mp4", "split": split, "label": label}
    for clip, split, label in (("a", "train", "Happy"), ("b", "val", "Sad"), ("c", "test", ""))
)


@pytest.fixture
def results(tmp_path):
    tables.write(CLIPS[["clip", "split"]].assign(stage="decode", status="ok", reason=""), tmp_path / "ledger.csv")
    for folder, splits in (("oof", ["train"]), ("predictions", ["val", "test"])):
        (tmp_path / folder).mkdir()
        tables.write(CLIPS[CLIPS["split"].isin(splits)].assign(pred="Sad"), tmp_path / folder / "face.csv")
    return tmp_path


def test_a_table_with_the_labels_of_the_run_stays_as_it_is(results):
    table, changed = with_labels_of_run(CLIPS, results, SPACE)
    pd.testing.assert_frame_equal(table, CLIPS)
    assert changed == []


def test_with_other_labels_the_splits_of_the_run_return_as_well(results):
    other = CLIPS.assign(split=["val", "train", "train"], label=["0.5", "0", "-1"])
    table, changed = with_labels_of_run(other, results, SPACE)
    pd.testing.assert_frame_equal(table, CLIPS)
    assert changed == ["a", "b", "c"]


def test_without_a_ledger_the_splits_are_those_of_the_table(results):
    (results / "ledger.csv").unlink()
    other = CLIPS.assign(split=["val", "train", "train"], label="0.5")
    table, _ = with_labels_of_run(other, results, SPACE)
    assert table["split"].tolist() == ["val", "train", "train"] and table["label"].tolist() == ["Happy", "Sad", ""]
