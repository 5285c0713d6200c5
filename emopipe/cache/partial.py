"""The hidden folder beside a file in the making, which holds what a job that is cut off leaves to its successor."""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from emopipe.core.atomic import temporaries
from emopipe.core.errors import CacheError
from emopipe.core.log import LOGGER


@contextlib.contextmanager
def folder_for(path: Path) -> Iterator[Path]:
    """A folder for what belongs to the making of `path`; it is removed when the context is left without an exception.

    No two processes have it at once. Files that a killed process was about to rename are cleared away.

    Raises:
        CacheError: Another process is making `path`.
    """
    folder = _folder(path)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / "lock", path):
        for orphan in [*temporaries(path), *folder.glob(".*.tmp.*")]:
            orphan.unlink(missing_ok=True)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


def parts_of(path: Path) -> list[Path]:
    """Files beside `path` that hold rows computed for it, in the order in which they were made."""
    return sorted(part for part in _folder(path).glob("*.h5") if part.stem.isdigit())


def next_part(path: Path) -> Path:
    """Where the next of them goes."""
    number = 1 + max((int(part.stem) for part in parts_of(path)), default=-1)
    return _folder(path) / f"{number:06d}.h5"


def _folder(path: Path) -> Path:
    return path.parent / f".{path.stem}.parts"


@contextlib.contextmanager
def _alone(lock: Path, path: Path) -> Iterator[None]:
    """Hold a lock that vanishes with this process, so that a job of a killed run and its successor never mix."""
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CacheError(
                f"Another process is making {path} just now, perhaps a job that outlived its run: wait for it or stop "
                "it, then run again."
            ) from None
        except OSError as error:  # a file system without locks
            LOGGER.warning(f"{lock} cannot be locked ({error.strerror}): take care that no other run makes {path}.")
        yield
