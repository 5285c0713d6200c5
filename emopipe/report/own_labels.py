"""The labels that clips have in a run: a cache's clip table has those of the run that wrote it last."""

from pathlib import Path

import pandas as pd

from emopipe.core.labels import LabelSpace
from emopipe.corpora.label_columns import is_label
from emopipe.scoring import predictions


def with_own_labels(table: pd.DataFrame, results: Path, space: LabelSpace) -> pd.DataFrame:
    """Return rows of a clip table with the labels, and the votes of raters, that a finished run had.

    Runs with different labels may share a cache. Clips that the run neither learned from nor predicted keep the label
    of the table, if it is one of the label space; else it is unknown.

    Args:
        table: Rows of the clip table of the cache.
        results: The folder of the run.
        space: The label space of the run.
    """
    files = [path for folder in ("oof", "predictions") for path in sorted((results / folder).glob("*.csv"))[:1]]
    if not files:
        return table
    known = pd.concat(map(predictions.read, files)).drop_duplicates("clip", keep="last").set_index("clip")
    usable = [label if label == "" or is_label(label, space) else "" for label in table["label"]]
    found = table.assign(label=table["clip"].map(known["label"]).fillna(pd.Series(usable, index=table.index)))
    for column in [name for name in space.vote_columns if name in known]:
        found[column] = found["clip"].map(known[column]).map(lambda votes: "" if pd.isna(votes) else f"{votes:g}")
    return found
