"""Write files atomically (a reader sees the whole file or none), and compute checksums of files."""

import contextlib
import glob
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

CACHES = Path("cache")
"""The folder of all caches, in the working folder: one subfolder a corpus. The workflow can rebuild its files."""
_TEMPORARY = re.compile(r"\.(?P<stem>.+)\.\d+\.tmp(\.[^.]*)?", re.DOTALL)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on failure.

    The temporary name has the suffix of `path`, because libraries choose the format by the suffix.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def temporaries(path: Path) -> list[Path]:
    """Return the temporary files that killed processes left from `replacing(path)`."""
    found = path.parent.glob(f".{glob.escape(path.stem)}.*.tmp{glob.escape(path.suffix)}")
    return [each for each in found if _replaced(each) == path.stem]


def is_temporary(path: Path) -> bool:
    """Return whether a file has the name of a temporary file of `replacing`."""
    return bool(_replaced(path))


def _replaced(path: Path) -> str:
    """Return the stem of the file that a temporary file replaces; "" for any other file."""
    found = _TEMPORARY.fullmatch(path.name)
    return found["stem"] if found else ""


def set_aside(path: Path) -> Path:
    """Rename a damaged file to `<name>.damaged`, so that no job reads it. Return the new path."""
    aside = path.with_name(f"{path.name}.damaged")
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, aside)
    return aside


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Return the SHA-256 checksum of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_at(path: Path, file: IO[str]) -> bool:
    """Return whether an open file is the one that has this path now. A lock on another one keeps nobody out."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
