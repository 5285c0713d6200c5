"""Groups of clips with like labels, which splits and folds divide evenly."""

import numpy as np
import pandas as pd

from emopipe.core.labels import NOTHING, SEPARATOR, LabelSpace


def strata(labels: pd.Series, space: LabelSpace, least: int) -> pd.Series:
    """Return the group of each clip, a text; "" for a clip without a label.

    - single and votes: its label, so that the ties of votes are groups of their own.
    - multi: its combination of classes, if at least `least` clips have it. Otherwise the rarest of its classes, because
      a class with few clips would be missing in a part most easily.
    - dimensions: the quarter of the values of the first dimension (`1` to `4`, by quartiles); equal values are in one
      quarter. The other dimensions do not count.

    Args:
        labels: (N,) the labels of clips.
        space: Their label space.
        least: How many clips a combination needs for a group of its own, such as the number of folds.
    """
    if space.has_one_class:
        return labels
    known = labels[labels != ""]
    groups = _quarters(known) if space.kind == "dimensions" else _combinations(known, space, least)
    return groups.reindex(labels.index, fill_value="").astype(str)


def rule(space: LabelSpace) -> str:
    """Return what the groups are, for messages: clips are drawn "from each ...", folds are "stratified by ..."."""
    return {
        "multi": "combination of classes (a rare one by its rarest class)",
        "dimensions": f"quarter of the values of {space.names[0]}",
    }.get(space.kind, "class")


def _quarters(labels: pd.Series) -> pd.Series:
    values = labels.map(lambda label: float(label.partition(SEPARATOR)[0])).astype(float)
    edges = np.quantile(values, [0.25, 0.5, 0.75]) if len(values) else []
    return pd.Series(np.searchsorted(edges, values, side="right") + 1, labels.index).astype(str)


def _combinations(labels: pd.Series, space: LabelSpace, least: int) -> pd.Series:
    shown = labels.str.split(SEPARATOR)
    of_class = shown.explode().value_counts()
    of_label = labels.value_counts()

    def group(label: str) -> str:
        if label == NOTHING or of_label[label] >= least:
            return label
        return min(label.split(SEPARATOR), key=lambda name: (of_class[name], space.names.index(name)))

    return labels.map({label: group(label) for label in of_label.index}).astype(str)
