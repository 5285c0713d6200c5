"""Paths that tables give, as the file system spells them."""

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath


def on_disk(root: Path, paths: Iterable[str]) -> list[str]:
    """Return paths of a table as the file system spells them; a path that is not found stays as it is.

    A path as it stands comes first. Then backslashes are read as slashes, and names are compared by their normalised
    form (NFC), because some systems write an umlaut as one character and some as two. A path is found in this way only
    if a single file fits.
    """
    listings: dict[str, dict[str, list[str]]] = {}  # folder -> normalised name -> names
    found = []
    for path in paths:
        forward = path if os.path.lexists(root / path) else path.replace("\\", "/")
        if path and not os.path.lexists(root / forward):
            forward = _by_normal_form(root, forward, listings) or forward
        found.append(forward)
    return found


def _by_normal_form(root: Path, path: str, listings: dict[str, dict[str, list[str]]]) -> str:
    """Return the path of the only file whose names are the same in normalised form; "" if there is none, or several."""
    parts = PurePosixPath(path).parts
    if path.isascii() or ".." in parts or PurePosixPath(path).is_absolute():
        return ""
    here = ""
    for part in parts:
        if here not in listings:
            listings[here] = _names(root / here)
        names = listings[here].get(unicodedata.normalize("NFC", part), [])
        if len(names) != 1:
            return ""
        here = f"{here}/{names[0]}" if here else names[0]
    return here


def _names(folder: Path) -> dict[str, list[str]]:
    """Return normalised name -> names, for all that is in a folder."""
    names: dict[str, list[str]] = {}
    for name in os.listdir(folder) if folder.is_dir() else ():
        names.setdefault(unicodedata.normalize("NFC", name), []).append(name)
    return names
