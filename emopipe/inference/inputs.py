"""The inputs of a prediction: files, folders, glob patterns and tables become a list of files."""

import glob
import math
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.corpora import times
from emopipe.corpora.cells import SUFFIXES, read_cells
from emopipe.corpora.files import look
from emopipe.corpora.picture_sizes import one_size
from emopipe.corpora.spelling import on_disk
from emopipe.media.decoded import Span
from emopipe.media.frame_folders import Frames

KINDS = ("video", "audio", "image")
"""The files of a folder that are taken."""
_FRAGMENT = re.compile(r"(.+)#t=([0-9.:]*)(?:,([0-9.:]+))?")


def expand(inputs: str | Path | Iterable[str | Path]) -> list[str]:
    """Return the files that the inputs name, in their order, each once.

    A folder of frames is a clip (see `is_clip`). Another folder stands for all its clips, at any depth: videos, images,
    sound files and folders of frames. A pattern such as `clips/*.mp4` stands for
    the files that match. A .csv or .tsv file stands for the files of its column `path`, relative to its own folder;
    with columns `start` and `end`, for these parts of them: `talk.mp4#t=12.5,20` (see `part_of`). Any other name is a
    file, or a part of one, and it need not exist: its answer says so.

    Raises:
        CorpusError: There are no inputs; a folder or a pattern holds none; a table has no column `path`, or has wrong
            times.
    """
    given = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    found = [file for name in given for file in _files(str(name))]
    if not found:
        raise CorpusError("No input was given. Expected files, folders, patterns or tables of videos, images or sound.")
    return list(dict.fromkeys(found))


def _files(name: str) -> list[str]:
    path = Path(name).expanduser()
    if path.is_dir():
        taken = look(path, is_clip=is_clip)
        taken.report(path, KINDS)
        found = [str(file) for file in sorted([*taken.paths(KINDS), *map(Path, taken.frames)], key=_parts)]
        if not found:
            raise CorpusError(
                f"The folder {name} holds no video, image or sound file that is known by its suffix or by its first "
                "bytes. Give the files themselves; then any content is tried."
            )
        return found
    if path.suffix.lower() in SUFFIXES:
        return _listed(path)
    if not path.exists() and glob.has_magic(name):
        found = sorted(glob.glob(str(path), recursive=True))
        if not found:
            raise CorpusError(f"No file matches {name}. Correct the pattern.")
        return [file for match in found for file in _files(match)]
    return [str(path)]


def is_clip(folder: str, frames: Frames) -> bool:
    """Return whether a folder of numbered images is one clip: numbered from 0 or 1, none missing, of one size.

    Any other images are inputs of their own.
    """
    return frames.has_all and one_size(Path(folder, name) for name in frames.names)


def _parts(path: Path) -> tuple[str, ...]:
    return path.parts


def _listed(table: Path) -> list[str]:
    cells = read_cells(table, SUFFIXES[table.suffix.lower()])
    if "path" not in cells.header:
        raise CorpusError(
            f"The table {table} has no column path. Its columns are: {', '.join(cells.header)}. Name the column that "
            "holds the files path."
        )
    first = {name: number for number, name in reversed([*enumerate(cells.header)])}  # of columns of one name
    rows = pd.DataFrame({name: [row[number] for row in cells.rows] for name, number in first.items()}, dtype=str)
    rows = times.normalised(rows, [f"row {number} ({path}) of {table}" for number, path in enumerate(rows["path"], 2)])
    parts = zip(
        on_disk(table.parent, rows["path"]),
        *(rows[name] if name in rows else [""] * len(rows) for name in times.COLUMNS),
        strict=True,
    )
    return [times.fragment(str(table.parent / name), start, end) for name, start, end in parts if name]


def part_of(name: str) -> tuple[Path, Span | None]:
    """Return the file of an input, and the part of it that a media fragment names; None: the whole file.

    A file whose own name ends like that is meant itself.

    >>> part_of("talk.mp4#t=12.5,1:00"), part_of("talk.mp4#t=12.5")[1], part_of("talk.mp4")[1]
    ((PosixPath('talk.mp4'), Span(start=12.5, end=60.0)), Span(start=12.5, end=inf), None)
    """
    found = _FRAGMENT.fullmatch(name)
    if found is None or Path(name).exists():
        return Path(name), None
    try:
        span = Span(times.seconds(found[2] or "0"), times.seconds(found[3]) if found[3] else math.inf)
    except ValueError:
        return Path(name), None
    return (Path(found[1]), span) if span.start < span.end else (Path(name), None)
