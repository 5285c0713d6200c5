"""Which clips are left out together: folds by subject, or stratified by class."""

from collections.abc import Sequence

import pandas as pd

from emopipe.core.hashing import stable_hash


def assign(train: pd.DataFrame, folds: int, seed: int) -> dict[str, int]:
    """Clip id -> fold (0 to folds - 1) of the training clips.

    Where there are at least as many subjects as folds, a subject's clips share a fold; else every class is dealt
    out evenly. Both in an order that hashes decide.

    Args:
        train: Rows of the clip table (columns clip, label, subject).
        folds: How many; no more than there are clips to deal out.
        seed: Varies the order.

    Raises:
        ValueError: Fewer than two clips: nothing could be left out and something remain.
    """
    if len(train) < 2:
        raise ValueError(f"{len(train)} training clips cannot be cut into folds; at least two are needed")
    subjects = sorted(set(train["subject"]) - {""}, key=lambda subject: stable_hash(f"{seed}/{subject}"))
    if len(subjects) >= folds and (train["subject"] != "").all():
        dealt = _deal(subjects, folds)
        return {clip: dealt[subject] for clip, subject in zip(train["clip"], train["subject"], strict=True)}
    order = sorted(
        zip(train["label"], train["clip"], strict=True), key=lambda row: (row[0], stable_hash(f"{seed}/{row[1]}"))
    )
    return _deal([clip for _, clip in order], min(folds, len(order)))


def _deal(names: Sequence[str], folds: int) -> dict[str, int]:
    return {name: number % folds for number, name in enumerate(names)}
