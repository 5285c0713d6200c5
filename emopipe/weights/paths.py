"""Where weights lie: those of the package within it, the others in one folder."""

import os
from pathlib import Path

from emopipe.weights.entries import Entry, Registry

VARIABLE = "EMOPIPE_WEIGHTS"
"""The environment variable that names the folder."""


def folder() -> Path:
    """The folder of fetched weights: what EMOPIPE_WEIGHTS names, else `weights/` in the working directory."""
    return Path(os.environ.get(VARIABLE) or "weights")


def path_of(entry: Entry, registry: Registry) -> Path:
    """Where an entry's file belongs, whether or not it is there."""
    return (registry.files if entry.shipped else folder()) / entry.file


def entry_at(path: Path | str, registry: Registry) -> Entry | None:
    """The entry whose file belongs at this path; None where it is somebody's own."""
    wanted = os.path.abspath(path)
    return next((entry for entry in registry if os.path.abspath(path_of(entry, registry)) == wanted), None)
