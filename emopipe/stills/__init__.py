"""One file per kind of corpus of labelled stills, which a network can be pretrained on or evaluated with."""

import difflib
import importlib
from pathlib import Path
from types import ModuleType

from emopipe.core.errors import CorpusError
from emopipe.core.options import Options
from emopipe.stills.base import Stills

# A module has `class StillsOptions(BaseOptions)` and `read(path, options) -> Stills`.
KINDS: dict[str, str] = {
    "affectnet": "emopipe.stills.affectnet",
    "expw": "emopipe.stills.expw",
    "fer2013": "emopipe.stills.fer2013",
    "ferplus": "emopipe.stills.ferplus",
    "folder": "emopipe.stills.folder",
    "rafdb": "emopipe.stills.rafdb",
}


def options_class(kind: str) -> type[Options]:
    """The options that a kind of corpus takes.

    Raises:
        CorpusError: The kind is unknown.
    """
    return _module(kind).StillsOptions


def read(kind: str, path: Path, options: Options) -> Stills:
    """The labelled stills of a corpus.

    Raises:
        CorpusError: The kind is unknown, nothing is there, or the corpus is not as its kind expects.
    """
    module = _module(kind)
    if not path.exists():
        raise CorpusError(f"The stills {path} do not exist: correct the path.")
    return module.read(path, options)


def _module(kind: str) -> ModuleType:
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f"did you mean {near[0]}?" if near else "choose one of them."
        raise CorpusError(f"The kind of stills {kind!r} is unknown, expected one of {', '.join(KINDS)}: {hint}")
    return importlib.import_module(KINDS[kind])
