"""RAF-DB's basic emotions (Li et al., CVPR 2017): its list and folders, or <split>/<1 to 7>/<picture>."""

from pathlib import Path, PurePosixPath
from typing import Literal

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.stills import folder, lists
from emopipe.stills.archive import Archive
from emopipe.stills.base import BaseOptions, Stills, labelled
from emopipe.stills.listed import SIDES, Box, stills_of

LIST = "list_patition_label.txt"  # spelled so by its authors
NAMES = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
"""Its classes, in the order of its numbers, which begin with 1."""


class StillsOptions(BaseOptions):
    """Which of RAF-DB's pictures are taken."""

    pictures: Literal["aligned", "original"] = "aligned"
    """Faces aligned by the authors (100 x 100), or the photos, cut to the face by Annotation/boundingbox."""


def read(path: Path, options: StillsOptions) -> Stills:
    """The stills of a folder or zip; splits are train and test.

    With the list, pictures may lie in any folder below, as long as they lie in one; without it, the folders say all.

    Raises:
        CorpusError: The list is not RAF-DB's, or pictures, boxes or folders are missing.
    """
    archive = Archive(path)
    key = archive.find(LIST)
    if key is None:
        return _of_folders(archive, options)
    where = f"{key} in {path}"
    table = lists.by_blanks(archive, key, ("name", "label"))
    stems = [PurePosixPath(name).stem for name in table["name"]]
    names = [f"{stem}_aligned.jpg" for stem in stems] if options.pictures == "aligned" else table["name"].to_list()
    numbers = lists.whole(table, "label", where, 1, len(NAMES))  # the list of compound emotions has up to 11
    label, split = [NAMES[number - 1] for number in numbers], [_split(stem, where) for stem in stems]
    rows = pd.DataFrame({"key": names, "name": names, "label": label, "split": split})
    if options.pictures == "original":
        rows[list(SIDES)] = _boxes(archive, stems, where)
    return stills_of(rows, archive, options.labels, where, names=NAMES)


def _split(stem: str, where: str) -> str:
    """The split that a picture's name begins with: train_00001, test_0001."""
    split = stem.partition("_")[0]
    if split not in ("train", "test"):
        raise CorpusError(
            f"{where} names the picture {stem}, but RAF-DB's begin with train_ or test_: check the path, or fetch the "
            "list again."
        )
    return split


def _boxes(archive: Archive, stems: list[str], where: str) -> list[Box]:
    files = [f"{stem}_boundingbox.txt" for stem in stems]
    first = archive.find(f"boundingbox/{files[0]}")
    if first is None:
        raise CorpusError(
            f"The face's box {files[0]} of {where} was found in no folder boundingbox of {archive.path}: unpack "
            "Annotation/boundingbox there, or set pictures: aligned."
        )
    return [_box(archive, first.removesuffix(files[0]) + file) for file in files]


def _box(archive: Archive, key: str) -> Box:
    """Left, top, right and bottom, which a file has in one line."""
    try:
        left, top, right, bottom = (float(number) for number in archive.read(key).split())
    except ValueError as error:
        raise CorpusError(
            f"{key} in {archive.path} is no box, where four numbers (left, top, right, bottom) were expected: fetch it "
            "again."
        ) from error
    return left, top, right, bottom


def _of_folders(archive: Archive, options: StillsOptions) -> Stills:
    """<split>/<number>/<picture>, as the aligned faces are also passed on."""
    if options.pictures == "original":
        raise CorpusError(
            f"{archive.path} holds no {LIST}, which pictures: original needs: put it there, or set pictures: aligned."
        )
    rows = folder.rows_of(archive)
    known = {str(number): name for number, name in enumerate(NAMES, start=1)}
    strange = sorted(set(rows["label"]) - set(known))
    if strange:
        raise CorpusError(
            f"{archive.path} holds neither {LIST} nor only the folders 1 to 7 with pictures (found: {strange[0]}): "
            "check the path, or take kind: folder for folders with names."
        )
    rows = rows.assign(label=rows["label"].map(known))
    return labelled(rows, archive.picture, options.labels, str(archive.path), names=NAMES)
