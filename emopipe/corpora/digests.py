"""The digest of each clip's content, read again only where the file has changed."""

import hashlib
import logging
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from emopipe.cache.status import UNREADABLE  # also stands for the digest of a file that cannot be read
from emopipe.core import tables
from emopipe.core.errors import CacheError

log = logging.getLogger(__name__)

STAMP: tuple[str, ...] = ("size", "mtime_ns", "ctime_ns")  # what tells that a file is unchanged
INDEX_COLUMNS: tuple[str, ...] = ("path", *STAMP, "digest")

_THREADS = 8  # hashing waits for the disk more than for the processor
_AT_ONCE = 32  # files that a thread takes at once: handing out one by one costs more than hashing a small file
_NOTHING = (-1, -1, -1)  # the stamp of what is no file
_SAVE_SECONDS = 60.0  # so that a first reading that is cut off does not begin anew


def content_digests(
    root: Path,
    table: pd.DataFrame,
    index_path: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """The table with the column `digest`, the SHA-256 of each file's content.

    What was read is remembered in the CSV at `index_path`, so that an unchanged file is not read again; an
    index that cannot be read or written costs time, never the run. `progress(done, total)` is called after
    each file that had to be read. A file that cannot be read has the digest UNREADABLE, which is told and never
    remembered.
    """
    index = _read_index(index_path)
    stamps = _stamps(root, table["path"])
    found = _known(index, table["path"], stamps)
    fresh = np.flatnonzero(found == "")
    made = _digests(root, table["path"].iloc[fresh].tolist())
    saved = time.monotonic()
    for done, (row, digest) in enumerate(zip(fresh, made, strict=True), start=1):
        found[row] = digest
        if progress is not None:
            progress(done, len(fresh))
        if time.monotonic() - saved >= _SAVE_SECONDS and done < len(fresh):
            _write_index(table["path"], stamps, found, index_path)
            saved = time.monotonic()
    if len(fresh) or len(index) > len(table):
        _write_index(table["path"], stamps, found, index_path)
    _warn_of_unreadable(root, table["path"].to_numpy()[found == UNREADABLE], len(table))
    return table.assign(digest=pd.Series(found, index=table.index, dtype=str))


def _warn_of_unreadable(root: Path, paths: np.ndarray, total: int) -> None:
    if len(paths):
        many = f"{len(paths)} of {total}"
        log.warning("%s: %s files cannot be read, such as %r; nothing is learned from them.", root, many, paths[0])


def _stamps(root: Path, paths: Iterable[str]) -> np.ndarray:
    """(N, 3) int64: the columns STAMP of each file."""
    return np.array([_stamp(root, path) for path in paths], np.int64).reshape(-1, len(STAMP))


def _stamp(root: Path, path: str) -> tuple[int, int, int]:
    """Taken before the file is read: a file that changes meanwhile has another stamp the next time.

    _NOTHING where there is nothing to read: a link that leads nowhere, a pipe, a device, which may have no end.
    """
    try:
        status = os.stat(os.path.join(root, path))
    except OSError:
        return _NOTHING
    if not stat.S_ISREG(status.st_mode):
        return _NOTHING
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _known(index: pd.DataFrame, paths: pd.Series, stamps: np.ndarray) -> np.ndarray:
    """(N,) objects: the digests that the index has for files with these stamps, "" where it has none.

    What is no file is known to be UNREADABLE.
    """
    found = np.full(len(paths), "", object)
    if not index.empty:
        place = pd.Index(index["path"]).get_indexer(paths)
        same = (place >= 0) & (index[list(STAMP)].to_numpy()[place] == stamps).all(1)
        found[same] = index["digest"].to_numpy(object)[place[same]]
    found[(stamps == _NOTHING).all(1)] = UNREADABLE
    return found


def _digests(root: Path, paths: list[str]) -> Iterator[str]:
    blocks = [paths[start : start + _AT_ONCE] for start in range(0, len(paths), _AT_ONCE)]
    with ThreadPoolExecutor(_THREADS) as pool:
        for digests in pool.map(lambda block: [_digest(root / path) for path in block], blocks):
            yield from digests


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return UNREADABLE


def _read_index(path: Path) -> pd.DataFrame:
    try:
        rows = tables.read(path, INDEX_COLUMNS)
        return rows.astype(dict.fromkeys(STAMP, "int64")).drop_duplicates("path")
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, OverflowError, CacheError) as error:
        log.warning("The digest index %s is unreadable (%s), so every clip is read again.", path, error)
    return pd.DataFrame(columns=list(INDEX_COLUMNS))


def _write_index(paths: pd.Series, stamps: np.ndarray, digests: np.ndarray, index_path: Path) -> None:
    """Write down the files whose digests are known."""
    columns = {"path": paths.to_numpy(), **dict(zip(STAMP, stamps.T, strict=True)), "digest": digests}
    known = (digests != "") & (digests != UNREADABLE)
    try:
        tables.write(pd.DataFrame(columns)[known].sort_values("path"), index_path)
    except OSError as error:
        log.warning("The digest index %s cannot be written (%s), so the next run reads again.", index_path, error)
