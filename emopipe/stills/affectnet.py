"""AffectNet (Mollahosseini et al., arXiv 1708.03985), manually annotated: the lists of photos, or the cut faces."""

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
from emopipe.stills.listed import SIDES, stills_of

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
"""Of the lists; validation.csv is also passed on without its header."""
LABEL = "_exp.npy"
"""How the files of the newer release end that have the class."""
NAMES = ("Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Anger", "Contempt")
NO_EMOTION = ("None", "Uncertain", "No-Face")
"""The classes in the order of their numbers, and those that follow, which only the first release has."""

_NO_BOX = ("", "na", "nan", "null")


class StillsOptions(BaseOptions):
    """AffectNet has nothing of its own to set; contempt is left out unless `labels` says what it counts as."""


def read(path: Path, options: StillsOptions) -> Stills:
    """The stills of a folder or zip of either release; splits are train and val, of which one may be missing.

    The first release has training.csv and validation.csv beside Manually_Annotated_Images/; its photos are cut to the
    faces' boxes. The newer one has train_set/ and val_set/, each with images/ and annotations/, whose faces are cut.

    Raises:
        CorpusError: Neither release is there, a list or annotation is not AffectNet's, or pictures are missing.
    """
    archive = Archive(path)
    found = {split: key for name, split in LISTS.items() if (key := archive.find(name))}
    rows = pd.concat([_of_list(archive, key, split) for split, key in found.items()]) if found else _of_sets(archive)
    return stills_of(rows, archive, options.labels, str(path), names=(*NAMES, *NO_EMOTION), beside=NO_EMOTION)


def _of_list(archive: Archive, key: str, split: str) -> pd.DataFrame:
    """The rows that `stills_of` takes."""
    where = f"{key} in {archive.path}"
    table = lists.by_commas(archive, key, (*COLUMNS[:5], "expression"), bare=COLUMNS)
    numbers = lists.whole(table, "expression", where, 0, len(NAMES) + len(NO_EMOTION) - 1)
    names = table["subDirectory_filePath"]
    label = numbers.map(dict(enumerate((*NAMES, *NO_EMOTION))))
    return pd.DataFrame({"key": names, "name": names, "label": label, "split": split, **_boxes(table, where)})


def _boxes(table: pd.DataFrame, where: str) -> dict[str, pd.Series]:
    """`SIDES` of the faces; nan where the list has no box."""
    columns = list(COLUMNS[1:5])
    bare = table[columns].apply(lambda cells: cells.str.casefold().isin(_NO_BOX)).any(axis=1)
    left, top, width, height = (lists.real(table[~bare], column, where) for column in columns)
    sides = pd.DataFrame(dict(zip(SIDES, (left, top, left + width, top + height), strict=True)))
    return dict(sides[(width > 0) & (height > 0)].reindex(table.index).items())


def _of_sets(archive: Archive) -> pd.DataFrame:
    """The rows that `stills_of` takes, out of <split>_set/annotations/<id>_exp.npy."""
    paths = [PurePosixPath(key) for key in archive.files({".npy"}) if key.endswith(LABEL)]
    paths = [path for path in paths if path.parent.name == "annotations" and len(path.parts) > 2]
    if not paths:
        raise CorpusError(
            f"{archive.path} holds neither AffectNet's {' nor '.join(LISTS)} nor <split>_set/annotations/<id>{LABEL}: "
            "check the path."
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
    """The class of a file that holds its number, which AffectNet writes as text."""
    try:
        number = int(np.lib.format.read_array(io.BytesIO(archive.read(key)), allow_pickle=False).item())
    except (ValueError, TypeError, EOFError) as error:
        raise _no_class(archive, key, str(error)) from error
    if number not in range(len(NAMES)):
        raise _no_class(archive, key, str(number))
    return NAMES[number]


def _no_class(archive: Archive, key: str, found: str) -> CorpusError:
    return CorpusError(
        f"{key} in {archive.path} has no class ({found}), where a number from 0 to {len(NAMES) - 1} was expected: "
        "fetch it again."
    )
