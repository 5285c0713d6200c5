"""Stage corpus: the corpus folder -> the clip table and its shards; the demo corpus is drawn first."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from emopipe.core import tables
from emopipe.workflow import sharding


def run(recipe: Mapping[str, Any], table: pd.DataFrame, clips: Path, shards: Sequence[Path]) -> None:
    """Write the clip table and its shards, and record their checksums and their number in the cache.

    Args:
        recipe: `Plan.corpus`.
        table: The clip table, as it was scanned.
        clips: The whole table's file to make, in the corpus' cache.
        shards: The shards' files to make, in the order of their numbers; a hash of a clip's id chooses its shard.
    """
    for part, path in zip(sharding.cut(table, recipe["shards"]), shards, strict=True):
        tables.write(part, path)
    tables.write(table, clips)
    tables.seal([clips, *shards])
    sharding.record(clips.parent, recipe["shards"])
