"""Folders of exports: they appear as a whole or not at all, carry the notice, and have a safe file name per clip."""

import contextlib
import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from emopipe.core.errors import ConfigError
from emopipe.core.notice import NOTICE
from emopipe.corpora.ids import safe_id
from emopipe.export.clip import Clip
from emopipe.export.placing import placing

NOTICE_FILE = "notice.txt"
"""The file that marks a folder as an export: only such a folder is replaced."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")


@contextlib.contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder beside `out` that becomes `out` when all is written; after an error nothing of it remains.

    If `out` ends in .zip, it becomes a zip of the folder.

    Raises:
        ConfigError: `out` is a link, another file than a zip, or a folder with content that is not an export.
    """
    is_zip = out.suffix.lower() == ".zip" and not out.is_dir()
    if out.is_symlink() or (out.exists() and not out.is_dir() and not is_zip):
        raise ConfigError(
            f"--out is {out}, which is a file or a link. Expected a .zip, or a folder that is new, empty or an export."
        )
    with placing(out.absolute(), lambda folder: (folder / NOTICE_FILE).is_file()) as folder:
        (folder / NOTICE_FILE).write_text(f"{NOTICE}\n", encoding="utf-8")
        yield folder


def file_name(clip: str, suffix: str) -> str:
    """Return the name of a clip's file. Different ids give different names, and no name has a slash.

    >>> file_name("happy/s01/take 1", ".eaf"), file_name("..", ".json")
    ('happy%2Fs01%2Ftake 1.eaf', '%2E%2E.json')
    """
    return f"{safe_id(clip)}{suffix}"


def plain(text: str) -> str:
    r"""Return text that any file format holds: control characters, and bytes that are not UTF-8, are written as codes.

    >>> plain("s\udcff\n1")
    's\\xff\\x0a1'
    """
    valid = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", valid)


class FileIndex:
    """The table files.csv, which says what the file of each clip is called; a context manager."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of an export."""
        self._folder = folder

    def __enter__(self) -> Self:
        self._file = (self._folder / "files.csv").open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(["clip", "file", "path", "split", "status"])
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, clip: Clip, suffix: str) -> str:
        """Write the row of a clip, and return the name of its file."""
        name = file_name(clip.id, suffix)
        self._writer.writerow([clip.id, name, plain(clip.path), clip.split, clip.status])
        return name
