"""Lists that corpora are published with, and the videos that they name: both are found at any depth, by their names."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora.cells import Cells, read_cells
from emopipe.corpora.files import look, media_files


def find(root: Path, pattern: str, corpus: str, expected: str) -> Path:
    """Return the only CSV file below a folder whose path, relative to it and with slashes, matches a pattern.

    Args:
        root: The corpus folder.
        pattern: A regular expression that is searched in the path, without regard to case.
        corpus: The corpus' name, for messages.
        expected: Where the list stands as it is published, for messages.

    Raises:
        CorpusError: There is no such file, or several.
    """
    files = [file.relative_to(root).as_posix() for file in media_files(root, {".csv"})]
    found = [file for file in files if re.search(pattern, file, re.IGNORECASE)]
    if not found:
        has = f"has the CSV files {abbreviate(files)}" if files else "has no CSV file"
        raise CorpusError(
            f"The corpus folder {root} {has}. Expected the list {expected} of {corpus}, at any depth. Put it there, or "
            "set corpus_root to the folder that contains it."
        )
    if len(found) > 1:
        raise CorpusError(
            f"The corpus folder {root} has {len(found)} lists of {corpus} of the same name: {abbreviate(found)}. "
            f"Expected one {expected}. Move the others out of the corpus folder."
        )
    return root / found[0]


def read(file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a list with commas, as column -> cell.

    Raises:
        CorpusError: It cannot be read, or lacks one of the columns.
    """
    cells = read_cells(file, ",")
    _refuse_absent_columns(cells, columns, file)
    return [dict(zip(cells.header, row, strict=True)) for row in cells.rows]


def _refuse_absent_columns(cells: Cells, columns: Sequence[str], file: Path) -> None:
    absent = [column for column in columns if column not in cells.header]
    if absent:
        raise CorpusError(
            f"The list {file} has the columns {abbreviate(cells.header, limit=8) or 'none'}. Expected "
            f"{', '.join(columns)} among them. Use the list as it is published."
        )


def videos(root: Path, folder: str, corpus: str) -> list[Path]:
    """Return the videos below the folders of a name, at any depth below the corpus folder, or in one of that name.

    Args:
        root: The corpus folder.
        folder: The name, or a path such as `Clip/original`, in any case; empty: all videos.
        corpus: The corpus' name, for messages.

    Returns:
        Paths relative to root, sorted.

    Raises:
        CorpusError: There are none. The message says where videos are, and what to do with folders of frames.
    """
    taken = look(root)
    files = [file.relative_to(root) for file in taken.paths(["video"])]
    wanted = f"/{folder.strip('/')}/".casefold() if folder else "/"
    found = [file for file in files if wanted in f"/{root.name}/{file.parent.as_posix()}/".casefold()]
    if found:
        return found
    expected = f"Expected the videos of {corpus} below a folder {folder}." if folder else f"Expected those of {corpus}."
    if files:
        folders = sorted({file.parent.as_posix() for file in files})
        raise CorpusError(
            f"The corpus folder {root} has videos in the folders {abbreviate(folders)}. {expected} Set clips in the "
            "corpus options to the folder that has them."
        )
    if pictures := taken.paths(["image"]):
        raise CorpusError(
            f"The corpus folder {root} has no video, but {len(pictures)} pictures, such as "
            f"{pictures[0].relative_to(root)}. {expected} This kind does not read folders of frames: name them in "
            "a table (corpus kind table), or join the frames of each folder to a video that has the folder's name."
        )
    raise CorpusError(f"The corpus folder {root} has no video. {expected} Check corpus_root.")


def refuse_without_file(listed: Collection[str], present: Collection[str], root: Path, corpus: str) -> None:
    """Raise a CorpusError if a list names clips that have no file.

    Args:
        listed: The names of the clips in the lists.
        present: The names of those that have a file.
        root: The corpus folder.
        corpus: The corpus' name.
    """
    absent = sorted(set(listed) - set(present))
    if absent:
        raise CorpusError(
            f"The lists of {corpus} name {len(set(listed))} clips, and {len(absent)} of them have no file in {root}: "
            f"{abbreviate(absent)}. Expected a file for each. Unpack all clips there."
        )
