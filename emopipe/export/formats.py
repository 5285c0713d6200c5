"""The formats that `emopipe export` writes: name -> module; a module is imported when its format is used.

A module has one function:

    write(run: Path, out: Path) -> list[str]

`run` is the folder of a finished run, `out` the path to write, which does not exist, or which the user allowed to
replace. It returns remarks for the user, one sentence each. It writes all or nothing.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from emopipe.core.errors import ConfigError

FORMATS: Mapping[str, str] = {
    "bundle": "emopipe.export.bundle",
}
"""Name, as `--to` takes it -> module."""


def load(name: str) -> ModuleType:
    """Import the module of a format.

    Raises:
        ConfigError: There is no such format.
    """
    if name not in FORMATS:
        raise ConfigError(f"--to is {name!r}. Expected one of {', '.join(FORMATS)}.")
    return importlib.import_module(FORMATS[name])


def refuse_taken(out: Path, *, force: bool) -> None:
    """Refuse a path at which there is a file, or a folder with content, unless the user allows to replace it.

    Raises:
        ConfigError: The path is taken.
    """
    is_free = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    if not is_free and not force:
        raise ConfigError(f"--out is {out}, which exists already. Give another path, or add --force to replace it.")
