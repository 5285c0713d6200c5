"""The same simple model under folds by clip and by groups, such as sentences or people: what splits by clip flatter.

The model is a logistic regression on the mean vector of each clip. Both ways have the same number of folds and seeds.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from emopipe.scoring.intervals import Intervals, intervals

FOLDS = 5
"""Folds, or as many as there are groups."""
SEEDS = (0, 1, 2)
"""Seeds of the folds; accuracies are means over them."""
MODEL = {"C": 0.1, "class_weight": "balanced", "max_iter": 200}
"""Options of the logistic regression; balanced, because a fold by clip lacks what the other folds have more of."""
FEWEST = 20
"""With fewer labelled clips, nothing is compared."""


@dataclass(frozen=True)
class Comparison:
    """Accuracies of one network's vectors under folds by clip and by a group, over the same clips."""

    backbone: str
    by: str
    """What the folds keep together: sentence or subject."""
    folds: int
    clips: int
    by_clip: Intervals
    by_group: Intervals
    gain: Intervals
    """By how much folds by clip are better, paired."""


def compare(
    backbone: str, vectors: np.ndarray, table: pd.DataFrame, by: Mapping[str, str], groups: np.ndarray
) -> list[Comparison]:
    """Return a comparison for each way to group clips that is known of all clips and has two groups or more.

    Args:
        backbone: The network's name.
        vectors: (N, D) the mean vector of each clip.
        table: The N clips, all with a label.
        by: What folds keep together -> the column of the table.
        groups: (N,) the groups that intervals are over, such as people.
    """
    compared, clips_correct = [], {}
    labels = table["label"].to_numpy()
    for name, column in by.items():
        members = table[column].to_numpy()
        folds = min(FOLDS, len(set(members)))
        if len(table) < FEWEST or len(set(labels)) < 2 or folds < 2 or (members == "").any():
            continue
        if folds not in clips_correct:
            clips_correct[folds] = _correct(vectors, labels, np.arange(len(table)), folds)
        first, second = clips_correct[folds], _correct(vectors, labels, members, folds)
        counts = np.stack([first, second, np.ones(len(table))], 1)
        found = [
            intervals(counts, groups, lambda sums, k=k: sums[..., k : k + 1] / np.maximum(sums[..., 2:], 1))
            for k in (0, 1)
        ]
        gain = intervals(
            counts, groups, lambda sums: (sums[..., :1] - sums[..., 1:2]) / np.maximum(sums[..., 2:], 1), lowest=-1.0
        )
        compared.append(Comparison(backbone, name, folds, len(table), *found, gain))
    return compared


def _correct(vectors: np.ndarray, labels: np.ndarray, members: np.ndarray, folds: int) -> np.ndarray:
    """Return (N,) the share of seeds for which each clip is predicted correctly by the model without its fold."""
    from sklearn.linear_model import LogisticRegression  # slow to import
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    correct = np.zeros(len(labels))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class with fewer clips than folds, or a fit that stops early
        for seed in SEEDS:
            cut = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(vectors, labels, members)
            for train, test in cut:
                if len(set(labels[train])) > 1:
                    net = make_pipeline(StandardScaler(), LogisticRegression(**MODEL))
                    correct[test] += net.fit(vectors[train], labels[train]).predict(vectors[test]) == labels[test]
    return correct / len(SEEDS)
