"""Scores of predictions; each metric is computed here alone, for training, evaluation and reports."""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from emopipe.core.labels import BASIC7, CLASSES, PRESENT, PROBABILITY_FLOOR, LabelSpace
from emopipe.scoring.average_precision import macro_average_precision
from emopipe.scoring.concordance import concordances, moments
from emopipe.scoring.measures import measures

COUNTS = ["model", "split", "n", "n_covered", "coverage"]
COLUMNS = [*COUNTS, "accuracy", "accuracy_covered", "uar", "macro_f1", "waf"]
OF_VOTES = ["n_votes", "vote_loss"]
"""Further columns of votes: clips with votes, ties among them, and the loss over these clips."""


def columns(space: LabelSpace) -> list[str]:
    """Return the columns of `score`."""
    if space.has_one_class:
        return [*COLUMNS, *(OF_VOTES if space.kind == "votes" else [])]
    return [*COUNTS, *(measure.key for measure in measures(space))]


def scored(predictions: pd.DataFrame, space: LabelSpace) -> pd.DataFrame:
    """Return the predictions of clips that are scored: labelled ones; of votes, those whose label is one class."""
    is_scored = predictions["label"].isin(space.names) if space.kind == "votes" else predictions["label"] != ""
    return predictions[is_scored]


def score(predictions: pd.DataFrame, model: str, space: LabelSpace = BASIC7) -> pd.DataFrame:
    """Return the scores of a table of predictions, one row for each split that has labels.

    The scores are over all labelled clips of the split, covered or not; of votes, those with a class are over clips
    whose label is one class, which `n` counts. UAR, macro F1 and macro AP are means over the classes that occur; WAF is
    the mean F1 weighted by the classes' clips.

    Args:
        predictions: A table as `predictions.table` makes it.
        model: The model's name.
        space: The label space.

    Returns:
        The columns `columns(space)`. Shares are fractions of 1; `accuracy_covered` is NaN if no clip is covered.
    """
    rows = []
    for split, labelled in predictions[predictions["label"] != ""].groupby("split"):
        part = scored(labelled, space)
        covered = part["covered"].to_numpy(bool)
        counts = {"n": len(part), "n_covered": int(covered.sum()), "coverage": covered.mean() if len(part) else np.nan}
        made = {"model": model, "split": split, **counts}
        if space.has_one_class:
            made |= _of_classes(part, covered) if len(part) else {}
        else:
            made |= values(part, space)
        if space.kind == "votes":
            made |= {"n_votes": len(labelled), "vote_loss": vote_loss(labelled, space)}
        rows.append(made)
    return pd.DataFrame(rows, columns=columns(space))


def _of_classes(part: pd.DataFrame, covered: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import f1_score  # slow to import, and few need it

    correct = (part["label"] == part["pred"]).to_numpy()
    occurring = {"labels": sorted(set(part["label"])), "zero_division": 0}
    return {
        "accuracy": correct.mean(),
        "accuracy_covered": correct[covered].mean() if covered.any() else np.nan,
        "uar": uar(part["label"], part["pred"]),
        "macro_f1": f1_score(part["label"], part["pred"], average="macro", **occurring),
        "waf": f1_score(part["label"], part["pred"], average="weighted", **occurring),
    }


def values(part: pd.DataFrame, space: LabelSpace) -> dict[str, float]:
    """Return the measures of predictions of several classes, or of dimensions, by their keys; NaN without any clip.

    Args:
        part: Predictions of labelled clips.
        space: A label space of the kind multi or dimensions.
    """
    if not len(part):
        return {measure.key: np.nan for measure in measures(space)}
    targets, given = space.targets(part), part[space.columns].to_numpy(float)
    if space.kind == "dimensions":
        found = concordances(moments(given, targets).sum(0))
        of_each = {f"ccc_{name}": ccc for name, ccc in zip(space.names, found, strict=True)}
        return {"ccc": found.mean(), **of_each, "rmse": np.sqrt(np.mean((given - targets) ** 2))}
    from sklearn.metrics import f1_score  # slow to import, and few need it

    named, occurs = given >= PRESENT, targets.any(0)
    return {
        "macro_ap": macro_average_precision(given, targets)(np.ones((1, len(part))))[0],
        "macro_f1": np.nan if not occurs.any() else np.mean(
            [f1_score(targets[:, k], named[:, k], zero_division=0) for k in np.flatnonzero(occurs)]
        ),
        "exact": (named == targets.astype(bool)).all(1).mean(),
    }  # fmt: skip


def vote_loss(labelled: pd.DataFrame, space: LabelSpace) -> float:
    """Return the mean cross-entropy, in nats, of the shares of votes of labelled clips and the predictions."""
    return float(cross_entropies(labelled[space.columns].to_numpy(float), space.targets(labelled)).mean())


def recalls(labels: ArrayLike, predicted: ArrayLike) -> dict[Hashable, float]:
    """Return the recall of each class that occurs among the labels (N,), for predictions (N,) of the same kind."""
    correct = pd.Series(np.asarray(labels) == np.asarray(predicted))
    return correct.groupby(np.asarray(labels)).mean().to_dict()


def uar(labels: ArrayLike, predicted: ArrayLike) -> float:
    """Return the unweighted average recall: the mean recall of the classes that occur among the labels (N,), N > 0."""
    return float(np.mean(list(recalls(labels, predicted).values())))


def log_losses(p: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the negative log-likelihoods (..., N) of classes (N,), as numbers, for probabilities p (..., N, K)."""
    return -np.log(p[..., np.arange(len(targets)), targets].clip(PROBABILITY_FLOOR))


def cross_entropies(p: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the cross-entropies (..., N) of shares (N, K) of the classes, for probabilities p (..., N, K)."""
    return -(shares * np.log(p.clip(PROBABILITY_FLOOR))).sum(-1)


def confusion(labels: ArrayLike, predicted: ArrayLike, classes: Sequence[str] = CLASSES) -> pd.DataFrame:
    """Return counts (classes, classes) of names of classes (N,): rows are labels, columns are predictions."""
    from sklearn.metrics import confusion_matrix  # slow to import, and few need it

    counts = confusion_matrix(labels, predicted, labels=list(classes))
    return pd.DataFrame(counts, index=list(classes), columns=list(classes))
