"""RAF-DB's basic emotions (Li et al., CVPR 2017): its list and folders, or <split>/<1 to 7>/<image>."""

from pathlib import Path, PurePosixPath
from typing import Literal

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.stills import folder, lists
from emopipe.stills.archive import Archive
from emopipe.stills.base import BaseOptions, Stills, stills_from_rows
from emopipe.stills.listed import SIDES, Box, stills_from_list

LIST = "list_patition_label.txt"  # spelled so by its authors
NAMES = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
"""The classes in the order of their numbers, which begin with 1."""


class StillsOptions(BaseOptions):
    """Which of RAF-DB's images are used."""

    pictures: Literal["aligned", "original"] = "aligned"
    """aligned: the authors' aligned faces (100 x 100). original: the photos, cropped to the boxes in
    Annotation/boundingbox."""


def read(path: Path, options: StillsOptions) -> Stills:
    """Return the stills of a folder or zip file; the splits are train and test.

    With the list, all images may be in any one folder. Without it, the folders define splits and classes.

    Raises:
        CorpusError: The list is not RAF-DB's, or images, boxes or folders are missing.
    """
    archive = Archive(path)
    key = archive.find(LIST)
    if key is None:
        return _of_folders(archive, options)
    where = f"{key} in {path}"
    table = lists.read_whitespace(archive, key, ("name", "label"))
    stems = [PurePosixPath(name).stem for name in table["name"]]
    names = [f"{stem}_aligned.jpg" for stem in stems] if options.pictures == "aligned" else table["name"].to_list()
    numbers = lists.integers(table, "label", where, 1, len(NAMES))  # the list of compound emotions has up to 11
    label, split = [NAMES[number - 1] for number in numbers], [_split(stem, where) for stem in stems]
    rows = pd.DataFrame({"key": names, "name": names, "label": label, "split": split})
    if options.pictures == "original":
        rows[list(SIDES)] = _boxes(archive, stems, where)
    return stills_from_list(rows, archive, options.labels, where, names=NAMES, classes=options.classes)


def _split(stem: str, where: str) -> str:
    """Return the split that an image's name begins with: train_00001, test_0001."""
    split = stem.partition("_")[0]
    if split not in ("train", "test"):
        raise CorpusError(
            f"{where} has the image {stem}, but RAF-DB's image names begin with train_ or test_. Check the path, or "
            "download the list again."
        )
    return split


def _boxes(archive: Archive, stems: list[str], where: str) -> list[Box]:
    """Return the boxes of the faces, each from the four numbers in a file of its own."""
    files = [f"{stem}_boundingbox.txt" for stem in stems]
    first = archive.find(f"boundingbox/{files[0]}")
    if first is None:
        raise CorpusError(
            f"The face's box {files[0]} of {where} was found in no folder boundingbox of {archive.path}. Unpack "
            "Annotation/boundingbox there, or set pictures: aligned."
        )
    boxes = []
    for file in files:
        key = first.removesuffix(files[0]) + file
        try:
            left, top, right, bottom = (float(number) for number in archive.read(key).split())
        except ValueError as error:
            raise CorpusError(
                f"{key} in {archive.path} is not a box. Expected four numbers: left, top, right, bottom. Download the "
                "file again."
            ) from error
        boxes.append((left, top, right, bottom))
    return boxes


def _of_folders(archive: Archive, options: StillsOptions) -> Stills:
    """Return the stills of <split>/<number>/<image>, another form in which the aligned faces are distributed."""
    if options.pictures == "original":
        raise CorpusError(
            f"{archive.path} has no {LIST}, but pictures: original needs it. Put it there, or set pictures: aligned."
        )
    rows = folder.rows_of(archive)
    known = {str(number): name for number, name in enumerate(NAMES, start=1)}
    unknown = sorted(set(rows["label"]) - set(known))
    if unknown:
        raise CorpusError(
            f"{archive.path} has neither {LIST} nor only the folders 1 to 7 with images. Found the folder "
            f"{unknown[0]}. Check the path, or use kind: folder for folders with class names."
        )
    rows = rows.assign(label=rows["label"].map(known))
    own = {"names": NAMES, "classes": options.classes}
    return stills_from_rows(rows, archive.read_image, options.labels, str(archive.path), **own)
