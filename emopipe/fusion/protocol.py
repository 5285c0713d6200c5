"""Which clips models are trained on, which they predict, and how clips are assigned to folds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.labels import BASIC7, SEPARATOR, LabelSpace
from emopipe.core.text import abbreviate
from emopipe.corpora.folds import assign
from emopipe.corpora.splits import SPLIT_BY
from emopipe.corpora.times import FILE_DIGEST
from emopipe.fusion.options import EarlyStopping, Protocol

KFOLD = "kfold"
"""Value of the column `split` for cross-validated predictions."""
NOT_GROUPS: tuple[str, ...] = ("clip", "path", "label", "digest", FILE_DIGEST, "start", "end", SPLIT_BY)
"""Columns of a clip table whose values do not say which clips belong together."""


@dataclass(frozen=True)
class ProtocolSplit:
    """How the clips of a clip table are used; clips are given by their row numbers."""

    train_idx: np.ndarray
    """(L,) clips to train on."""
    fold: np.ndarray
    """(L,) fold of each clip in `train_idx`."""
    predict_idx: np.ndarray
    """(A,) clips that models predict which are trained on all of `train_idx`."""
    cross_validated: bool
    """Whether results report the clips in `train_idx`, each predicted by models that are trained on the other folds."""
    by: str
    """The column whose values are not divided among folds, such as subject; class: folds are stratified by class, or by
    the groups of labels that stand for classes (`emopipe.corpora.strata`)."""

    @property
    def folds(self) -> int:
        """Number of folds."""
        return int(self.fold.max()) + 1 if len(self.fold) else 0


def split_clips(table: pd.DataFrame, protocol: Protocol, space: LabelSpace = BASIC7) -> ProtocolSplit:
    """Split the clips of a clip table by the protocol; their labels are of the label space.

    Raises:
        CorpusError: Fewer than two clips can be trained on; or the protocol requires folds by a column that the table
            does not have, that is not known of all clips, or that has fewer values than there are folds.
    """
    chosen = _is_trained_on(table, protocol)
    train_idx = np.flatnonzero(chosen)
    if len(train_idx) < 2:
        where = {"given": "in the training split", "kfold": "labelled", "final": "labelled in train or val"}
        raise CorpusError(
            f"{len(train_idx)} clips are {where[protocol.kind]}, but the protocol {protocol.kind} needs at least 2 to "
            "train a model. Check the corpus' splits and labels."
        )
    by, fold_of = _assign_folds(table.iloc[train_idx], protocol, space)
    fold = table["clip"].iloc[train_idx].map(fold_of).to_numpy()
    return ProtocolSplit(train_idx, fold, np.flatnonzero(~chosen), protocol.kind == "kfold", by)


def _is_trained_on(table: pd.DataFrame, protocol: Protocol) -> np.ndarray:
    """Return (N,) bool: the clips that models are trained on."""
    labelled, split = (table["label"] != "").to_numpy(), table["split"].to_numpy()
    return {
        "given": split == "train",
        "kfold": labelled,
        "final": np.isin(split, ["train", "val"]) & labelled,
    }[protocol.kind]


def absent_classes(table: pd.DataFrame, protocol: Protocol, space: LabelSpace = BASIC7) -> str:
    """Return sentences on the classes without a training clip and on the labelled clips of other splits that show them.

    Models give no probability to these classes. The text is "" if there are no such classes, no training clips, or if
    labels are numbers.
    """
    if space.kind == "dimensions":
        return ""
    train = table[_is_trained_on(table, protocol)]
    seen = (space.targets(train) > 0).any(0)  # of votes, a class may have some, but never most of them
    absent = [name for name, is_seen in zip(space.names, seen, strict=True) if not is_seen]
    if not absent or train.empty:
        return ""
    shown = table[[not {*label.split(SEPARATOR)}.isdisjoint(absent) for label in table["label"]]]
    counts = {name: clips["label"].value_counts().sort_index() for name, clips in shown.groupby("split")}
    parts = [
        f"{count.sum()} of {((table['split'] == split) & (table['label'] != '')).sum()} labelled {split} clips "
        f"({', '.join(f'{label} {number}' for label, number in count.items())})"
        for split, count in counts.items()
    ]
    them, classes = ("it", "this class") if len(absent) == 1 else ("them", "these classes")
    about = f"No training clip shows {', '.join(absent)}, so models give {them} no probability."
    then = f"Clips of {classes} count as wrong" if space.has_one_class else f"Clips that show {them}"
    return f"{about} {then}: {'; '.join(parts)}." if parts else about


def _assign_folds(clips: pd.DataFrame, protocol: Protocol, space: LabelSpace) -> tuple[str, Mapping[str, int]]:
    """Return what folds are by (see `ProtocolSplit.by`), and the fold of each clip, by its id."""
    folds = min(protocol.folds, len(clips))
    by = "subject" if protocol.by == "auto" else protocol.by
    if by == "class":
        return by, assign(clips.assign(subject=""), folds, protocol.seed, space)
    if by not in clips or by in NOT_GROUPS:
        columns = [column for column in clips if column not in NOT_GROUPS]
        raise CorpusError(
            f"protocol.by is {by}, but the clips have no such property to make folds of. Expected auto, class, or one "
            f"of the columns of the clip table: {abbreviate(columns, limit=12)}. Correct it."
        )
    values = set(clips[by])
    suffices = "" not in values and len(values) >= folds
    if protocol.by == "auto" and not suffices:
        return "class", assign(clips, folds, protocol.seed, space)
    if not suffices:
        raise CorpusError(
            f"protocol.by is {by}, but {(clips[by] == '').sum()} of {len(clips)} clips have no {by}, and "
            f"{len(values - {''})} different ones are known for {folds} folds. Set protocol.by to class, or reduce "
            "protocol.folds."
        )
    return by, assign(clips.assign(subject=clips[by]), folds, protocol.seed, space)


def pretraining_protocol(table: pd.DataFrame, protocol: Protocol, folds: int) -> Protocol:
    """Return the protocol whose folds pretraining uses (`split_clips`), so that they and those of fusion are one rule.

    The clips, their order and the seed are those of fusion; with as many folds, the folds are the same. People whom
    fusion keeps in one fold are in one fold of pretraining too: if there are fewer people than its folds, it has fewer
    folds. Where only pretraining has enough people for its folds, it keeps them together all the same.

    Args:
        table: The clip table.
        protocol: The protocol of fusion.
        folds: The number of folds that pretraining asks for.
    """
    clips = table[_is_trained_on(table, protocol)]
    subjects, folds = set(clips["subject"]), max(2, min(folds, len(clips)))
    if protocol.by not in ("auto", "subject"):
        return protocol.model_copy(update={"folds": folds})
    if "" in subjects or len(subjects) < min(folds, protocol.folds):
        return protocol.model_copy(update={"folds": folds, "by": "class"})
    return protocol.model_copy(update={"folds": min(folds, len(subjects)), "by": "subject"})


def split_for_early_stopping(
    table: pd.DataFrame,
    train_idx: np.ndarray,
    options: EarlyStopping,
    seed: int,
    by: str = "class",
    space: LabelSpace = BASIC7,
) -> tuple[np.ndarray, np.ndarray]:
    """Divide training clips into clips to train on and the inner fold, whose loss decides when to stop.

    Args:
        table: The clip table.
        train_idx: Row numbers of the training clips.
        options: Options of early stopping.
        seed: Seed of the assignment to folds.
        by: What the folds of the protocol are by (see `ProtocolSplit.by`). The inner folds are by the same column, if
            it has enough values; by class, they still keep the clips of one subject together where that is possible.
        space: The label space.

    Returns:
        Row numbers of both parts.
    """
    clips = table.iloc[train_idx]
    clips = clips if by == "class" else clips.assign(subject=clips[by])
    fold_of = assign(clips, min(options.folds, len(train_idx)), seed + 1, space)
    inner = table["clip"].iloc[train_idx].map(fold_of).to_numpy() == 0
    return train_idx[~inner], train_idx[inner]
