"""Which files below a folder are media; the names alone decide, nothing is opened."""

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
    """All files with one of the extensions at any depth, sorted; hidden files and folders are passed over.

    Raises:
        CorpusError: a folder cannot be read.
    """
    found: list[Path] = []
    for here, folders, names in os.walk(folder, onerror=_unreadable, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".") and not _loops(Path(here), name)]
        found += [
            Path(here, name)
            for name in names
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in extensions
        ]
    return sorted(found, key=lambda path: path.parts)  # the order of paths, without their slow comparison


def _loops(here: Path, name: str) -> bool:
    """Corpora are often linked together out of several disks, so links are followed, but not in circles."""
    path = here / name
    if not path.is_symlink():
        return False
    target = path.resolve()
    return any(folder.resolve().is_relative_to(target) for folder in (here, *here.parents))


def _unreadable(error: OSError) -> None:
    raise CorpusError(f"The folder {error.filename} cannot be read ({error.strerror}): make it readable.") from error
