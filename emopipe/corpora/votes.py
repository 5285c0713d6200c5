"""Raters' votes of clips: columns of a clip table, and the labels that votes give."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from emopipe.core.labels import VOTES, LabelSpace

VOICE_VOTES, FACE_VOTES = f"voice_{VOTES}", f"face_{VOTES}"
"""Before a class: the columns with votes of raters who only heard, or only saw, the clip."""


def with_votes(
    table: pd.DataFrame, prefix: str, classes: Sequence[str], votes: Mapping[str, Mapping[str, int]]
) -> pd.DataFrame:
    """Return a clip table with a column of votes for each class; "" for clips without votes.

    Args:
        table: The clip table.
        prefix: What begins the columns: VOTES, VOICE_VOTES or FACE_VOTES.
        classes: The classes, in the order of the columns.
        votes: Clip -> class -> how many raters chose it; a class that is not there has no vote.
    """
    return table.assign(**{
        f"{prefix}{name}": [str(votes[clip].get(name, 0)) if clip in votes else "" for clip in table["clip"]]
        for name in classes
    })  # fmt: skip


def majority(votes: Mapping[str, int], classes: Sequence[str]) -> str:
    """Return the class with most votes, or all of them with `;` between them for a tie; "" without votes.

    >>> majority({"Sad": 2, "Happy": 2, "Fear": 1}, ["Fear", "Happy", "Sad"])
    'Happy;Sad'
    """
    counts = np.array([votes.get(name, 0) for name in classes], float)
    return LabelSpace(tuple(classes), "votes").label(counts) if counts.any() else ""
