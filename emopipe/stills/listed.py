"""Stills of a list: where their files are, which part of an image is the face, and rows that contradict each other."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER
from emopipe.core.text import abbreviate
from emopipe.stills.archive import Archive, empty_image
from emopipe.stills.base import Stills, stills_from_rows

SIDES = ("left", "top", "right", "bottom")
Box = tuple[float, float, float, float]
"""`SIDES` in pixels; right and bottom are exclusive."""


def stills_from_list(
    rows: pd.DataFrame,
    archive: Archive,
    labels: Mapping[str, str],
    where: str,
    *,
    names: Collection[str],
    no_class: Collection[str] = (),
    classes: Sequence[str] = CLASSES,
) -> Stills:
    """Return stills from the rows of a list; the first row decides which folder the image names are relative to.

    Args:
        rows: The columns key, name (the image's path in the list), label, split and subject if they are known, and
            `SIDES` if the list has boxes (nan in rows without a box).
        archive: Where the images are.
        labels: See `stills_from_rows`, also for `where` and `no_class`.
        where: The list, for messages.
        names: The corpus' class names.
        no_class: Names that the corpus uses for stills without a class.
        classes: The classes of the stills.

    Raises:
        CorpusError: As `stills_from_rows`, or images are missing or outside of the archive.
    """
    rows = drop_contradictions(rows, where)
    own = {"names": names, "no_class": no_class, "classes": classes}
    stills = stills_from_rows(rows, archive.read_image, labels, where, **own)
    kept = rows[rows["key"].isin(stills.table["key"])]
    boxes: dict[str, Box] = {}
    if set(SIDES) <= set(kept):
        boxed = kept.dropna(subset=SIDES)
        boxes = dict(zip(boxed["key"], boxed[list(SIDES)].itertuples(index=False, name=None), strict=True))
    folder = find_folder(archive, kept["name"].iloc[0], where)
    images = ListedImages(archive, dict(zip(kept["key"], folder + kept["name"], strict=True)), boxes)
    images.refuse_missing()
    return dataclasses.replace(stills, read_image=images)


def drop_contradictions(rows: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return rows with unique keys: equal rows count once, and rows that contradict each other are omitted.

    Large corpora have a few such rows. A warning reports them.
    """
    rows = rows.drop_duplicates()
    contradict = rows["key"].duplicated(keep=False)
    if contradict.any():
        keys = rows.loc[contradict, "key"].unique().tolist()
        LOGGER.warning(f"{where} has contradictory rows for the stills {abbreviate(keys)}. They are omitted.")
    return rows[~contradict]


def find_folder(archive: Archive, name: str, where: str) -> str:
    """Return the folder that the names of a list are relative to, "" or with a final slash, found by one of them.

    Raises:
        CorpusError: The file is in no folder, or is outside of the archive.
    """
    key = archive.find(name)
    if key is None:
        raise CorpusError(
            f"The image {name} of {where} was found in no folder of {archive.path}. Unpack the corpus' images there."
        )
    return key.removesuffix(name)


@dataclass(frozen=True)
class ListedImages:
    """Reads stills by their keys; see `emopipe.stills.base.ImageReader`."""

    archive: Archive
    """Where the files are."""
    files: Mapping[str, str]
    """Key of a still -> key of its file in the archive."""
    boxes: Mapping[str, Box] = field(default_factory=dict)
    """Key of a still -> the box of its face; without one, the whole image is used."""

    def __call__(self, key: str) -> np.ndarray:
        """Return (H, W, 3) uint8 BGR; empty if the file is not an image or the box is outside of it.

        Raises:
            CorpusError: There is no such still, or its file is missing.
        """
        if key not in self.files:
            raise CorpusError(f"There is no still {key!r} in {self.archive.path}. Use a key of the stills' table.")
        image = self.archive.read_image(self.files[key])
        return crop_box(image, self.boxes[key]) if key in self.boxes else image

    def refuse_missing(self) -> None:
        """Check that all files exist, so that training does not fail on one hours later.

        Raises:
            CorpusError: Some files do not exist, or are outside of the archive.
        """
        missing = [file for file in dict.fromkeys(self.files.values()) if not self.archive.has(file)]
        if missing:
            raise CorpusError(
                f"The images {abbreviate(missing)} are in the list of the corpus, but not in {self.archive.path}. Put "
                "them there, or remove them from the list."
            )


def crop_box(image: np.ndarray, box: Box) -> np.ndarray:
    """Return the part of an image (H, W, 3) inside a box; empty if they do not overlap."""
    height, width = image.shape[:2]
    left, right = np.clip([round(box[0]), round(box[2])], 0, width)
    top, bottom = np.clip([round(box[1]), round(box[3])], 0, height)
    if right <= left or bottom <= top:
        return empty_image()
    return image[top:bottom, left:right].copy()  # a view would keep the whole image in memory


def omitted_keys(file: Path, keys: Collection[str]) -> set[str]:
    """Return the keys of stills that a table lists to be omitted from training.

    Args:
        file: A CSV with the column `picture`; if it has a column `elsewhere`, its rows with 1 are meant.
        keys: The keys of all stills of the corpus; other pictures in the table are ignored.

    Raises:
        CorpusError: The table cannot be read, has no column `picture`, or lists no still of the corpus.
    """
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise CorpusError(
            f"The list {file} of stills to omit cannot be read ({error}). Put a CSV with the column picture there, or "
            "remove `omit` of the source."
        ) from error
    if "picture" not in table:
        raise CorpusError(
            f"The list {file} of stills to omit has the columns {abbreviate(list(table), limit=12)}. Expected the "
            "column picture, which holds the stills' keys. Rename it."
        )
    listed = set(table["picture"])
    if not listed & set(keys):
        raise CorpusError(
            f"None of the {len(listed)} pictures in {file} is a still of the corpus, such as {min(keys)}. Correct the "
            "column picture, or remove `omit` of the source."
        )
    meant = table[table["elsewhere"] == "1"] if "elsewhere" in table else table
    return set(meant["picture"]) & set(keys)
