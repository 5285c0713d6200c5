"""Split a corpus into shards. Their number is chosen once for each cache; another number would recompute everything."""

from pathlib import Path

import pandas as pd

from emopipe.core.atomic import write_text
from emopipe.core.errors import CacheError
from emopipe.core.hashing import bucket

MAX_CLIPS = 512
"""Clips in a shard, at most (on average): a shard is what one job works on, and what is lost if the job is killed."""
MIN_SHARDS = 8
"""A small corpus has as many shards as this, so that several processors can work on it."""


def automatic(clips: int) -> int:
    """Return how many shards a corpus of this many clips is split into: a power of two.

    >>> automatic(773), automatic(4096), automatic(4097), automatic(1_000_000)
    (8, 8, 16, 2048)
    """
    needed = -(-clips // MAX_CLIPS)
    return max(MIN_SHARDS, 1 << max(0, needed - 1).bit_length())


def cut(table: pd.DataFrame, count: int) -> list[pd.DataFrame]:
    """Return the clip table's shards, in the order of their numbers; a hash of a clip's id chooses its shard."""
    numbers = table["clip"].map(lambda clip: bucket(clip, count))
    parts = dict(iter(table.groupby(numbers)))
    return [parts.get(number, table.iloc[:0]) for number in range(count)]


def record(cache: Path, count: int) -> None:
    """Record a cache's number of shards.

    The file is not an output of any rule, because Snakemake deletes outputs before it runs a job again.
    """
    write_text(_record_file(cache), f"{count}\n")


def recorded(cache: Path) -> int | None:
    """Return how many shards a corpus' cache has; None if the cache does not exist yet.

    Raises:
        CacheError: The recorded number is not a number.
    """
    path = _record_file(cache)
    try:
        text = path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise CacheError(
            f"{path} holds {text!r}, but it should hold the number of shards of this cache. There are "
            f"{len(list(path.parent.glob('*.csv')))} tables of shards beside it: write their number into the file, or "
            "set `shards` in the config."
        )
    return int(text)


def _record_file(cache: Path) -> Path:
    return cache / "shards" / "count"
