"""Scores over the clips that no weights of a model were trained on before the run, beside those over all clips."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.scoring.measures import primary
from emopipe.scoring.primary import primary_intervals
from emopipe.weights import trained_on


def columns(space: LabelSpace) -> list[str]:
    """Return columns of the table of results; they are empty for a model whose weights met none of its clips."""
    right, uar = (["unseen_right"], ["unseen_uar"]) if space.has_one_class else ([], [])
    return ["unseen", *right, f"unseen_{primary(space).key}", "unseen_low", "unseen_high", *uar]


COLUMNS = columns(BASIC7)


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


def scores(part: pd.DataFrame, met: frozenset[str], groups: np.ndarray, space: LabelSpace = BASIC7) -> dict[str, float]:
    """Return the scores over the clips that are not in `met`, as `columns`.

    {} if no clip is in `met`, and only the count, 0, if all are.

    Args:
        part: The predictions of a split's clips that are scored.
        met: Clips that the model's weights were trained on.
        groups: (N,) the group of each clip, for the intervals.
        space: The label space.
    """
    new = ~part["clip"].isin(met).to_numpy()
    if new.all():
        return {}
    if not new.any():
        return {"unseen": 0}
    others = part[new]
    found = primary_intervals(others, space, groups[new])
    right = [int((others["label"] == others["pred"]).sum())] if space.has_one_class else []
    uar = [found.value[1]] if space.has_one_class else []
    made = len(others), *right, found.value[0], found.low[0], found.high[0], *uar
    return dict(zip(columns(space), made, strict=True))
