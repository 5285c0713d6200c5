"""Move the rows of a cache whose corpus is split into another number of shards, so that nothing is computed again.

Each stage has one file a shard. With another number of shards, most clips belong to another shard. Their rows are moved
to where the next job of that shard looks for rows of interrupted jobs: its partial outputs (`emopipe.cache.partial`).
The job takes over those whose recipe is still current.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from emopipe.cache.partial import next_part
from emopipe.cache.store import Reader, Row, Writer
from emopipe.core.errors import CacheError, DamagedCacheError
from emopipe.core.log import LOGGER
from emopipe.workflow import sharding

STAGES = ("media", "faces", "features")
"""Folders of a cache: `<stage>/<preset>/<shard>.h5`."""
OF_THE_ROWS = ("clips_digest", "index_digest")
"""Attributes of a cache file that depend on its rows; all others say what made it."""


def move_rows(cache: Path, table: pd.DataFrame, count: int) -> None:
    """Move all rows that are not in the shard of their clip; rows of clips that left the corpus are removed with them.

    If this is interrupted, the next call does the rest. Files that cannot be read stay as they are.

    Args:
        cache: The corpus' cache.
        table: The clip table.
        count: The number of shards.
    """
    parts = sharding.cut(table, count)
    homes = {clip: name for name, part in parts.items() for clip in part["clip"]}
    for folder in (folder for stage in STAGES for folder in sorted((cache / stage).glob("*")) if folder.is_dir()):
        LOGGER.info(f"{folder}: the rows are moved to {count} shards")
        for path in (path for path in folder.glob("*.status.h5") if path.name.split(".")[0] not in parts):
            path.unlink()  # it has no rows to move, and no job makes it again
        for path, shard in _files(folder):
            try:
                _move(path, shard, homes, folder)
            except CacheError as error:
                LOGGER.warning(f"{error} Its rows are not taken over.")


def _files(folder: Path) -> list[tuple[Path, str]]:
    """Return the files of rows, and the shard of each: whole ones, and what interrupted jobs left."""
    whole = [path for path in sorted(folder.glob("*.h5")) if re.fullmatch(r"\d+", path.stem)]
    parts = [path for path in sorted(folder.glob(".*.parts/*.h5")) if re.fullmatch(r"\d+", path.stem)]
    return [(path, path.stem) for path in whole] + [(path, path.parent.name.split(".")[1]) for path in parts]


def _move(path: Path, shard: str, homes: Mapping[str, str], folder: Path) -> None:
    """Move the rows of one file, unless all its clips belong to this shard."""
    with Reader(path) as reader:
        found = {clip: homes.get(clip) for clip in reader.clips}
        if set(found.values()) <= {shard}:
            return
        for home in sorted(set(filter(None, found.values()))):
            rows = _whole(reader, (clip for clip in reader.clips if found[clip] == home))
            _write_part(folder / f"{home}.h5", reader, rows)
    path.unlink()  # only now: if the job is killed before, rows are there twice, which does no harm


def _whole(reader: Reader, clips: Iterable[str]) -> Iterator[Row]:
    """Yield the rows that are not damaged."""
    for clip in clips:
        try:
            yield reader[clip]
        except DamagedCacheError as error:
            LOGGER.warning(f"{error} The clip is computed again.")


def _write_part(output: Path, reader: Reader, rows: Iterable[Row]) -> None:
    """Write rows as a partial output, made by what made the file that they come from."""
    about = {name: value for name, value in reader.attributes.items() if name not in OF_THE_ROWS}
    part = next_part(output)
    part.parent.mkdir(exist_ok=True)
    with Writer(part, reader.fields, stage=about["stage"], recipe=json.loads(about["recipe"])) as writer:
        for row in rows:
            writer.add(row)
        writer.note(**about)
