"""Drop the pictures of a cache: sampled frames and crops of faces, which take nearly all of its space.

What was made from them stays valid. So a file without its pictures stays at its path, with its time stamp and all else
that it holds: sound, boxes, landmarks, statuses. Two attributes of the file say so:

    dropped    the field whose rows were removed
    drops      how often that has happened; a file that is made again keeps the number (see `emopipe.workflow.pictures`)
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emopipe.cache.store import DROPPED, DROPS, Reader, Writer, attributes

PICTURES = {"media": "jpeg", "faces": "crop"}
"""Stage -> the field that holds its pictures."""
OF_THE_ROWS = ("clips_digest", "index_digest")
"""Attributes that the writer computes from the rows."""


@dataclass(frozen=True)
class Droppable:
    """A file whose pictures can be dropped."""

    path: Path
    field: str
    """The field that holds them."""
    bytes: int
    """Their size."""


def droppable(cache: Path) -> list[Droppable]:
    """Return the files of media and faces in a corpus' cache whose pictures can be dropped.

    These are files from which faces or vectors of exactly the same clips have been made. Pictures from which nothing
    has been made yet are needed by the next run.
    """
    used = {"media": _made_from(cache, "faces", "media"), "faces": _made_from(cache, "features", "source")}
    return [
        Droppable(path, field, size)
        for stage, field in PICTURES.items()
        for path in _shards(cache, stage)
        if _identity(path) in used[stage] and (size := _bytes_of(path, field))
    ]


def drop(path: Path, field: str) -> None:
    """Rewrite a file without the rows of the field that holds its pictures. The file's times stay as they are.

    Raises:
        CacheError: As `Reader`.
    """
    times = path.stat()
    with Reader(path) as reader:
        about = {name: value for name, value in reader.attributes.items() if name not in OF_THE_ROWS}
        with Writer(path, reader.fields, stage=about["stage"], recipe=json.loads(about["recipe"])) as writer:
            for row in reader.rows():
                writer.add(replace(row, arrays={name: rows for name, rows in row.arrays.items() if name != field}))
            writer.note(**{**about, DROPPED: field, DROPS: drops(about) + 1})
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def are_dropped(found: Mapping[str, Any]) -> bool:
    """Return whether a file with these attributes has lost its pictures."""
    return bool(found.get(DROPPED))


def drops(found: Mapping[str, Any]) -> int:
    """Return how often the pictures of a file with these attributes have been dropped, also before it was remade."""
    return int(found.get(DROPS, 0))


def _shards(cache: Path, stage: str) -> Iterator[Path]:
    """Yield the files of a stage's shards, `<preset>/<shard>.h5`; links, and what is behind them, are omitted."""
    for path in sorted((cache / stage).glob("*/*.h5")):
        if path.stem.isdigit() and path.is_file() and path.resolve() == cache.resolve() / path.relative_to(cache):
            yield path


def _identity(path: Path) -> tuple[str, str, str]:
    """Return what a file stands for: its shard, the digest of its recipe and that of its clips."""
    found = attributes(path)
    return path.stem, str(found.get("recipe_digest", "")), str(found.get("clips_digest", ""))


def _made_from(cache: Path, stage: str, key: str) -> set[tuple[str, str, str]]:
    """Return the identities of the files that the files of a stage were made from, as their recipes name them."""
    made = set()
    for path in _shards(cache, stage):
        found = attributes(path)
        source = json.loads(found.get("recipe", "{}")).get(key, "")
        made.add((path.stem, source, str(found.get("clips_digest", ""))))
    return made


def _bytes_of(path: Path, field: str) -> int:
    with Reader(path) as reader:
        return reader.field_bytes(field) if field in reader.fields else 0
