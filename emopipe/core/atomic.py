"""Files that appear whole or not at all, and the digests of files."""

import contextlib
import fnmatch
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

CACHES = Path("cache")
"""In the working folder: a folder for each corpus, with what the workflow can make anew."""
_TEMPORARY = re.compile(r"\.(?P<stem>.+)\.\d+\.tmp(\.[^.]*)?", re.DOTALL)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; on success it is renamed to `path`, on failure it is removed.

    The temporary name keeps the suffix, because libraries choose formats by it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def temporaries(path: Path) -> list[Path]:
    """What `replacing(path)` left behind where its process was killed; `path`'s stem may be a pattern."""
    found = path.parent.glob(f".{path.stem}.*.tmp{path.suffix}")
    return [each for each in found if is_temporary(each) and fnmatch.fnmatchcase(_replaced(each), path.stem)]


def is_temporary(path: Path) -> bool:
    """Whether a file is one that `replacing` writes, or left behind."""
    return bool(_replaced(path))


def _replaced(path: Path) -> str:
    """The stem of the file that a temporary one was to replace; "" where it is none."""
    found = _TEMPORARY.fullmatch(path.name)
    return found["stem"] if found else ""


def set_aside(path: Path) -> Path:
    """Rename a damaged file so that nothing takes it for a good one; its new name."""
    aside = path.with_name(f"{path.name}.damaged")
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, aside)
    return aside


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text by rename."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
