"""Stills that a list names one by one: where their files are, what part of them is the face, which rows contradict."""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.log import LOGGER
from emopipe.core.text import abbreviate
from emopipe.stills.archive import Archive, no_picture
from emopipe.stills.base import Stills, labelled

SIDES = ("left", "top", "right", "bottom")
Box = tuple[float, float, float, float]
"""`SIDES` in pixels; right and bottom are the first that no longer belong to it."""


@dataclass(frozen=True)
class Listed:
    """Reads stills by their keys; see `emopipe.stills.base.Picture`."""

    archive: Archive
    """Where the files are."""
    files: Mapping[str, str]
    """A still's key -> its file's key in the archive."""
    boxes: Mapping[str, Box] = field(default_factory=dict)
    """A still's key -> the face in its picture; the whole picture where there is none."""

    def __call__(self, key: str) -> np.ndarray:
        """(H, W, 3) uint8 BGR; empty where the file is no picture or the box lies beside it.

        Raises:
            CorpusError: There is no such still, or its file is missing.
        """
        if key not in self.files:
            raise CorpusError(f"There is no still {key!r} in {self.archive.path}: take a key of the stills' table.")
        picture = self.archive.picture(self.files[key])
        return cropped(picture, self.boxes[key]) if key in self.boxes else picture

    def refuse_missing(self) -> None:
        """Look whether all files are there, so that a training does not find out hours later.

        Raises:
            CorpusError: Some are not, or lead out of the archive.
        """
        missing = [file for file in dict.fromkeys(self.files.values()) if not self.archive.has(file)]
        if missing:
            raise CorpusError(
                f"The pictures {abbreviate(missing)} are not in {self.archive.path}, though the corpus lists them: put "
                "them there, or take them out of the list."
            )


def stills_of(
    rows: pd.DataFrame,
    archive: Archive,
    labels: Mapping[str, str],
    where: str,
    *,
    names: Collection[str],
    beside: Collection[str] = (),
) -> Stills:
    """Stills out of a list's rows; the folder that its names are relative to is found by the first of them.

    Args:
        rows: Columns key, name (the picture, as the list calls it), label, split and subject where they are known, and
            `SIDES` where the list has boxes (nan in rows that have none).
        archive: Where the pictures are.
        labels: As in `labelled`, and so are where, names and beside.
        where: What to call the list in messages.
        names: The corpus' class names.
        beside: Names that the corpus has for no class at all.

    Raises:
        CorpusError: As `labelled`, or pictures are missing or lead out of the archive.
    """
    rows = once(rows, where)
    stills = labelled(rows, archive.picture, labels, where, names=names, beside=beside)
    kept = rows[rows["key"].isin(stills.table["key"])]
    folder = placed(archive, kept["name"].iloc[0], where)
    picture = Listed(archive, dict(zip(kept["key"], folder + kept["name"], strict=True)), _boxes(kept))
    picture.refuse_missing()
    return dataclasses.replace(stills, picture=picture)


def placed(archive: Archive, name: str, where: str) -> str:
    """The folder, "" or with a slash at its end, that a list's names are relative to, found by one of them.

    Raises:
        CorpusError: It is in no folder, or leads out of the archive.
    """
    key = archive.find(name)
    if key is None:
        raise CorpusError(
            f"The picture {name} of {where} was found in no folder of {archive.path}: unpack the corpus' pictures "
            "there."
        )
    return key.removesuffix(name)


def once(rows: pd.DataFrame, where: str) -> pd.DataFrame:
    """Rows with every `key` once: equal rows count as one, and rows that contradict each other are left out.

    Large corpora have a few such rows; that they are left out is said in the log.
    """
    rows = rows.drop_duplicates()
    contradict = rows["key"].duplicated(keep=False)
    if contradict.any():
        keys = rows.loc[contradict, "key"].unique().tolist()
        LOGGER.warning(f"{where} says different things of the stills {abbreviate(keys)}, which are therefore left out.")
    return rows[~contradict]


def cropped(picture: np.ndarray, box: Box) -> np.ndarray:
    """The part of a picture (H, W, 3) in a box, as far as it lies inside; empty where nothing does."""
    height, width = picture.shape[:2]
    left, right = np.clip([round(box[0]), round(box[2])], 0, width)
    top, bottom = np.clip([round(box[1]), round(box[3])], 0, height)
    if right <= left or bottom <= top:
        return no_picture()
    return picture[top:bottom, left:right].copy()  # so that the whole picture is not held


def _boxes(rows: pd.DataFrame) -> dict[str, Box]:
    if not set(SIDES) <= set(rows):
        return {}
    rows = rows.dropna(subset=SIDES)
    return dict(zip(rows["key"], rows[list(SIDES)].itertuples(index=False, name=None), strict=True))
