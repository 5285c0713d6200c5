"""AffectNet (Mollahosseini et al., arXiv 1708.03985), manually annotated: photos with lists, or cropped faces."""

import io
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.log import Progress
from emopipe.corpora.splits import split_of
from emopipe.stills import lists
from emopipe.stills.archive import Archive
from emopipe.stills.base import BaseOptions, Stills
from emopipe.stills.listed import SIDES, stills_from_list

LISTS = {"training.csv": "train", "validation.csv": "val"}
COLUMNS = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)
"""Columns of the lists. Some copies of validation.csv have no header."""
LABEL = "_exp.npy"
"""The end of the names of the newer release's files with the class."""
NAMES = ("Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Anger", "Contempt")
"""The classes in the order of their numbers."""
NO_EMOTION = ("None", "Uncertain", "No-Face")
"""The numbers after these, which only the first release has."""

_NO_BOX = ("", "na", "nan", "null")


class StillsOptions(BaseOptions):
    """AffectNet has no other options. Contempt is omitted unless `labels` or the network has it."""


def read(path: Path, options: StillsOptions) -> Stills:
    """Return the stills of a folder or zip file of either release; the splits are train and val, or one of these.

    The first release has training.csv and validation.csv beside Manually_Annotated_Images/; its photos are cropped to
    the faces' boxes. The newer one has train_set/ and val_set/, each with images/ of cropped faces and annotations/.

    Raises:
        CorpusError: Neither release was found, a list or annotation is not AffectNet's, or images are missing.
    """
    archive = Archive(path)
    found = {split: key for name, split in LISTS.items() if (key := archive.find(name))}
    rows = pd.concat([_of_list(archive, key, split) for split, key in found.items()]) if found else _of_sets(archive)
    own = {"names": (*NAMES, *NO_EMOTION), "no_class": NO_EMOTION, "classes": options.classes}
    return stills_from_list(rows, archive, options.labels, str(path), **own)


def _of_list(archive: Archive, key: str, split: str) -> pd.DataFrame:
    """Return rows for `stills_from_list` from a list of the first release."""
    where = f"{key} in {archive.path}"
    table = lists.read_csv(archive, key, (*COLUMNS[:5], "expression"), headerless=COLUMNS)
    # 1. Classes.
    numbers = lists.integers(table, "expression", where, 0, len(NAMES) + len(NO_EMOTION) - 1)
    label = numbers.map(dict(enumerate((*NAMES, *NO_EMOTION))))
    # 2. Boxes; nan where the list has none.
    columns = list(COLUMNS[1:5])
    no_box = table[columns].apply(lambda cells: cells.str.casefold().isin(_NO_BOX)).any(axis=1)
    left, top, width, height = (lists.numbers(table[~no_box], column, where) for column in columns)
    sides = pd.DataFrame(dict(zip(SIDES, (left, top, left + width, top + height), strict=True)))
    boxes = sides[(width > 0) & (height > 0)].reindex(table.index)
    names = table["subDirectory_filePath"]
    return pd.DataFrame({"key": names, "name": names, "label": label, "split": split, **dict(boxes.items())})


def _of_sets(archive: Archive) -> pd.DataFrame:
    """Return rows for `stills_from_list` from the newer release's <split>_set/annotations/<id>_exp.npy."""
    paths = [PurePosixPath(key) for key in archive.files({".npy"}) if key.endswith(LABEL)]
    paths = [path for path in paths if path.parent.name == "annotations" and len(path.parts) > 2]
    if not paths:
        raise CorpusError(
            f"{archive.path} has neither AffectNet's {' nor '.join(LISTS)} nor <split>_set/annotations/<id>{LABEL}. "
            "Check the path."
        )
    rows, progress = [], Progress("reading labels", len(paths), unit="stills")
    for path in paths:
        folder = path.parts[-3]
        name = f"{folder}/images/{path.name.removesuffix(LABEL)}.jpg"
        split = folder.removesuffix("_set")
        rows.append((name, name, _label(archive, path.as_posix()), split_of(split) or split))
        progress.advance()
    return pd.DataFrame(rows, columns=["key", "name", "label", "split"])


def _label(archive: Archive, key: str) -> str:
    """Return the class whose number a file has; AffectNet writes the number as text."""
    try:
        number = int(np.lib.format.read_array(io.BytesIO(archive.read(key)), allow_pickle=False).item())
    except (ValueError, TypeError, EOFError) as error:
        raise _no_class_error(archive, key, str(error)) from error
    if number not in range(len(NAMES)):
        raise _no_class_error(archive, key, str(number))
    return NAMES[number]


def _no_class_error(archive: Archive, key: str, found: str) -> CorpusError:
    return CorpusError(
        f"{key} in {archive.path} has no class ({found}). Expected a number from 0 to {len(NAMES) - 1}. Download the "
        "file again."
    )
