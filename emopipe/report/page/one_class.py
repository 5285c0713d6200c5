"""Charts of a model whose answers are one class each: confusions and reliability."""

import pandas as pd

from emopipe.core.labels import LabelSpace
from emopipe.report.page.bins import bins_of_confidence
from emopipe.report.page.charts import heat_map, reliability
from emopipe.report.page.parts import Chart, Table
from emopipe.scoring.metrics import confusion

MOST_LARGE = 8
"""Of more classes, the cells of confusions are smaller."""
NOTE = (
    "Reliability is the accuracy of predictions that are about equally confident. On the dashed line, probabilities "
    "are as high as predictions are often correct; below it, they are too high."
)


def charts_of(part: pd.DataFrame, title: str, space: LabelSpace) -> list[Chart]:
    """Return the charts of the predictions of a split's clips; `title` names model and split."""
    return [_confusion(part, title, space), _reliability(part, title, space)]


def _confusion(part: pd.DataFrame, title: str, space: LabelSpace) -> Chart:
    counts = confusion(part["label"], part["pred"], space.names)
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    rows = counts.rename_axis(index="labelled", columns="predicted").stack().rename("clips").reset_index()
    rows["share"] = shares.stack().to_numpy().round(4)
    side = 30 if len(space) <= MOST_LARGE else 22
    spec = heat_map(rows, "predicted", "labelled", "share", "clips", step=(side, side))
    caption = "Clips by label (rows) and prediction (columns). The shade is the share of the label's clips."
    numbers = Table.of(f"Confusions of {title}", counts.rename_axis("label").reset_index())
    return Chart(f"Confusions of {title}", spec, caption, numbers)


def _reliability(part: pd.DataFrame, title: str, space: LabelSpace) -> Chart:
    rows = bins_of_confidence(part[space.columns].to_numpy().max(1), (part["label"] == part["pred"]).to_numpy())
    numbers = Table.of(f"Reliability of {title}", rows)
    return Chart(f"Reliability of {title}", reliability(rows), "Larger points stand for more clips.", numbers)
