"""Charts of a model whose answers are values of dimensions: predicted over given values, and two dimensions at once."""

import numpy as np
import pandas as pd

from emopipe.core.labels import LabelSpace
from emopipe.report.page.parts import Chart, Table
from emopipe.report.page.planes import GIVEN, PREDICTED, agreement, plane

MOST_CLIPS = 500
"""How many clips a chart shows at most; of more, every n-th one."""
NOTE = (
    "Each point is a clip. On the dashed line, the predicted value is the given one. Points that lie flatter than the "
    "line stand for answers that are too close to the middle."
)


def charts_of(part: pd.DataFrame, title: str, space: LabelSpace) -> list[Chart]:
    """Return the charts of the predictions of a split's clips; `title` names model and split."""
    taken = part.iloc[:: max(1, -(-len(part) // MOST_CLIPS))]
    values, targets = taken[space.columns].to_numpy(float), space.targets(taken)
    caption = f"{len(taken)} of {len(part)} clips."
    charts = []
    for number, name in enumerate(space.names):
        rows = _rows(taken, {GIVEN: targets[:, number], PREDICTED: values[:, number]})
        titled = f"{name} of {title}"
        charts.append(Chart(titled, agreement(rows, space), caption, Table.of(titled, rows)))
    if len(space) > 1:
        charts.append(_plane(taken, (targets, values), title, space))
    return charts


def _plane(taken: pd.DataFrame, numbers: tuple[np.ndarray, np.ndarray], title: str, space: LabelSpace) -> Chart:
    kinds = (GIVEN, PREDICTED)
    parts = [
        _rows(taken, {"kind": kind, "x": of_kind[:, 0], "y": of_kind[:, 1]})
        for kind, of_kind in zip(kinds, numbers, strict=True)
    ]
    rows = pd.concat(parts, ignore_index=True)
    titled = f"{space.names[0]} and {space.names[1]} of {title}"
    shown = rows.rename(columns={"x": space.names[0], "y": space.names[1]})
    caption = "A click on given or on predicted shows these points alone."
    return Chart(titled, plane(rows, "kind", space), caption, Table.of(titled, shown))


def _rows(taken: pd.DataFrame, columns: dict[str, np.ndarray | str]) -> pd.DataFrame:
    return taken[["clip"]].reset_index(drop=True).assign(**columns).round(3)
