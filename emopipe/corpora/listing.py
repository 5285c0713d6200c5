"""A user's own table of clips, whatever its columns are called: which column holds what."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora import times
from emopipe.corpora.cells import SUFFIXES, read_cells
from emopipe.corpora.classes import is_class
from emopipe.corpora.files import AUDIO, VIDEO
from emopipe.corpora.frames import is_folder
from emopipe.corpora.spelling import on_disk
from emopipe.corpora.splits import split_of
from emopipe.media.frame_folders import RATE
from emopipe.media.pairs import SOUND_FILE

NAMES: dict[str, tuple[str, ...]] = {
    "path": ("path", "file", "filename", "filepath", "video", "audio", "clip"),
    "label": ("label", "emotion", "class", "category"),
    "split": ("split", "set", "partition", "subset", "fold"),
    "subject": ("subject", "speaker", "actor", "person", "participant"),
    "start": ("start", "begin", "onset", "start_time", "starttime", "begin_time"),
    "end": ("end", "stop", "offset", "end_time", "endtime", "stop_time"),
}
"""Column that emopipe reads -> common names of it, the likeliest first. Of times, other names than the first mean parts
of a file only where several rows name one file: elsewhere, they may say what a clip was cut from."""

OWN = ("clip", SOUND_FILE, "digest", times.FILE_DIGEST, RATE)
"""Further columns that emopipe reads or fills."""


@dataclass(frozen=True)
class Listing:
    """A table as it was read: texts by column."""

    file: Path
    separator: str
    columns: dict[str, list[str]]

    def candidates(self, column: str, is_label: Callable[[str], bool] = is_class) -> list[str]:
        """Return the user's columns that may be a column of emopipe's, the likeliest first.

        A column of paths, labels or splits is known by its cells, one of subjects or times by its name. `is_label` says
        whether a cell may be a label.
        """
        is_one: dict[str, Callable[[str], bool]] = {
            "path": self._is_clip,
            "label": lambda cell: not cell or is_label(cell),
            "split": lambda cell: bool(split_of(cell)),
            "subject": bool,
            "start": lambda cell: not cell or times.is_time(cell),
            "end": lambda cell: not cell or times.is_time(cell),
        }
        fits = [name for name, cells in self.columns.items() if any(cells) and all(map(is_one[column], cells))]
        known = NAMES[column]
        if column in ("subject", *times.COLUMNS):
            fits = [name for name in fits if name.casefold() in known]
        return sorted(fits, key=lambda name: known.index(name.casefold()) if name.casefold() in known else len(known))

    def _is_clip(self, cell: str) -> bool:
        known = Path(cell).suffix.lower() in VIDEO | AUDIO or (self.file.parent / cell).is_file()
        return known or is_folder(self.file.parent, cell)

    def repeats(self, column: str) -> bool:
        """Return whether several rows have the same cell in a column."""
        return len(set(self.columns[column])) < len(self.columns[column])

    def is_read_as_it_is(self, chosen: dict[str, str]) -> bool:
        """Return whether the kind `table` reads the file itself: its separator, and the names of these columns."""
        own = all(name == column for column, name in chosen.items()) and "" not in self.columns
        absolute = any(Path(path).is_absolute() for path in self.columns[chosen["path"]])
        return own and not absolute and self.separator in SUFFIXES.get(self.file.suffix.lower(), "")

    def root(self, path: str) -> Path:
        """Return the folder that paths in the column `path` are relative to: the table's, the current, or a common one.

        Raises:
            CorpusError: The files are in none of them.
        """
        files = self.columns[path]
        if all(os.path.isabs(file) for file in files):
            return Path(os.path.commonpath([os.path.dirname(file) for file in files]))
        places = [self.file.absolute().parent, Path.cwd()]
        for place in places:
            if (place / on_disk(place, files[:1])[0]).exists():
                return place
        raise CorpusError(
            f"The file {files[0]}, which the column {path} of {self.file} names, is neither in {places[0]} nor in "
            f"{places[1]}. Put the table into the folder that its paths begin in, or start `emopipe init` there."
        )

    def rows(self, chosen: dict[str, str], root: Path) -> list[list[str]]:
        """Return a header with emopipe's own names, and the rows; paths are relative to `root`.

        Other columns, such as sex or votes_Happy, follow as they are, unless emopipe would take them for its own.

        If several files have the same name, a column `clip` has their paths, so that each clip has its own id. Parts
        of files have ids of their own without it.
        """
        paths = [os.path.relpath(root / path, root) for path in on_disk(root, self.columns[chosen["path"]])]
        columns = {column: self.columns[name] for column, name in chosen.items()} | {"path": paths}
        starts, ends = (columns.get(name, [""] * len(paths)) for name in times.COLUMNS)
        whole = [not (start or end) for start, end in zip(starts, ends, strict=True)]
        stems = [Path(path).stem for path, is_whole in zip(paths, whole, strict=True) if is_whole]
        if len(set(stems)) < len(stems):
            ids = [str(Path(path).with_suffix("")).replace("/", "__") for path in paths]
            columns["clip"] = [clip if is_whole else "" for clip, is_whole in zip(ids, whole, strict=True)]
        others = set(self.columns) - {*chosen.values(), *NAMES, *OWN, *columns, ""}
        columns |= {name: cells for name, cells in self.columns.items() if name in others}
        return [list(columns), *map(list, zip(*columns.values(), strict=True))]


def read(file: Path) -> Listing:
    """Return a table of clips; the separator is that of its header: comma, tab or semicolon.

    Raises:
        CorpusError: The file is not a table in UTF-8, has no rows, or has rows of different lengths.
    """
    cells = read_cells(file, ",\t;")
    found = "" if cells.rows else "it has no rows"
    if len(set(cells.header)) < len(cells.header):
        found = "two columns have the same name"
    if found:
        raise CorpusError(
            f"The table {file} cannot be used: {found}. Expected a header of different names, and a row for each clip. "
            "Correct it."
        )
    columns = dict(zip(cells.header, map(list, zip(*cells.rows, strict=True)), strict=True))
    return Listing(file, cells.separator, columns)


def refuse_without(listing: Listing, column: str, candidates: Sequence[str]) -> None:
    """Raise a CorpusError if no column of the user's may be the one that emopipe needs."""
    if candidates:
        return
    expected = {
        "path": f"files such as a.mp4 (known suffixes: {abbreviate(sorted(VIDEO | AUDIO), limit=50)})",
        "label": "classes alone, such as Happy or sadness (emopipe/corpora/classes.py lists all names), or columns "
        "votes_<class>. Classes of your own, several classes with ; between them, and columns of numbers have to be "
        "named, such as --labels bored,engaged or --labels valence,arousal",
    }[column]
    raise CorpusError(
        f"No column of the table {listing.file} can be the {column}; its columns are "
        f"{abbreviate(list(listing.columns), limit=8)}. Expected one with {expected}. Correct the cells, or add one."
    )
