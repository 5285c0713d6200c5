"""Drop the pictures of a cache: sampled frames and crops of faces, which take nearly all of its space.

What was made from them stays valid. A media file is deleted, like a temporary output; its statuses are in a file of
their own. A file of faces stays at its path, with its time stamp, but without crops, because the report reads the
statuses in it. Two attributes of the file say so:

    dropped    names of the fields whose rows were removed
    drops      how often that has happened; a file that is made again keeps the number (see `emopipe.workflow.pictures`)
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emopipe.cache.store import DROPPED, DROPS, Reader, Writer, attributes

PICTURES = "crop"
"""The field of a file of faces that holds its pictures."""
OF_THE_ROWS = ("clips_digest", "index_digest")
"""Attributes that the writer computes from the rows."""


@dataclass(frozen=True)
class Dropped:
    """A file whose pictures can be dropped."""

    path: Path
    frees: int
    """Bytes of its pictures, at least."""


def droppable(cache: Path) -> tuple[list[Dropped], list[Dropped]]:
    """Return the media files and the files of faces of a corpus' cache whose pictures can be dropped.

    These are files from which faces or vectors of exactly the same clips have been made. Pictures from which nothing
    has been made yet are needed by the next run.
    """
    vectors = _made_from(cache / "features", "source")
    used_media = vectors | _made_from(cache / "faces", "media")
    media = [
        Dropped(path, path.stat().st_size)
        for path in _shards(cache / "media")
        if path.with_suffix(".status.h5").is_file() and _identity(path) in used_media
    ]
    faces = [
        Dropped(path, frees)
        for path in _shards(cache / "faces")
        if _identity(path) in vectors and (frees := _bytes_of_pictures(path))
    ]
    return media, faces


def drop_crops(path: Path) -> None:
    """Rewrite a file of faces without its crops. Boxes, landmarks, statuses and the file's times stay as they are.

    Raises:
        CacheError: As `Reader`.
    """
    times = path.stat()
    with Reader(path) as reader:
        about = {name: value for name, value in reader.attributes.items() if name not in OF_THE_ROWS}
        with Writer(path, reader.fields, stage=about["stage"], recipe=json.loads(about["recipe"])) as writer:
            for row in reader.rows():
                writer.add(replace(row, arrays={n: rows for n, rows in row.arrays.items() if n != PICTURES}))
            writer.note(**{**about, DROPPED: PICTURES, DROPS: drops(about) + 1})
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def are_dropped(found: Mapping[str, Any]) -> bool:
    """Return whether a file with these attributes has lost its pictures."""
    return bool(found.get(DROPPED))


def drops(found: Mapping[str, Any]) -> int:
    """Return how often the pictures of a file with these attributes have been dropped, also before it was remade."""
    return int(found.get(DROPS, 0))


def _shards(folder: Path) -> Iterator[Path]:
    """Yield the files of shards, `<preset>/<shard>.h5`, in a stage's folder; links that lead elsewhere are omitted."""
    for path in sorted(folder.glob("*/*.h5")):
        if path.stem.isdigit() and path.is_file() and path.resolve() == folder.resolve() / path.relative_to(folder):
            yield path


def _identity(path: Path) -> tuple[str, str, str]:
    """Return what a file stands for: its shard, the digest of its recipe and that of its clips."""
    found = attributes(path)
    return path.stem, str(found.get("recipe_digest", "")), str(found.get("clips_digest", ""))


def _made_from(folder: Path, key: str) -> set[tuple[str, str, str]]:
    """Return the identities of the files that the files of a stage were made from, as their recipes name them."""
    made = set()
    for path in _shards(folder):
        found = attributes(path)
        source = json.loads(found.get("recipe", "{}")).get(key, "")
        made.add((path.stem, source, str(found.get("clips_digest", ""))))
    return made


def _bytes_of_pictures(path: Path) -> int:
    with Reader(path) as reader:
        return int(reader.field_bytes(PICTURES)) if PICTURES in reader.fields else 0
