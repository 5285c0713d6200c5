"""Partial outputs: the hidden folder `.NAME.parts` beside a file that a job makes.

It holds what an interrupted job has computed so far. The next job reuses it, and removes it once the file is whole.
"""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from emopipe.core.atomic import temporaries
from emopipe.core.errors import CacheError
from emopipe.core.log import LOGGER


@contextlib.contextmanager
def partial_folder(path: Path) -> Iterator[Path]:
    """Hold the folder for partial outputs of `path`; it is removed when the context ends without an exception.

    Only one process can hold it at a time, so a job of a killed run and the next job never mix. The lock ends with its
    process. Temporary files that a killed process left are removed first.

    Raises:
        CacheError: Another process makes `path`.
    """
    folder = _folder(path)
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / "lock"
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CacheError(
                f"Another process is making {path} at this moment, perhaps a job that outlived its run. Wait for it or "
                "stop it, then run again."
            ) from None
        except OSError as error:  # a file system without locks
            LOGGER.warning(f"{lock} cannot be locked ({error.strerror}). Make sure that no other run makes {path}.")
        for orphan in [*temporaries(path), *folder.glob(".*.tmp.*")]:
            orphan.unlink(missing_ok=True)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


def parts_of(path: Path) -> list[Path]:
    """Return the partial files of `path`, in the order in which they were made."""
    return sorted(part for part in _folder(path).glob("*.h5") if part.stem.isdigit())


def next_part(path: Path) -> Path:
    """Return the name of the next partial file of `path`."""
    number = 1 + max((int(part.stem) for part in parts_of(path)), default=-1)
    return _folder(path) / f"{number:06d}.h5"


def _folder(path: Path) -> Path:
    return path.parent / f".{path.stem}.parts"
