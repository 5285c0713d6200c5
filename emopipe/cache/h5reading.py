"""Opens HDF5 files for reading, and distinguishes damage of a file from a fault of the machine.

Only damage is a DamagedCacheError, for which the file is put aside. These are not damage: an error that has a number of
the system (no locks, no permission, a disk that does not answer), too little memory, and an h5py that cannot read what
the file's own h5py wrote.
"""

import contextlib
import errno
import io
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from emopipe.core.errors import CacheError, DamagedCacheError, MissingCacheError
from emopipe.core.memory import is_out_of_memory

_ERRORS = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError)
"""What h5py raises for a file that it cannot read, whatever the cause."""
_NUMBER = re.compile(r"\berrno = (\d+)")
"""The system's error number in HDF5's messages. Not all of them are an OSError."""
_VERSION = re.compile(r"\bversion\b")
"""In HDF5's messages about a format that it does not know."""


def open_file(path: Path, mode: str = "r") -> h5py.File:
    """Open an HDF5 file without a lock, which some file systems do not have.

    No lock is needed: a file of the cache is replaced as a whole, so that nobody changes a file that is being read.
    """
    return h5py.File(path, mode, libver="latest" if mode != "r" else None, locking=False)


@contextlib.contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn the errors of h5py into errors that name the file.

    Raises:
        MissingCacheError: The file does not exist.
        DamagedCacheError: It does not hold what was written.
        CacheError: It may not be read, or this h5py cannot read it.
        OSError: The system cannot read it at the moment.
        MemoryError: The memory is too small.
    """
    try:
        yield
    except MemoryError as error:
        if not _asks_for_more_than(path, error):
            raise
        raise _damaged(path, error) from error
    except _ERRORS as error:
        raise _explained(path, error) from error


def _explained(path: Path, error: Exception) -> Exception:
    """Return the error to raise in place of one of h5py's."""
    # 1. What the system refused.
    number = _system_error(error)
    if number in (errno.ENOENT, errno.ENOTDIR):
        return MissingCacheError(path)
    if number in (errno.EACCES, errno.EPERM):
        return CacheError(f"{path} cannot be read ({os.strerror(number)}). Make it readable, then run again.")
    if number is not None:
        return OSError(number, os.strerror(number), str(path))
    if is_out_of_memory(error):
        return MemoryError(f"{path}: {error}")
    # 2. What this h5py cannot do.
    if _VERSION.search(str(error)):
        return CacheError(
            f"{path} has a format that {_library()} does not know ({error}). Probably a newer version wrote it: "
            "install that one. Or delete the file and run again, which makes it again."
        )
    if not _h5py_works():
        return CacheError(
            f"{_library()} cannot read {path} ({error}), and it cannot read a file that it wrote itself either. "
            "Install h5py again (the versions that work are in constraints.txt)."
        )
    # 3. What is left is the file's fault.
    return _damaged(path, error)


def _damaged(path: Path, error: Exception) -> DamagedCacheError:
    return DamagedCacheError(path, f"it is not a whole cache file: {error}")


def _system_error(error: Exception) -> int | None:
    """Return the error number of the system, or None if the system did what HDF5 asked for."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _NUMBER.search(str(error))
    return int(found[1]) if found else None


def _library() -> str:
    return f"h5py {h5py.version.version} with HDF5 {h5py.version.hdf5_version}"


def _h5py_works() -> bool:
    """Return whether h5py reads a small file in memory that it just wrote."""
    rows = np.arange(3)
    try:
        content = io.BytesIO()
        with h5py.File(content, "w", libver="latest") as file:
            file.create_dataset("fields/rows", data=rows, maxshape=(None,), chunks=(2,))
            file.attrs["text"] = "text"
        with h5py.File(content, "r") as file:
            return file.attrs["text"] == "text" and np.array_equal(file["fields/rows"][:], rows)
    except Exception:  # whatever is wrong with it
        return False


def _asks_for_more_than(path: Path, error: MemoryError) -> bool:
    """Return whether NumPy was asked for an array larger than the file, in which nothing is compressed."""
    if len(error.args) != 2:
        return False
    shape, dtype = error.args
    return math.prod(shape) * np.dtype(dtype).itemsize > path.stat().st_size
