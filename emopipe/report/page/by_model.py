"""Each model in detail: which classes it takes for which, and whether its probabilities can be believed."""

import numpy as np
import pandas as pd

from emopipe.report.page.charts import heat_map, reliability
from emopipe.report.page.parts import Chart, Group, Paragraphs, Section, Table
from emopipe.report.page.scores import correct_of
from emopipe.report.page.sources import Sources
from emopipe.scoring.metrics import confusion
from emopipe.scoring.predictions import PROBABILITIES

BINS = 10
"""How many equally wide bins of confidence a reliability curve has."""
RELIABILITY = (
    "Reliability is the accuracy of predictions that are about equally confident. On the dashed line, probabilities "
    "are as high as predictions are often correct; below it, they are too high."
)


def section(sources: Sources) -> Section:
    """Return the section: the run's answer first, and open."""
    names = [sources.answer, *(name for name in sources.names if name != sources.answer)]
    groups = []
    for name in names:
        for split in sources.splits:
            frame = sources.answers[name]
            part = frame[frame["split"] == split]
            of = f"{name} on {split}"
            charts = [_confusion(part, of), _reliability(part, of)]
            groups.append(Group(charts, f"{of}: {correct_of(part)} correct", opened=not groups))
    return Section("models", "Each model: confusions and reliability", [Paragraphs([RELIABILITY]), *groups])


def _confusion(part: pd.DataFrame, title: str) -> Chart:
    counts = confusion(part["label"], part["pred"])
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    rows = counts.rename_axis(index="labelled", columns="predicted").stack().rename("clips").reset_index()
    rows["share"] = shares.stack().to_numpy().round(4)
    spec = heat_map(rows, "predicted", "labelled", "share", "clips", step=(30, 30))
    caption = "Clips by label (rows) and prediction (columns). The shade is the share of the label's clips."
    numbers = Table.of(f"Confusions of {title}", counts.rename_axis("label").reset_index())
    return Chart(f"Confusions of {title}", spec, caption, numbers)


def _reliability(part: pd.DataFrame, title: str) -> Chart:
    rows = bins_of_confidence(part[PROBABILITIES].to_numpy().max(1), (part["label"] == part["pred"]).to_numpy())
    numbers = Table.of(f"Reliability of {title}", rows)
    return Chart(f"Reliability of {title}", reliability(rows), "Larger points stand for more clips.", numbers)


def bins_of_confidence(confidence: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    """Return mean confidence, accuracy and number of clips of each bin of confidence that has clips.

    Args:
        confidence: (N,) highest probability of each clip.
        correct: (N,) bool: whether the prediction is correct.
    """
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    made = pd.DataFrame({"bin": place, "confidence": confidence, "accuracy": correct.astype(float), "clips": 1})
    found = made.groupby("bin").agg({"confidence": "mean", "accuracy": "mean", "clips": "sum"})
    return found.round(4).reset_index(drop=True)
