"""Partial outputs: the hidden folder `.NAME.parts` beside a file that a job makes.

It holds what an interrupted job has computed so far. The next job reuses it, and removes it once the file is whole.
"""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from emopipe.core.atomic import is_at, temporaries
from emopipe.core.errors import CacheError
from emopipe.core.log import LOGGER

LOCK = "lock"
"""The file in the folder that is locked."""
ATTEMPTS = 100
"""How often a lock is tried whose file its last holder removes at the same moment."""


@contextlib.contextmanager
def partial_folder(path: Path) -> Iterator[Path]:
    """Hold the folder for partial outputs of `path`; it is removed when the context ends without an exception.

    Only one process can hold it at a time, so a job of a killed run and the next job never mix. The lock ends with its
    process. Temporary files that a killed process left are removed first.

    Raises:
        CacheError: Another process makes `path`.
    """
    folder = _folder(path)
    with _locked(folder / LOCK, path):
        for orphan in [*temporaries(path), *folder.glob(".*.tmp.*")]:
            orphan.unlink(missing_ok=True)
        yield folder
        _remove(folder)


def _locked(lock: Path, path: Path) -> IO[str]:
    """Return the open and locked file `lock`, which is made together with its folder."""
    for _ in range(ATTEMPTS):
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            file = open(lock, "w")  # noqa: SIM115 - it is returned open
        except (FileNotFoundError, FileExistsError):  # its holder is just removing the folder
            if lock.parent.is_file():
                raise
            continue
        fault = _fault(file, path)
        # If the holder removed the file after it was opened here, another process may have locked a new file.
        if is_at(lock, file):
            if fault:
                LOGGER.warning(f"{lock} cannot be locked ({fault}). Make sure that no other run makes {path}.")
            return file
        file.close()
    raise CacheError(
        f"{lock} was removed {ATTEMPTS} times while it was being locked. Stop all other runs that make {path}, then "
        "run again."
    )


def _fault(file: IO[str], path: Path) -> str:
    """Lock an open file. Return why that is not possible, "" if it is locked."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise CacheError(
            f"Another process is making {path} at this moment, perhaps a job that outlived its run. Wait for it or "
            "stop it, then run again."
        ) from None
    except OSError as error:  # a file system without locks
        return error.strerror
    return ""


def _remove(folder: Path) -> None:
    """Remove the folder, the lock last: the next process may enter as soon as the lock does not exist."""
    with contextlib.suppress(OSError):  # the file is made, and the next process may have entered already
        for entry in folder.iterdir():
            if entry.name != LOCK:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        (folder / LOCK).unlink()
        folder.rmdir()


def parts_of(path: Path) -> list[Path]:
    """Return the partial files of `path`, in the order in which they were made."""
    return sorted(part for part in _folder(path).glob("*.h5") if part.stem.isdigit())


def next_part(path: Path) -> Path:
    """Return the name of the next partial file of `path`."""
    number = 1 + max((int(part.stem) for part in parts_of(path)), default=-1)
    return _folder(path) / f"{number:06d}.h5"


def _folder(path: Path) -> Path:
    return path.parent / f".{path.stem}.parts"
