"""The corpus as it stands on disk now: scanned whenever the workflow is planned."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from emopipe import corpora
from emopipe.cache.status import UNREADABLE
from emopipe.core import tables
from emopipe.core.atomic import CACHES
from emopipe.core.errors import CacheError, CorpusError
from emopipe.core.log import LOGGER, Progress
from emopipe.corpora import demo
from emopipe.corpora.digests import content_digests
from emopipe.workflow.config import Config

LEAST_IN_COMMON = 0.1
"""A corpus that shares a smaller part of its clips with the cache of its name is another corpus."""


def cache_folder(config: Config) -> Path:
    """Where the corpus' cache is."""
    return CACHES / config.corpus.name


def clip_table(config: Config) -> Path:
    """Where the corpus stage writes the clip table."""
    return cache_folder(config) / "clips.csv"


def clips_root(config: Config) -> Path:
    """The folder to which the clip table's paths are relative."""
    if config.corpus.kind == "demo":
        return cache_folder(config) / "clips"
    return Path(config.corpus_root).expanduser()


def scan(config: Config) -> pd.DataFrame:
    """The clip table with content digests.

    A clip's digest is remembered with its size and times in the cache, so that only new and changed files are read.

    Raises:
        CorpusError: The corpus is not as its adapter expects, or the cache of its name holds another corpus.
    """
    options = corpora.options_class(config.corpus.kind).model_validate(config.corpus.options)
    root = clips_root(config)
    if config.corpus.kind == "demo":
        table = demo.scan(root, options)
    else:
        table = corpora.scan(config.corpus.kind, root, options)
        table = content_digests(root, table, cache_folder(config) / "digests.csv", progress=_Reading())
    _refuse_another(config, table)
    return table


class _Reading:
    """Says how far the first reading of a corpus is."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def __call__(self, done: int, total: int) -> None:
        self._progress = self._progress or Progress("reading the corpus", total)
        self._progress.advance()


def recorded(config: Config) -> pd.DataFrame | None:
    """The clip table as the corpus stage wrote it; None where it has not run, or the table is damaged.

    For jobs on a cluster's nodes, where Snakemake plans anew. The run that sent them has scanned the corpus; a scan by
    each of them would be one a job.
    """
    return _remembered(clip_table(config))


def _remembered(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame | None:
    """The clip table, or these columns of it, where it is only a memory: the corpus itself tells what it has told."""
    if not path.is_file():
        return None
    try:
        return tables.read(path, columns)
    except CacheError:
        LOGGER.warning(
            f"{path} is damaged, so the corpus alone tells which clips there are. Delete it, to make it anew."
        )
        return None


def _refuse_another(config: Config, table: pd.DataFrame) -> None:
    cached_path = clip_table(config)
    # The demo is drawn anew when its drawing changes: its clips keep their names, not their content.
    key = "clip" if config.corpus.kind == "demo" else "digest"
    if (remembered := _remembered(cached_path, [key])) is None:
        return
    cached, found = (set(clips[key]) - {UNREADABLE} for clips in (remembered, table))
    if len(cached & found) < LEAST_IN_COMMON * min(len(cached), len(found)):
        raise CorpusError(
            f"{cached_path.parent} is the cache of another corpus: {len(cached & found)} of its {len(cached)} clips "
            f"are among the {len(found)} clips in {clips_root(config)}. Give this corpus a name of its own "
            "(corpus.name), or delete that folder."
        )
