"""Scores over the clips that no weights of a model were trained on before the run, beside those over all clips."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emopipe.scoring.scores import score_intervals
from emopipe.weights import trained_on

COLUMNS = ["unseen", "unseen_right", "unseen_accuracy", "unseen_low", "unseen_high", "unseen_uar"]
"""Columns of the table of results; empty for a model whose weights met none of its clips."""


def met_clips(
    table: pd.DataFrame, recipe: Mapping[str, Any], weights: Mapping[str, Path | str]
) -> dict[str, frozenset[str]]:
    """Return, for each model and ensemble, the clips that its weights were trained on, themselves or their people.

    Args:
        table: The clip table.
        recipe: `Plan.report`.
        weights: `Plan.met_weights`.
    """
    of_backbone = {
        name: frozenset(table["clip"][trained_on.met_clips(table, recipe["corpus"], path) != ""])
        for name, path in weights.items()
    }
    return {
        answer: frozenset().union(*(of_backbone[name] for name in names))
        for answer, names in recipe.get("met_by", {}).items()
    }


def scores(part: pd.DataFrame, met: frozenset[str], groups: np.ndarray) -> dict[str, float]:
    """Return the scores over the clips that are not in `met`, as COLUMNS.

    {} if no clip is in `met`, and only the count, 0, if all are.

    Args:
        part: The predictions of a split's labelled clips.
        met: Clips that the model's weights were trained on.
        groups: (N,) the group of each clip, for the intervals.
    """
    new = ~part["clip"].isin(met).to_numpy()
    if new.all():
        return {}
    if not new.any():
        return {"unseen": 0}
    left = part[new]
    found = score_intervals(left["label"], left["pred"], groups[new])
    right = int((left["label"] == left["pred"]).sum())
    return dict(
        zip(COLUMNS, (len(left), right, found.value[0], found.low[0], found.high[0], found.value[1]), strict=True)
    )
