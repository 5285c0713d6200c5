"""Any stills whose folders are their classes: <split>/<class>/<picture> or <class>/<picture>, in a folder or a zip."""

from pathlib import Path, PurePosixPath

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora.splits import split_of
from emopipe.stills.archive import Archive
from emopipe.stills.base import BaseOptions, Stills, labelled


class StillsOptions(BaseOptions):
    """Folders say everything."""


def read(path: Path, options: StillsOptions) -> Stills:
    """The stills of a folder or zip; folders above those of splits or classes are passed over.

    Raises:
        CorpusError: No pictures, pictures outside of class folders, or an unknown class.
    """
    archive = Archive(path)
    return labelled(rows_of(archive), archive.picture, options.labels, str(path))


def rows_of(archive: Archive) -> pd.DataFrame:
    """Columns key, label (the class' folder) and split (train, val or test; another folder's name as it is, or "").

    Raises:
        CorpusError: No pictures, or pictures outside of class folders.
    """
    keys = archive.pictures()
    if not keys:
        raise CorpusError(
            f"No pictures were found in {archive.path}, where <class>/<picture> was expected: check the path."
        )
    folders = [PurePosixPath(key).parts[:-1] for key in keys]
    shared = _shared(folders)
    inner = [parts[shared:] for parts in folders]
    depths = {len(parts) for parts in inner}
    stray = [key for key, parts in zip(keys, inner, strict=True) if len(parts) not in (1, 2)]
    if stray or len(depths) > 1:
        odd = stray or [key for key, parts in zip(keys, inner, strict=True) if len(parts) != max(depths)]
        raise CorpusError(
            f"The pictures {abbreviate(odd)} in {archive.path} do not lie as the others do, where all were expected in "
            "<class>/<picture> or all in <split>/<class>/<picture>: move them there."
        )
    splits = [parts[0] if len(parts) == 2 else "" for parts in inner]
    return pd.DataFrame(
        {
            "key": keys,
            "label": [parts[-1] for parts in inner],
            "split": [split_of(split) or split for split in splits],
        }
    )


def _shared(folders: list[tuple[str, ...]]) -> int:
    """How many leading folders all pictures share; the class' folder itself is not counted, nor is a split's."""
    shared = 0
    while all(len(parts) > shared + 1 for parts in folders):
        names = {parts[shared] for parts in folders}
        if len(names) > 1 or (split_of(*names) and all(len(parts) == shared + 2 for parts in folders)):
            break
        shared += 1
    return shared
