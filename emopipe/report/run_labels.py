"""The labels that a finished run was scored with. The clip table of its cache has those of the last run on the corpus,
which may be of another label space."""

from pathlib import Path

import pandas as pd

from emopipe.core import tables
from emopipe.core.labels import LabelSpace
from emopipe.corpora.label_columns import is_label
from emopipe.scoring import predictions

LEDGER = "ledger.csv"
"""What became of each clip of a run, with its split."""
OTHERS = "has other labels now, such as those of another run with the same corpus.name. Labels are those of the run."
"""What is said of a clip table whose labels have changed; the file goes before it."""


def of_run(results: Path, space: LabelSpace) -> pd.DataFrame:
    """Return the labels of the clips in a run's tables of predictions, in-sample ones too; no row without any model.

    Args:
        results: The folder `results/<run>`.
        space: The label space of the run.

    Returns:
        Texts by clip: the column `label` and, of votes, those of `LabelSpace.vote_columns` that the tables have.
    """
    # All models have the same clips and labels.
    paths = [path for folder in ("predictions", "oof") for path in sorted((results / folder).glob("*.csv"))[:1]]
    found = [predictions.read(path) for path in paths]
    if not found:
        return pd.DataFrame({"label": []}, dtype=str)
    known = pd.concat(found).drop_duplicates("clip").set_index("clip")
    votes = [name for name in space.vote_columns if name in known]
    return known[["label", *votes]].astype(str)


def with_labels_of_run(table: pd.DataFrame, results: Path, space: LabelSpace) -> tuple[pd.DataFrame, list[str]]:
    """Return the clip table with the labels of the run, and the ids of the clips whose label this changes.

    If there are any, splits are those of the run's ledger, too, because other labels may draw another val split; and
    votes are those of the run's predictions. A clip that no model of the run predicts keeps its label if that is one of
    the label space, and has none otherwise.

    Args:
        table: The clip table.
        results: The folder `results/<run>`.
        space: The label space of the run.
    """
    known = of_run(results, space)
    given = zip(table["clip"], table["label"], strict=True)
    of_clip = known["label"].to_dict()
    labels = [of_clip.get(clip, label if label and is_label(label, space) else "") for clip, label in given]
    changed = table["clip"][table["label"] != labels].tolist()
    if changed:
        table = table.assign(**{name: table["clip"].map(known[name]).fillna("") for name in known if name != "label"})
    if changed and (results / LEDGER).is_file():
        ledger = tables.read(results / LEDGER).drop_duplicates("clip").set_index("clip")
        table = table.assign(split=table["clip"].map(ledger["split"]).fillna(table["split"]).astype(str))
    return table.assign(label=labels), changed
