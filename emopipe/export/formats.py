"""The formats that `emopipe export` writes: name -> module; a module is imported when its format is used.

A module has one function:

    write(run: Path, out: Path) -> list[str]

`run` is the folder of a finished run, `out` the path to write, which does not exist, or which the user allowed to
replace. It returns remarks for the user, one sentence each. It writes all or nothing.

If a module has OPTIONS, a tuple of names such as `("model", "features", "media")`, it takes these options of the
command, and `write` gets those that the user gives by their names: `model` a list of names, `features` True, `media` a
text.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from emopipe.core.errors import ConfigError

FORMATS: Mapping[str, str] = {
    "bundle": "emopipe.export.bundle",
    "csv": "emopipe.export.csv_tables",
    "parquet": "emopipe.export.parquet_tables",
    "elan": "emopipe.export.elan",
    "fiftyone": "emopipe.export.fiftyone",
    "hf-dataset": "emopipe.export.hf_dataset",
    "label-studio": "emopipe.export.label_studio",
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
