"""Which clips a model learns from, which it predicts, and in which folds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.corpora.folds import assign
from emopipe.fusion.options import EarlyStopping, Protocol

KFOLD = "kfold"
"""What the split of cross-validated predictions is called."""


@dataclass(frozen=True)
class Roles:
    """What each of N clips is there for, by its number in the clip table."""

    learn: np.ndarray
    """Clips to learn from."""
    fold: np.ndarray
    """The fold of each clip in `learn`."""
    asked: np.ndarray
    """Clips that models of all of `learn` predict."""
    cross_validated: bool
    """Whether the clips in `learn` are themselves reported, each as models of the other folds predict it."""

    @property
    def folds(self) -> int:
        """How many folds there are."""
        return int(self.fold.max()) + 1 if len(self.fold) else 0


def roles(table: pd.DataFrame, protocol: Protocol) -> Roles:
    """Deal out the clips of the clip table.

    Raises:
        CorpusError: There is nothing to learn from, or folds by subject are asked for and subjects are unknown.
    """
    labelled, split = (table["label"] != "").to_numpy(), table["split"].to_numpy()
    learned = {
        "given": split == "train",
        "kfold": labelled,
        "final": np.isin(split, ["train", "val"]) & labelled,
    }[protocol.kind]
    learn = np.flatnonzero(learned)
    if len(learn) < 2:
        what = {"given": "in the training split", "kfold": "labelled", "final": "labelled in train or val"}
        raise CorpusError(
            f"{len(learn)} clips are {what[protocol.kind]}, so no model can be trained (protocol {protocol.kind}): "
            "check the corpus' splits."
        )
    dealt = _folds(table.iloc[learn], protocol)
    fold = table["clip"].iloc[learn].map(dealt).to_numpy()
    return Roles(learn, fold, np.flatnonzero(~learned), protocol.kind == "kfold")


def stopping(
    table: pd.DataFrame, learn: np.ndarray, options: EarlyStopping, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cut clips to learn from into those and the inner fold by which training is stopped, by number."""
    dealt = assign(table.iloc[learn], min(options.folds, len(learn)), seed + 1)
    inner = table["clip"].iloc[learn].map(dealt).to_numpy() == 0
    return learn[~inner], learn[inner]


def _folds(clips: pd.DataFrame, protocol: Protocol) -> Mapping[str, int]:
    folds = min(protocol.folds, len(clips))
    if protocol.by == "class":
        return assign(clips.assign(subject=""), folds, protocol.seed)
    subjects = set(clips["subject"])
    if protocol.by == "subject" and ("" in subjects or len(subjects) < folds):
        raise CorpusError(
            f"protocol.by is subject, but {(clips['subject'] == '').sum()} of {len(clips)} clips have no subject and "
            f"{len(subjects - {''})} subjects are known, for {folds} folds; use by: class, or fewer folds."
        )
    return assign(clips, folds, protocol.seed)
