"""Stage corpus: the corpus folder -> the clip table and its shards; the demo corpus is drawn first."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from emopipe.core import tables
from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.workflow import resharding, sharding


def run(recipe: Mapping[str, Any], table: pd.DataFrame, clips: Path, shards: Sequence[Path]) -> None:
    """Write the clip table and its shards, and record their checksums and their number in the cache.

    If the cache had another number of shards, its rows are moved to the new ones.

    Args:
        recipe: `Plan.corpus`.
        table: The clip table, as it was scanned.
        clips: The whole table's file to make, in the corpus' cache.
        shards: The files to make of the shards that have clips; a file's stem is the shard's name.

    Raises:
        CorpusError: A clip belongs to a shard that had no clips when the workflow was planned.
    """
    # 1. The tables.
    parts = sharding.cut(table, recipe["shards"])
    _refuse_late_clips(parts, {path.stem for path in shards})
    for path in shards:
        tables.write(parts.get(path.stem, table.iloc[:0]), path)
    tables.write(table, clips)
    tables.seal([clips, *shards])
    # 2. What the cache has already.
    cache, count = clips.parent, recipe["shards"]
    split = sharding.recorded(cache)
    if split is None or split.shards != count:
        for old in set(clips.parent.glob("shards/*.csv")) - set(shards):
            old.unlink()
        resharding.move_rows(cache, table, count)
    # 3. The number of shards, last: if the job is killed before, the next one moves the other rows.
    is_split_again = split is None or split.shards != count or sharding.has_grown(split, len(table))
    sharding.record(cache, count, len(table) if is_split_again else split.clips)


def _refuse_late_clips(parts: Mapping[str, pd.DataFrame], shards: Collection[str]) -> None:
    late = [clip for name, part in parts.items() if name not in shards for clip in part["clip"]]
    if late:
        raise CorpusError(
            f"The clips {abbreviate(late)} were added to the corpus while the run was starting. Run again to include "
            "them."
        )
