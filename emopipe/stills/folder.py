"""Stills whose folders name their classes: <split>/<class>/<image> or <class>/<image>, in a folder or a zip file."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora.splits import split_of
from emopipe.stills.archive import Archive
from emopipe.stills.base import BaseOptions, Stills, stills_from_rows


class StillsOptions(BaseOptions):
    """This kind has no other options: the folders define the splits and the classes."""


def read(path: Path, options: StillsOptions) -> Stills:
    """Return the stills of a folder or zip file; folders above those of splits or classes are ignored.

    Raises:
        CorpusError: There are no images, images are outside of class folders, or a class is unknown.
    """
    archive = Archive(path)
    return stills_from_rows(rows_of(archive), archive.read_image, options.labels, str(path), classes=options.classes)


def rows_of(archive: Archive) -> pd.DataFrame:
    """Return the columns key, label (the class folder) and split (train, val, test, another folder's name, or "").

    Raises:
        CorpusError: There are no images, or images are outside of class folders.
    """
    keys = archive.images()
    if not keys:
        raise CorpusError(f"No images were found in {archive.path}. Expected <class>/<image>. Check the path.")
    inner = _inner_folders(keys)
    depths = {len(parts) for parts in inner}
    stray = [key for key, parts in zip(keys, inner, strict=True) if len(parts) not in (1, 2)]
    if stray or len(depths) > 1:
        odd = stray or [key for key, parts in zip(keys, inner, strict=True) if len(parts) != max(depths)]
        raise CorpusError(
            f"The images {abbreviate(odd)} in {archive.path} are at another depth of folders than the others. Expected "
            "<class>/<image> for all images, or <split>/<class>/<image> for all. Move these images."
        )
    return pd.DataFrame({"key": keys, "label": [parts[-1] for parts in inner], "split": splits_of(keys)})


def splits_of(keys: Sequence[str]) -> list[str]:
    """Return the split of each image by its folders: <split>/<class>/<image>, or <split>/<image> if each is a split.

    It is train, val, test, or another folder's name; "" if the folders do not name splits.
    """
    inner = _inner_folders(keys)
    if all(len(parts) == 1 and split_of(*parts) for parts in inner):
        return [split_of(*parts) for parts in inner]
    return [split_of(parts[0]) or parts[0] if len(parts) == 2 else "" for parts in inner]


def _inner_folders(keys: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the folders of each image, without those that all images share."""
    folders = [PurePosixPath(key).parts[:-1] for key in keys]
    shared = _shared_folders(folders)
    return [parts[shared:] for parts in folders]


def _shared_folders(folders: list[tuple[str, ...]]) -> int:
    """Return how many leading folders all images share, without the folders of the class and the split."""
    shared = 0
    while all(len(parts) > shared + 1 for parts in folders):
        names = {parts[shared] for parts in folders}
        if len(names) > 1 or (split_of(*names) and all(len(parts) == shared + 2 for parts in folders)):
            break
        shared += 1
    return shared
