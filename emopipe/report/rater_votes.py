"""What the clip table says about raters: their votes by what they had, and the two labels that follow."""

from typing import Literal

import numpy as np
import pandas as pd

from emopipe.core.labels import VOTES, LabelSpace
from emopipe.scoring.ceiling import countable

Shown = Literal["clip", "voice", "face"]
"""What raters had: the clip as a whole, its sound alone, its pictures alone."""
PREFIXES: dict[Shown, str] = {"clip": VOTES, "voice": f"voice_{VOTES}", "face": f"face_{VOTES}"}
"""What raters had -> what their columns of the clip table begin with; a class follows."""
INTENDED = "intended"
"""The column of the clip table with the class that an actor was asked to show."""


def votes_of(clips: pd.DataFrame, shown: Shown, space: LabelSpace) -> np.ndarray:
    """Return the votes of N clips, (N, K) float64.

    A cell that is empty counts 0, as does a class without a column; NaN if a cell is not a number.
    """
    columns = [f"{PREFIXES[shown]}{name}" for name in space.names]
    known = clips.reindex(columns=columns, fill_value="0").replace("", "0")
    return np.array([pd.to_numeric(known[name], errors="coerce") for name in columns], float).T.reshape(-1, len(space))


def of_others(clips: pd.DataFrame, shown: Shown, space: LabelSpace) -> np.ndarray:
    """Return the votes for classes that are not in the label space, (N, J) float64; J may be 0.

    Such columns are there where a clip has one class, such as Frustrated in a run for the other classes of IEMOCAP.
    """
    columns = [f"{PREFIXES[shown]}{name}" for name in _others(clips, shown, space)]
    numbers = [pd.to_numeric(clips[name].replace("", "0"), errors="coerce") for name in columns]
    return np.array(numbers, float).reshape(len(columns), len(clips)).T


def _others(clips: pd.DataFrame, shown: Shown, space: LabelSpace) -> list[str]:
    """Return the classes that have a column of votes and are not in the label space."""
    prefix = PREFIXES[shown]
    voted = [name.removeprefix(prefix) for name in clips if name.startswith(prefix)]
    return [name for name in voted if name not in space.names]


def rated(clips: pd.DataFrame, space: LabelSpace) -> dict[Shown, np.ndarray]:
    """Return what raters had -> their votes (N, K + J), for the columns that the clip table has for some clip.

    After the K classes of the label space stand J other ones: a rater who gave such a class did not agree with the
    others, and a share of the votes is a share of all.
    """
    if not space.has_one_class:
        return {}
    found: dict[Shown, np.ndarray] = {
        shown: np.concatenate([votes_of(clips, shown, space), of_others(clips, shown, space)], axis=1)
        for shown in PREFIXES
    }
    own = slice(len(space))
    return {
        shown: votes for shown, votes in found.items() if countable(votes).any() and np.nan_to_num(votes[:, own]).any()
    }


def perceived(clips: pd.DataFrame, space: LabelSpace) -> pd.Series:
    """Return the class with most votes of the raters of whole clips, (N,); a tie as a label, "" without votes.

    It is "", too, if a class that is not in the label space has most votes.
    Without votes in the table, the label is the perceived one if the table has intended classes beside it.
    """
    votes = np.nan_to_num(np.concatenate([votes_of(clips, "clip", space), of_others(clips, "clip", space)], axis=1))
    if votes.any():
        others = _others(clips, "clip", space)
        every = LabelSpace((*space.names, *others), "votes")
        most = [every.label(row) if row.any() else "" for row in votes]
        return pd.Series(["" if label in others else label for label in most], clips.index, dtype=object)
    return clips["label"] if INTENDED in clips else pd.Series("", clips.index, dtype=object)


def intended(clips: pd.DataFrame, space: LabelSpace) -> pd.Series:
    """Return the class that actors were asked to show, (N,) texts, "" if unknown.

    It is in a column of its own, or it is the label, if nobody voted for the label of some clip. Labels that were made
    from answers of raters are not intended classes, even where other raters, or rules of a corpus, decided a few.
    """
    if INTENDED in clips:
        return clips[INTENDED].where(clips[INTENDED].isin(space.names), "")
    label, votes = clips["label"], np.nan_to_num(votes_of(clips, "clip", space))
    of_label = (votes * [[name == given for name in space.names] for given in label]).sum(1) if len(clips) else votes
    is_class = label.isin(space.names)
    unheard = is_class & votes.any(1) & (of_label == 0)
    return label.where(is_class & unheard.any(), "")
