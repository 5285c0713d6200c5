"""Into how many parts a corpus is cut: as many as it needs when its cache is begun, and no other number after that."""

from pathlib import Path

import pandas as pd

from emopipe.core.atomic import write_text
from emopipe.core.errors import CacheError
from emopipe.core.hashing import bucket

CLIPS = 512
"""The most clips in a shard, give or take the chance of hashes: a job's work, and what is lost with a job."""
FEWEST = 8
"""A small corpus too is cut into so many, so that several processors have something to do."""


def automatic(clips: int) -> int:
    """How many shards a corpus of so many clips is cut into: a power of two.

    >>> automatic(773), automatic(4096), automatic(4097), automatic(1_000_000)
    (8, 8, 16, 2048)
    """
    needed = -(-clips // CLIPS)
    return max(FEWEST, 1 << max(0, needed - 1).bit_length())


def recorded(cache: Path) -> int | None:
    """How many shards a corpus' cache has; None where it was never begun.

    Raises:
        CacheError: What the cache says of it is no number.
    """
    path = _record(cache)
    try:
        text = path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise CacheError(
            f"{path} holds {text!r}, where the cache's number of shards was expected: write it there or set `shards` "
            f"in the config ({len(list(path.parent.glob('*.csv')))} tables of shards stand beside that file)."
        )
    return int(text)


def record(cache: Path, count: int) -> None:
    """Note a cache's number of shards, in no job's output: those are deleted before the job runs again."""
    write_text(_record(cache), f"{count}\n")


def cut(table: pd.DataFrame, count: int) -> list[pd.DataFrame]:
    """The clip table's parts, in the order of their numbers; a clip's part is a hash of its id."""
    numbers = table["clip"].map(lambda clip: bucket(clip, count))
    parts = dict(iter(table.groupby(numbers)))
    return [parts.get(number, table.iloc[:0]) for number in range(count)]


def _record(cache: Path) -> Path:
    return cache / "shards" / "count"
