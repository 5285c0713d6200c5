"""ExpW (Zhang et al., IJCV 2018): faces in photos from the web, listed with their boxes in label/label.lst."""

from pathlib import Path

import pandas as pd
from pydantic import Field

from emopipe.core.errors import CorpusError
from emopipe.core.options import Number
from emopipe.stills import lists
from emopipe.stills.archive import Archive
from emopipe.stills.base import BaseOptions, Stills
from emopipe.stills.listed import SIDES, stills_from_list

LIST = "label.lst"
COLUMNS = ("image_name", "face_id", "top", "left", "right", "bottom", "confidence", "label")
NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The classes in the order of their numbers."""


class StillsOptions(BaseOptions):
    """Which of ExpW's faces are used."""

    min_confidence: Number = Field(default=0.0, ge=0)
    """Faces with a lower confidence in the list are omitted; its scale is from 0 to about 100."""


def read(path: Path, options: StillsOptions) -> Stills:
    """Return the faces of a folder or zip file, cropped to their boxes; ExpW has no splits.

    The key of a still is its photo's name and the number of the face in it. The subject is the photo, so that the
    faces of a photo stay in the same split.

    Raises:
        CorpusError: The list is missing or is not ExpW's, no face has the confidence, or images are missing.
    """
    archive = Archive(path)
    key = archive.find(LIST)
    if key is None:
        raise CorpusError(f"{path} has no {LIST}, ExpW's list of faces and classes. Put it there.")
    where = f"{key} in {path}"
    table = lists.read_whitespace(archive, key, COLUMNS)
    numbers = lists.integers(table, "label", where, 0, len(NAMES) - 1)
    confidence = lists.numbers(table, "confidence", where)
    rows = pd.DataFrame(
        {
            "key": table["image_name"] + "#" + table["face_id"],
            "name": table["image_name"],
            "label": numbers.map(dict(enumerate(NAMES))),
            "subject": table["image_name"],
            **{side: lists.numbers(table, side, where) for side in SIDES},
        }
    )
    rows = rows[confidence >= options.min_confidence]
    if rows.empty:
        raise CorpusError(
            f"{where} has no face with a confidence of {options.min_confidence:g} or more. The highest is "
            f"{confidence.max():g}. Lower min_confidence."
        )
    return stills_from_list(rows, archive, options.labels, where, names=NAMES, classes=options.classes)
