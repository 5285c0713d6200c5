"""ExpW (Zhang et al., IJCV 2018): faces in photos from the web, listed with their boxes in label/label.lst."""

from pathlib import Path

import pandas as pd
from pydantic import Field

from emopipe.core.errors import CorpusError
from emopipe.core.options import Number
from emopipe.stills import lists
from emopipe.stills.archive import Archive
from emopipe.stills.base import BaseOptions, Stills
from emopipe.stills.listed import SIDES, stills_of

LIST = "label.lst"
COLUMNS = ("image_name", "face_id", "top", "left", "right", "bottom", "confidence", "label")
NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Its classes, in the order of its numbers."""


class StillsOptions(BaseOptions):
    """Which of ExpW's faces are taken."""

    min_confidence: Number = Field(default=0.0, ge=0)
    """Faces of which the list is less confident, on its scale from 0 to about 100, are left out."""


def read(path: Path, options: StillsOptions) -> Stills:
    """The faces of a folder or zip, cut out by their boxes; ExpW has no splits.

    A still is called after its photo and the number of the face in it; the photo is the subject, so that the faces of
    one photo stay together.

    Raises:
        CorpusError: The list is missing or not ExpW's, no face is confident enough, or pictures are missing.
    """
    archive = Archive(path)
    key = archive.find(LIST)
    if key is None:
        raise CorpusError(f"{path} holds no {LIST}, which has ExpW's faces and classes: put it there.")
    where = f"{key} in {path}"
    rows = _faces(lists.by_blanks(archive, key, COLUMNS), options.min_confidence, where)
    return stills_of(rows, archive, options.labels, where, names=NAMES)


def _faces(table: pd.DataFrame, min_confidence: float, where: str) -> pd.DataFrame:
    """Columns key, label, subject and the box, of the confident faces."""
    numbers = lists.whole(table, "label", where, 0, len(NAMES) - 1)
    confidence = lists.real(table, "confidence", where)
    rows = pd.DataFrame(
        {
            "key": table["image_name"] + "#" + table["face_id"],
            "name": table["image_name"],
            "label": numbers.map(dict(enumerate(NAMES))),
            "subject": table["image_name"],
            **{side: lists.real(table, side, where) for side in SIDES},
        }
    )
    sure = rows[confidence >= min_confidence]
    if sure.empty:
        raise CorpusError(
            f"{where} has no face with a confidence of {min_confidence:g} or more (the highest is "
            f"{confidence.max():g}): lower min_confidence."
        )
    return sure
