"""Folds of training clips for cross-validation: by subject, or stratified by label."""

from collections.abc import Sequence

import pandas as pd

from emopipe.core.hashing import stable_hash
from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.corpora.strata import strata


def assign(train: pd.DataFrame, folds: int, seed: int, space: LabelSpace = BASIC7) -> dict[str, int]:
    """Return the fold (0 to folds - 1) of each training clip.

    If there are at least as many subjects as folds, all clips of a subject are in one fold. Otherwise the clips of
    each class, or of each group of like labels (`emopipe.corpora.strata`), are spread evenly over the folds. Hashes of
    the names decide the order.

    Args:
        train: Rows of the clip table (columns clip, label, subject).
        folds: How many folds; there are never more than clips.
        seed: Varies the order.
        space: The label space.

    Returns:
        Clip id -> fold.

    Raises:
        ValueError: There are fewer than two clips, so that no fold could have training clips.
    """
    if len(train) < 2:
        raise ValueError(f"{len(train)} training clips cannot be split into folds. At least two are needed.")
    subjects = sorted(set(train["subject"]) - {""}, key=lambda subject: stable_hash(f"{seed}/{subject}"))
    if len(subjects) >= folds and (train["subject"] != "").all():
        fold_of = _deal(subjects, folds)
        return {clip: fold_of[subject] for clip, subject in zip(train["clip"], train["subject"], strict=True)}
    groups = strata(train["label"], space, least=folds)
    order = sorted(zip(groups, train["clip"], strict=True), key=lambda row: (row[0], stable_hash(f"{seed}/{row[1]}")))
    return _deal([clip for _, clip in order], min(folds, len(order)))


def _deal(names: Sequence[str], folds: int) -> dict[str, int]:
    """Return the fold of each name; names get the folds in rotation."""
    return {name: number % folds for number, name in enumerate(names)}
