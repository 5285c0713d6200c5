'''The kinds of corpora of labelled stills. A module is imported only when its kind is used.

A module reads the stills that a network is trained or evaluated on. The project's own are rows of `KINDS`. A module of
another package becomes a kind by an entry point of the group `emopipe.stills` (see `emopipe.core.registry`). `emopipe
kinds` lists them all.

A module has:

- `StillsOptions`: a class derived from `emopipe.stills.base.BaseOptions`; it checks the block `options` of a source.
- `read(path, options)`: returns the `emopipe.stills.base.Stills` of a folder or file: a table, the targets, and a
  function that reads a still by its key. `emopipe.stills.base.stills_from_rows` makes them from a table with the
  corpus' own class names.

A complete module, `mypackage/flat_stills.py`, for images that are called <label>_<number>.png:

    from pathlib import PurePosixPath

    import pandas as pd

    from emopipe.stills.archive import Archive
    from emopipe.stills.base import BaseOptions, stills_from_rows

    class StillsOptions(BaseOptions):
        """The file names contain the classes."""

    def read(path, options):
        archive = Archive(path)  # a folder or a zip file
        keys = archive.images()
        labels = [PurePosixPath(key).name.partition("_")[0] for key in keys]
        rows = pd.DataFrame({"key": keys, "label": labels})
        return stills_from_rows(rows, archive.read_image, options.labels, str(path), classes=options.classes)
'''

import dataclasses
from pathlib import Path

from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES
from emopipe.core.options import Options
from emopipe.core.registry import Registry, Row
from emopipe.stills.base import BaseOptions, Stills

KINDS: dict[str, Row] = {
    "affectnet": Row("emopipe.stills.affectnet"),
    "expw": Row("emopipe.stills.expw"),
    "fer2013": Row("emopipe.stills.fer2013"),
    "ferplus": Row("emopipe.stills.ferplus"),
    "folder": Row("emopipe.stills.folder"),
    "rafdb": Row("emopipe.stills.rafdb"),
    "table": Row("emopipe.stills.table"),
}
"""The project's own kinds."""

REGISTRY = Registry(
    KINDS,
    group="emopipe.stills",
    noun="corpus of stills",
    options="StillsOptions",
    functions=("read",),
    base=BaseOptions,
    error=CorpusError,
)
"""All kinds."""


def list_kinds() -> list[str]:
    """Return the names of all kinds, plug-ins included."""
    return REGISTRY.names()


def module_name(kind: str) -> str:
    """Return the module of a kind, whose code reads the stills.

    Raises:
        CorpusError: There is no such kind.
    """
    return REGISTRY.module_name(kind)


def options_class(kind: str) -> type[Options]:
    """Return the class of the options that a kind of corpus takes.

    Raises:
        CorpusError: There is no such kind, or the module of a plug-in is invalid.
    """
    return REGISTRY.load(kind).StillsOptions


def read(kind: str, path: Path, options: Options) -> Stills:
    """Return the labelled stills of a corpus.

    Raises:
        CorpusError: There is no such kind, the path does not exist, or the corpus is not as its kind expects.
    """
    module = REGISTRY.load(kind)
    if not path.exists():
        raise CorpusError(f"The stills {path} do not exist. Correct the path.")
    found, wanted = module.read(path, options), getattr(options, "classes", CLASSES)
    if not found.classes:  # a plug-in may know the seven classes alone
        own = CLASSES if found.targets.shape[1] == len(CLASSES) != len(wanted) else tuple(wanted)
        found = dataclasses.replace(found, classes=own)
    return found if found.classes == tuple(wanted) else found.in_classes(wanted)
