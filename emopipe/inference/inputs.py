"""The inputs of a prediction: files, folders, glob patterns and tables become a list of files."""

import glob
from collections.abc import Iterable
from pathlib import Path

from emopipe.core.errors import CorpusError
from emopipe.corpora.cells import SUFFIXES, read_cells
from emopipe.corpora.files import clip_files
from emopipe.corpora.spelling import on_disk

KINDS = ("video", "audio", "image")
"""The files of a folder that are taken."""


def expand(inputs: str | Path | Iterable[str | Path]) -> list[str]:
    """Return the files that the inputs name, in their order, each once.

    A folder stands for all its videos, images and sound files, at any depth. A pattern such as `clips/*.mp4` stands for
    the files that match. A .csv or .tsv file stands for the files of its column `path`, relative to its own folder. Any
    other name is a file, and it need not exist: its answer says so.

    Raises:
        CorpusError: There are no inputs; a folder or a pattern holds none; or a table has no column `path`.
    """
    given = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    found = [file for name in given for file in _files(str(name))]
    if not found:
        raise CorpusError("No input was given. Expected files, folders, patterns or tables of videos, images or sound.")
    return list(dict.fromkeys(found))


def _files(name: str) -> list[str]:
    path = Path(name).expanduser()
    if path.is_dir():
        found = [str(file) for file in clip_files(path, KINDS)]
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


def _listed(table: Path) -> list[str]:
    cells = read_cells(table, SUFFIXES[table.suffix.lower()])
    if "path" not in cells.header:
        raise CorpusError(
            f"The table {table} has no column path. Its columns are: {', '.join(cells.header)}. Name the column that "
            "holds the files path."
        )
    column = cells.header.index("path")
    names = [row[column] for row in cells.rows if row[column]]
    return [str(table.parent / name) for name in on_disk(table.parent, names)]
