"""Tables of what a mean hides: the scores of each class or dimension, and of each person."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd

from emopipe.core.labels import PRESENT, LabelSpace
from emopipe.report.results import Results
from emopipe.scoring.average_precision import average_precisions
from emopipe.scoring.concordance import concordances, moments
from emopipe.scoring.measures import primary
from emopipe.scoring.metrics import recalls as recall_of
from emopipe.scoring.primary import primary_value

RECALL_COLUMNS = ["model", "split", "label", "n", "right", "recall"]
CLASS_COLUMNS = ["model", "split", "label", "n", "share", "ap", "f1"]
DIMENSION_COLUMNS = ["model", "split", "label", "n", "ccc", "rmse"]


def by_class(results: Results) -> pd.DataFrame:
    """Return the table of the scores of each class or dimension that fits the label space."""
    made = {"multi": classes, "dimensions": dimensions}.get(results.space.kind, recalls)
    return made(results)


def recalls(results: Results) -> pd.DataFrame:
    """Return a row for each model, split and class that occurs: clips, correct clips, recall."""
    return _table(results, _recalls, RECALL_COLUMNS)


def classes(results: Results) -> pd.DataFrame:
    """Return a row for each model, split and class that occurs, where clips may show several classes.

    `n` are the clips that show the class, and `share` is their share of all clips, which is the average precision of a
    guess; then average precision and F1.
    """
    return _table(results, _classes, CLASS_COLUMNS)


def dimensions(results: Results) -> pd.DataFrame:
    """Return a row for each model, split and dimension: clips, CCC, and root mean square error."""
    return _table(results, _dimensions, DIMENSION_COLUMNS)


def _table(
    results: Results, rows_of: Callable[[pd.DataFrame, LabelSpace], Iterable[tuple[object, ...]]], columns: list[str]
) -> pd.DataFrame:
    rows = [
        (name, split, *row)
        for name, model in results.models.items()
        for split in results.splits
        for row in rows_of(model.on(split), results.space)
    ]
    return pd.DataFrame(rows, columns=columns)


def _recalls(part: pd.DataFrame, space: LabelSpace) -> Iterator[tuple[object, ...]]:
    counts = part["label"].value_counts()
    for label, recall in recall_of(part["label"], part["pred"]).items():
        n = int(counts[label])
        yield label, n, round(recall * n), recall


def _classes(part: pd.DataFrame, space: LabelSpace) -> Iterator[tuple[object, ...]]:
    from sklearn.metrics import f1_score  # slow to import, and few need it

    p, present = part[space.columns].to_numpy(float), space.targets(part)
    ap = average_precisions(p, present, np.ones((1, len(part))))[0]
    for k in np.flatnonzero(present.any(0)):
        f1 = f1_score(present[:, k], p[:, k] >= PRESENT, zero_division=0)
        yield space.names[k], int(present[:, k].sum()), present[:, k].mean(), ap[k], f1


def _dimensions(part: pd.DataFrame, space: LabelSpace) -> Iterator[tuple[object, ...]]:
    values, targets = part[space.columns].to_numpy(float), space.targets(part)
    errors = np.sqrt(((values - targets) ** 2).mean(0))
    for name, ccc, rmse in zip(space.names, concordances(moments(values, targets).sum(0)), errors, strict=True):
        yield name, len(part), ccc, rmse


def by_subject(results: Results) -> pd.DataFrame:
    """Return a row for each model, split and known person: clips, correct clips, and the primary score.

    Correct clips are counted only where an answer is one class. A person without a positive clip of any class has no
    macro AP, and a person with a single clip has no CCC.
    """
    rows, space = [], results.space
    for name, model in results.models.items():
        for split in results.splits:
            part = model.on(split)
            subjects = part["clip"].map(lambda clip: results.subjects.get(clip, ""))
            for who, clips in part[subjects != ""].groupby(subjects[subjects != ""]):
                right = int((clips["label"] == clips["pred"]).sum()) if space.has_one_class else None
                has_score = space.kind != "dimensions" or len(clips) > 1
                rows.append((name, split, who, len(clips), right, primary_value(clips, space) if has_score else np.nan))
    return pd.DataFrame(rows, columns=["model", "split", "subject", "n", "right", primary(space).key])
