"""The paths of weights: files of the package are inside it, all others are in one folder."""

import os
from pathlib import Path

from emopipe.weights.entries import Entry, Registry

VARIABLE = "EMOPIPE_WEIGHTS"
"""The environment variable that names the folder of downloaded weights."""


def folder() -> Path:
    """Return the folder of downloaded weights: EMOPIPE_WEIGHTS. Default: `weights/` in the working directory."""
    return Path(os.environ.get(VARIABLE) or "weights")


def path_of(entry: Entry, registry: Registry) -> Path:
    """Return the path of an entry's file, whether or not it exists."""
    return (registry.files if entry.shipped else folder()) / entry.file


def entry_at(path: Path | str, registry: Registry) -> Entry | None:
    """Return the entry whose file has this path, or None if it is a user's own file."""
    wanted = os.path.abspath(path)
    return next((entry for entry in registry if os.path.abspath(path_of(entry, registry)) == wanted), None)
