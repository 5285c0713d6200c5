"""Finding media files below a folder, by file name alone; no file is opened."""

import os
from collections.abc import Collection
from pathlib import Path

from emopipe.core.errors import CorpusError

# fmt: off
VIDEO: frozenset[str] = frozenset({
    ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv",
    ".ts", ".vob", ".webm", ".wmv",
})
AUDIO: frozenset[str] = frozenset({
    ".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".wma",
})
# fmt: on


def media_files(folder: Path, extensions: Collection[str]) -> list[Path]:
    """Return all files with one of the extensions at any depth, sorted; hidden files and folders are ignored.

    Links to folders are followed, because large corpora are often spread over several disks. Circular links are not.

    Args:
        folder: Where to search.
        extensions: Such as ".mp4", in lower case; files may have them in any case.

    Raises:
        CorpusError: A folder cannot be read.
    """
    found: list[Path] = []
    for here, folders, names in os.walk(folder, onerror=_refuse_unreadable, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".") and not _is_circular(Path(here), name)]
        found += [
            Path(here, name)
            for name in names
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in extensions
        ]
    return sorted(found, key=lambda path: path.parts)  # the order of paths, without their slow comparison


def _refuse_unreadable(error: OSError) -> None:
    raise CorpusError(
        f"The folder {error.filename} cannot be read ({error.strerror}). Make it readable, then run again."
    ) from error


def _is_circular(here: Path, name: str) -> bool:
    """Return whether a folder is a link to one of the folders that contain it."""
    path = here / name
    if not path.is_symlink():
        return False
    target = path.resolve()
    return any(folder.resolve().is_relative_to(target) for folder in (here, *here.parents))
