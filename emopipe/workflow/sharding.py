"""Split a corpus into shards: one job works on one shard.

Their number is chosen when a cache is made, and again when the corpus has grown tenfold.
"""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from emopipe.core.atomic import write_text
from emopipe.core.errors import CacheError
from emopipe.core.hashing import bucket
from emopipe.corpora import times

MAX_CLIPS = 512
"""Clips in a shard, at most (on average): a shard is what one job works on, and what is lost if the job is killed."""
MIN_CLIPS = 8
"""Clips in a shard, at least (on average): to start a job takes longer than to work on fewer clips."""
CLUSTER_SHARDS, CLUSTER_CLIPS = 8, 64
"""On a cluster, the number of shards of a corpus that needs no more, and the clips in each of them, at least: there, a
job also waits in a queue and plans the workflow again."""
GROWTH = 10
"""A corpus that is this many times as large as when it was split is split again."""


class Split(NamedTuple):
    """How a cache was split."""

    shards: int
    """The number of shards."""
    clips: int
    """The number of clips at that time."""


def automatic(clips: int, cores: int | None) -> int:
    """Return how many shards a new corpus of this many clips is split into.

    Args:
        clips: The number of clips.
        cores: CPU cores that jobs may use together; None on a cluster, where this number means nothing.

    >>> [automatic(clips, cores=4) for clips in (13, 1000, 4097, 1_000_000)]
    [1, 4, 16, 2048]
    >>> [automatic(clips, cores=None) for clips in (100, 773, 4097)]
    [1, 8, 16]
    """
    most, least_clips = (CLUSTER_SHARDS, CLUSTER_CLIPS) if cores is None else (cores, MIN_CLIPS)
    needed = -(-clips // MAX_CLIPS)
    return max(1 << max(0, needed - 1).bit_length(), min(most, clips // least_clips))


def choose(cache: Path, clips: int, cores: int | None) -> int:
    """Return the number of shards of a cache: the recorded one or, if it is new or has grown, the automatic one.

    Args:
        cache: The corpus' cache.
        clips: The number of clips now.
        cores: As in `automatic`.

    Raises:
        CacheError: The recorded number is not a number.
    """
    split = recorded(cache)
    if split is None:
        return automatic(clips, cores)
    return max(split.shards, automatic(clips, cores)) if has_grown(split, clips) else split.shards


def has_grown(split: Split, clips: int) -> bool:
    """Return whether a corpus of this many clips is so much larger than when it was split that it is split again."""
    return clips >= GROWTH * split.clips


def names(count: int) -> list[str]:
    """Return the names of all shards.

    >>> names(3)
    ['00', '01', '02']
    """
    width = max(2, len(str(count - 1)))
    return [f"{number:0{width}d}" for number in range(count)]


def cut(table: pd.DataFrame, count: int) -> dict[str, pd.DataFrame]:
    """Return name -> clip table of each shard that has clips, in order; a hash of a clip's id chooses its shard.

    Parts of one file are in one shard, so that they are decoded in one pass: a hash of the file's path chooses it.
    """
    keys = table["clip"].where(~times.is_part(table), table["path"])
    numbers = keys.map(lambda key: bucket(key, count))
    every = names(count)
    return {every[number]: part for number, part in table.groupby(numbers)}


def record(cache: Path, shards: int, clips: int) -> None:
    """Record how a cache is split: into how many shards, and how many clips it had when this number was chosen.

    The file is not an output of any rule, because Snakemake deletes outputs before it runs a job again.
    """
    write_text(_record_file(cache), f"{shards} {clips}\n")


def recorded(cache: Path) -> Split | None:
    """Return how a corpus' cache is split; None if the cache does not exist yet.

    Raises:
        CacheError: The recorded numbers are not numbers.
    """
    path = _record_file(cache)
    try:
        text = path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None
    words = text.split()
    if not all(word.isdecimal() and int(word) for word in words) or len(words) not in (1, 2):
        raise CacheError(
            f"{path} holds {text!r}, but it should hold the number of shards of this cache and of its clips. There are "
            f"{len(list(path.parent.glob('*.csv')))} tables of shards beside it: write their number into the file, or "
            "set `shards` in the config."
        )
    shards = int(words[0])
    # Release 0.1.0 recorded only the number of shards, which was enough for so many clips.
    return Split(shards, int(words[1]) if len(words) == 2 else shards * MAX_CLIPS)


def _record_file(cache: Path) -> Path:
    return cache / "shards" / "count"
