"""Lists that corpora are published with, and the videos that they name: both are found at any depth, by their names."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora.cells import Cells, read_cells
from emopipe.corpora.files import look, media_files


def find(root: Path, pattern: str, corpus: str, expected: str, suffix: str = ".csv") -> Path:
    """Return the only file below a folder whose path, relative to it and with slashes, matches a pattern.

    Args:
        root: The corpus folder.
        pattern: A regular expression that is searched in the path, without regard to case.
        corpus: The corpus' name, for messages.
        expected: Where the list stands as it is published, for messages.
        suffix: The suffix of the file, in lower case.

    Raises:
        CorpusError: There is no such file, or several.
    """
    found = maybe(root, pattern, corpus, expected, suffix)
    if found is None:
        files = [file.relative_to(root).as_posix() for file in media_files(root, {suffix})]
        kind = suffix[1:].upper()
        has = f"has the {kind} files {abbreviate(files)}" if files else f"has no {kind} file"
        raise CorpusError(
            f"The corpus folder {root} {has}. Expected the list {expected} of {corpus}, at any depth. Put it there, or "
            "set corpus_root to the folder that contains it."
        )
    return found


def maybe(root: Path, pattern: str, corpus: str, expected: str, suffix: str = ".csv") -> Path | None:
    """Return the only file that `find` would, or None if there is none.

    Raises:
        CorpusError: There are several.
    """
    files = [file.relative_to(root).as_posix() for file in media_files(root, {suffix})]
    found = [file for file in files if re.search(pattern, file, re.IGNORECASE)]
    if len(found) > 1:
        raise CorpusError(
            f"The corpus folder {root} has {len(found)} lists of {corpus} of the same name: {abbreviate(found)}. "
            f"Expected one {expected}. Move the others out of the corpus folder."
        )
    return root / found[0] if found else None


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
        CorpusError: There are none. The message says where videos are.
    """
    taken = look(root)
    files = [file.relative_to(root) for file in taken.paths(["video"])]
    found = [file for file in files if _is_below(file, folder, root)]
    if not found:
        raise _nothing(root, folder, corpus, files, taken.paths(["image"]))
    return found


def clips(root: Path, folder: str, corpus: str) -> dict[Path, str | None]:
    """Return the videos and the folders of frames below the folders of a name; see `videos`.

    Returns:
        Path relative to root -> the sound file of a folder of frames, or "" if it has none; None for a video. Sorted.

    Raises:
        CorpusError: There are none. The message says where videos and folders of frames are.
    """
    taken = look(root, is_clip=lambda here, _: here != str(root))
    found: dict[Path, str | None] = {file.relative_to(root): None for file in taken.paths(["video"])}
    for frames, sound in taken.frames.items():
        found[Path(frames).relative_to(root)] = Path(sound).relative_to(root).as_posix() if sound else ""
    wanted = sorted(path for path in found if _is_below(path, folder, root))
    if not wanted:
        raise _nothing(root, folder, corpus, sorted(found), taken.paths(["image"]))
    return {path: found[path] for path in wanted}


def by_stem(found: Iterable[Path], root: Path, corpus: str) -> dict[str, str]:
    """Return the name of each clip, without suffix -> its path with slashes.

    Raises:
        CorpusError: Two have the same name.
    """
    paths: dict[str, str] = {}
    for file in found:
        if file.stem in paths:
            raise CorpusError(
                f"The clip {file.stem} of {corpus} is in {root} twice: {paths[file.stem]} and {file.as_posix()}. "
                "Expected one file for each clip. Move the others out of the corpus folder."
            )
        paths[file.stem] = file.as_posix()
    return paths


def sounds_of(found: Mapping[Path, str | None]) -> dict[str, str]:
    """Return folder of frames -> its sound file, or "", of what `clips` found, as `with_frames` takes it."""
    return {path.as_posix(): sound for path, sound in found.items() if sound is not None}


def _is_below(path: Path, folder: str, root: Path) -> bool:
    wanted = f"/{folder.strip('/')}/".casefold() if folder else "/"
    return wanted in f"/{root.name}/{path.parent.as_posix()}/".casefold()


def _nothing(root: Path, folder: str, corpus: str, others: Sequence[Path], pictures: Sequence[Path]) -> CorpusError:
    """Return the error on a folder without clips, with what there is in its place."""
    expected = f"Expected the videos of {corpus} below a folder {folder}." if folder else f"Expected those of {corpus}."
    if others:
        folders = sorted({path.parent.as_posix() for path in others})
        return CorpusError(
            f"The corpus folder {root} has videos in the folders {abbreviate(folders)}. {expected} Set clips in the "
            "corpus options to the folder that has them."
        )
    if pictures:
        return CorpusError(
            f"The corpus folder {root} has no video, but {len(pictures)} pictures, such as "
            f"{pictures[0].relative_to(root)}. {expected} Folders of frames need numbered pictures that differ in "
            "their number alone. Name such folders in a table (corpus kind table), or join the frames to videos."
        )
    return CorpusError(f"The corpus folder {root} has no video. {expected} Check corpus_root.")


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
