"""Charts of a model whose answers are any number of classes: precision by recall, and reliability over all classes."""

import numpy as np
import pandas as pd

from emopipe.core.labels import LabelSpace
from emopipe.report.page.bins import bins_of_confidence
from emopipe.report.page.charts import curves, reliability
from emopipe.report.page.parts import Chart, Table

MOST_POINTS = 40
"""How many points a curve has at most."""
NOTE = (
    "For each probability of a class, precision is the share of the clips with at least this probability that show the "
    "class; recall is the share of all clips that show the class that are among them. Reliability is how many clips "
    "show a class, among answers that give it about the same probability, over all classes. On the dashed line, "
    "probabilities are as high as classes are often shown; below it, they are too high."
)


def charts_of(part: pd.DataFrame, title: str, space: LabelSpace) -> list[Chart]:
    """Return the charts of the predictions of a split's clips; `title` names model and split."""
    p, present = part[space.columns].to_numpy(float), space.targets(part).astype(bool)
    curves_of = [_curve(p[:, k], present[:, k], name) for k, name in enumerate(space.names) if present[:, k].any()]
    return [*([_precision(curves_of, title)] if curves_of else []), _reliability(p, present, title)]


def _precision(curves_of: list[pd.DataFrame], title: str) -> Chart:
    rows = pd.concat(curves_of, ignore_index=True)
    title = f"Precision by recall of {title}"
    caption = "Classes without a clip that shows them are omitted."
    return Chart(title, curves(rows, "recall", "precision", "class"), caption, Table.of(title, rows))


def _curve(p: np.ndarray, present: np.ndarray, name: str) -> pd.DataFrame:
    from sklearn.metrics import precision_recall_curve  # slow to import

    precision, recall, _ = precision_recall_curve(present, p)
    taken = np.unique(np.linspace(0, len(recall) - 1, MOST_POINTS).round().astype(int))[::-1]
    rows = pd.DataFrame({"class": name, "recall": recall[taken], "precision": precision[taken]})
    return rows.round(4)


def _reliability(p: np.ndarray, present: np.ndarray, title: str) -> Chart:
    rows = bins_of_confidence(p.ravel(), present.ravel())
    named = rows.rename(columns={"confidence": "mean probability", "accuracy": "shown", "clips": "clips and classes"})
    spec = reliability(rows, "mean probability", "share that shows the class")
    caption = "Larger points stand for more pairs of a clip and a class."
    return Chart(f"Reliability of {title}", spec, caption, Table.of(f"Reliability of {title}", named))
