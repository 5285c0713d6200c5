"""One file per kind of corpus, which turns a folder into the clip table; loaded only when asked for."""

import difflib
import importlib
from pathlib import Path
from types import ModuleType

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.options import Options
from emopipe.corpora.table import check

# A module has `class CorpusOptions(Options)` and `scan(root, options) -> pd.DataFrame`.
KINDS: dict[str, str] = {
    "afew": "emopipe.corpora.afew",
    "cremad": "emopipe.corpora.cremad",
    "demo": "emopipe.corpora.demo",
    "emodb": "emopipe.corpora.emodb",
    "folder": "emopipe.corpora.folder",
    "ravdess": "emopipe.corpora.ravdess",
    "table": "emopipe.corpora.tabular",
}


def options_class(kind: str) -> type[Options]:
    """The options that a kind of corpus takes.

    Raises:
        CorpusError: the kind is unknown.
    """
    return _module(kind).CorpusOptions


def scan(kind: str, root: Path, options: Options) -> pd.DataFrame:
    """The checked clip table of the corpus in the folder root, without digests.

    Raises:
        CorpusError: the kind is unknown, the folder is missing, or the corpus is not as its kind expects.
    """
    module = _module(kind)
    if not root.is_dir():
        found = "is a file; unpack it to a folder, then" if root.is_file() else "does not exist:"
        raise CorpusError(f"The corpus folder {root} {found} correct its path (in a config, corpus_root).")
    return check(module.scan(root, options), root, subjects_apart=getattr(options, "subjects_apart", True))


def _module(kind: str) -> ModuleType:
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f"did you mean {near[0]}?" if near else "choose one of them."
        raise CorpusError(f"The corpus kind {kind!r} is unknown, expected one of {', '.join(KINDS)}: {hint}")
    return importlib.import_module(KINDS[kind])
