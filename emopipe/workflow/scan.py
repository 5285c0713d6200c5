"""Scan the corpus: the clip table as the files on disk give it now. This is done each time the workflow is planned."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from emopipe import corpora
from emopipe.cache.status import UNREADABLE
from emopipe.core import tables
from emopipe.core.atomic import CACHES
from emopipe.core.errors import CacheError, CorpusError
from emopipe.core.log import LOGGER, Progress
from emopipe.corpora import demo, duplicates, times
from emopipe.corpora.digests import content_digests
from emopipe.corpora.labelling import labelled
from emopipe.workflow.config import Config

MIN_SHARED = 0.1
"""A corpus that shares a smaller part of its clips with the cache of its name is treated as another corpus."""


def cache_folder(config: Config) -> Path:
    """Return the folder of the corpus' cache."""
    return CACHES / config.corpus.name


def clip_table(config: Config) -> Path:
    """Return the path of the clip table, which the corpus stage writes."""
    return cache_folder(config) / "clips.csv"


def duplicates_table(config: Config) -> Path:
    """Return the path of the table of clips that share their content, which exists only if there are any."""
    return cache_folder(config) / duplicates.FILE


def _index(config: Config) -> Path:
    return cache_folder(config) / "digests.csv"


def clips_root(config: Config) -> Path:
    """Return the folder to which the paths in the clip table are relative."""
    if config.corpus.kind == "demo":
        return cache_folder(config) / "clips"
    return Path(config.corpus_root).expanduser()


def scan(config: Config) -> pd.DataFrame:
    """Return the clip table of the corpus, with a digest of each clip's content.

    The cache stores each digest with the size and times of its file, so that only new and changed files are read.

    Raises:
        CorpusError: The corpus does not have the form that its adapter expects, the cache of its name belongs to
            another corpus, or files of the same content are clips of different splits or labels.
    """
    table, root = clips(config), clips_root(config)
    if config.corpus.kind != "demo":
        table = content_digests(root, table, _index(config), progress=_ReadingProgress())
    _refuse_another_corpus(config, table)
    if config.corpus.kind != "demo":
        table = duplicates.resolve(table, root, config.corpus.duplicates, duplicates_table(config))
    return table


def without_duplicates(config: Config, table: pd.DataFrame) -> pd.DataFrame:
    """Return a clip table without digests, less the clips that `corpus.duplicates` omits; nothing is written.

    Raises:
        CorpusError: Files of the same content are clips of different splits or labels, which the config refuses.
    """
    if config.corpus.kind == "demo":
        return table
    found = duplicates.with_possible_digests(table, clips_root(config), _index(config))
    return duplicates.resolve(found, clips_root(config), config.corpus.duplicates).drop(columns="digest")


def clips(config: Config) -> pd.DataFrame:
    """Return the clip table of the corpus without digests, except the demo's; no clip is opened.

    Raises:
        CorpusError: The corpus does not have the form that its adapter expects.
    """
    options, labelling = config.corpus_options, config.labelling
    if config.corpus.kind == "demo":
        return labelled(demo.scan(clips_root(config), options), labelling).reset_index(drop=True)
    return corpora.scan(config.corpus.kind, clips_root(config), options, labelling=labelling)


class _ReadingProgress:
    """Logs the progress of reading files; logs nothing if there is none to read."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def __call__(self, done: int, total: int) -> None:
        self._progress = self._progress or Progress("reading the corpus", total)
        self._progress.advance()


def _refuse_another_corpus(config: Config, table: pd.DataFrame) -> None:
    """Raise a CorpusError if the clips in the cache of this name are those of another corpus."""
    # The demo's clips keep their names, not their content, when the options of the drawing change.
    keys = ["clip"] if config.corpus.kind == "demo" else [times.FILE_DIGEST, "digest"]
    if (cached := _read_clip_table(config, keys)) is None:
        return
    # The times of parts of files may change: what counts is whether the files are the same.
    before, now = (set(clips[next(key for key in keys if key in clips)]) - {UNREADABLE} for clips in (cached, table))
    if len(before & now) < MIN_SHARED * min(len(before), len(now)):
        raise CorpusError(
            f"{cache_folder(config)} is the cache of another corpus: {len(before & now)} of its {len(before)} clips "
            f"are among the {len(now)} clips in {clips_root(config)}. Give this corpus a name of its own "
            "(corpus.name), or delete that folder."
        )


def recorded(config: Config) -> pd.DataFrame | None:
    """Return the clip table that the corpus stage wrote; None if it has not run, or if the table is damaged.

    This is for jobs on the nodes of a cluster, where Snakemake plans again: the run that submitted them has already
    scanned the corpus, and one more scan for each job would be slow.
    """
    return _read_clip_table(config)


def _read_clip_table(config: Config, columns: Sequence[str] | None = None) -> pd.DataFrame | None:
    """Read the clip table, or those of some columns that it has.

    Returns:
        None (and a warning, if it is damaged) if that is not possible.
    """
    path = clip_table(config)
    if not path.is_file():
        return None
    try:
        if columns is not None:
            with path.open(encoding="utf-8", errors="surrogateescape") as file:
                header = file.readline().strip().replace('"', "").split(",")
            columns = [column for column in columns if column in header] or columns
        return tables.read(path, columns)
    except CacheError:
        LOGGER.warning(f"{path} is damaged and was ignored; the corpus was scanned again. Delete it to rebuild it.")
        return None
