"""Stage corpus: the corpus folder -> the clip table and its shards; the demo corpus is drawn first."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from emopipe import tables
from emopipe.hashing import bucket


def run(recipe: Mapping[str, Any], table: pd.DataFrame, clips: Path, shards: Sequence[Path]) -> None:
    """Write the clip table and its parts.

    Args:
        recipe: `Plan.corpus`.
        table: The clip table, as it was scanned.
        clips: The whole table's file to make.
        shards: The parts' files to make, in the order of their numbers; a clip's part is a hash of its id.
    """
    number = table["clip"].map(lambda clip: bucket(clip, recipe["shards"]))
    for index, path in enumerate(shards):
        tables.write(table[number == index], path)
    tables.write(table, clips)
