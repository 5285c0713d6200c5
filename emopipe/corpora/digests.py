"""The SHA-256 digest of each clip's file; a file is read again only if it has changed."""

import hashlib
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from emopipe.cache.status import UNREADABLE  # also stands for the digest of a file that cannot be read
from emopipe.core import tables
from emopipe.core.errors import CacheError
from emopipe.corpora import frames, times
from emopipe.media.pairs import SOUND_FILE, sound_files

LOGGER = logging.getLogger(__name__)

STAMP: tuple[str, ...] = ("size", "mtime_ns", "ctime_ns")  # what tells that a file is unchanged
INDEX_COLUMNS: tuple[str, ...] = ("path", *STAMP, "digest")
NO_CONTENT: tuple[str, ...] = ("", UNREADABLE, hashlib.sha256(b"").hexdigest())
"""Digests that say nothing of a content: unknown, unreadable, and that of an empty file."""

_THREADS = 8  # hashing waits for the disk more than for the processor
_FILES_PER_TASK = 32  # a task for each file would cost more than hashing a small file
_NO_FILE = (-1, -1, -1)  # the stamp of what is not a regular file
_SAVE_SECONDS = 60.0  # an interrupted first run loses at most so many seconds of reading


def content_digests(
    root: Path,
    table: pd.DataFrame,
    index_path: Path | None,
    *,
    progress: Callable[[int, int], None] | None = None,
    remember: bool = True,
) -> pd.DataFrame:
    """Return the clip table with the column `digest`, the SHA-256 of each file's content.

    That of a folder of frames is of its frames in their order, and of its rate if one is given.

    That of a part of a file depends on the part's times, too; a table with parts also has the column FILE_DIGEST of
    `emopipe.corpora.times`, the SHA-256 of the whole file.

    Digests are remembered in a CSV file, so that an unchanged file is not read again. If this index cannot be read or
    written, a warning is logged and all files are read. A file that cannot be read has the digest UNREADABLE, which is
    logged and never remembered.

    Args:
        root: The corpus folder.
        table: The clip table.
        index_path: The CSV file of the digests; None: there is none.
        progress: Called as `progress(done, total)` after each file that was read.
        remember: Whether to write the index. False where the table is only a part of the corpus.
    """
    keeps = remember and index_path is not None
    # 1. Digests that the index has for unchanged files. A file may have several clips.
    paths = pd.Series(_files(table), dtype=str)
    index = _read_index(index_path) if index_path is not None else pd.DataFrame(columns=list(INDEX_COLUMNS))
    stamps = np.array([_stamp(root, path) for path in paths], np.int64).reshape(-1, len(STAMP))  # (N, 3)
    found = _known(index, paths, stamps)
    # 2. Digests of the other files.
    missing = np.flatnonzero(found == "")
    digests = _digests(root, paths.iloc[missing].tolist())
    saved = time.monotonic()
    for done, (row, digest) in enumerate(zip(missing, digests, strict=True), start=1):
        found[row] = digest
        if progress is not None:
            progress(done, len(missing))
        if keeps and time.monotonic() - saved >= _SAVE_SECONDS and done < len(missing):
            _write_index(paths, stamps, found, index_path)
            saved = time.monotonic()
    if keeps and (len(missing) or len(index) > len(paths)):
        _write_index(paths, stamps, found, index_path)
    # 3. A report of unreadable files.
    unreadable = paths.to_numpy()[found == UNREADABLE]
    if len(unreadable):
        LOGGER.warning(
            "%s: %d of %d files cannot be read, such as %r. They are not used for training.",
            root,
            len(unreadable),
            len(paths),
            unreadable[0],
        )
    by_path = dict(zip(paths, found, strict=True))
    table = frames.with_rates(table.assign(digest=table["path"].map(by_path).astype(str)), UNREADABLE)
    return _of_parts(_of_pairs(table, by_path))


def _files(table: pd.DataFrame) -> list[str]:
    """Return the files of the clips, each once. A file may have several clips, and a clip a file for its sound."""
    return list(dict.fromkeys([*table["path"], *filter(None, sound_files(table))]))


def _of_pairs(table: pd.DataFrame, by_path: Mapping[str, str]) -> pd.DataFrame:
    """Return the table with other digests for clips that have a file for their sound: of both files' digests."""
    if SOUND_FILE not in table:
        return table
    digests = []
    for digest, sound in zip(table["digest"], table[SOUND_FILE], strict=True):
        both = (digest, by_path[sound]) if sound else (digest,)
        joint = hashlib.sha256("+".join(both).encode()).hexdigest() if sound else digest
        digests.append(UNREADABLE if UNREADABLE in both else joint)
    return table.assign(digest=pd.Series(digests, index=table.index, dtype=str))


def _of_parts(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with other digests for parts of files: of the file's digest and the times."""
    parts = table.index[times.is_part(table) & (table["digest"] != UNREADABLE)]
    if not set(times.COLUMNS) <= set(table):
        return table
    names = table.loc[parts, ["digest", *times.COLUMNS]].itertuples(index=False)
    own = [hashlib.sha256(times.fragment(*name).encode()).hexdigest() for name in names]
    whole = table["digest"].copy()
    table.loc[parts, "digest"] = own
    return table.assign(**{times.FILE_DIGEST: whole})


def _stamp(root: Path, path: str) -> tuple[int, int, int]:
    """Return the values of STAMP of a file or a folder of frames; _NO_FILE if it is a broken link, a pipe or a device.

    Stamps are taken before files are read: a file that changes meanwhile has another stamp in the next run.
    """
    try:
        status = os.stat(os.path.join(root, path))
    except OSError:
        return _NO_FILE
    if stat.S_ISDIR(status.st_mode):
        return frames.stamp(os.path.join(root, path)) or _NO_FILE
    if not stat.S_ISREG(status.st_mode):
        return _NO_FILE
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _known(index: pd.DataFrame, paths: pd.Series, stamps: np.ndarray) -> np.ndarray:
    """Return the digests (N,) that the index has for files with these stamps, "" if it has none.

    What is not a regular file is UNREADABLE.
    """
    found = np.full(len(paths), "", object)
    if not index.empty:
        rows = pd.Index(index["path"]).get_indexer(paths)
        same = (rows >= 0) & (index[list(STAMP)].to_numpy()[rows] == stamps).all(1)
        found[same] = index["digest"].to_numpy(object)[rows[same]]
    found[(stamps == _NO_FILE).all(1)] = UNREADABLE
    return found


def _digests(root: Path, paths: list[str]) -> Iterator[str]:
    """Yield the digest of each file, in order."""
    blocks = [paths[start : start + _FILES_PER_TASK] for start in range(0, len(paths), _FILES_PER_TASK)]
    with ThreadPoolExecutor(_THREADS) as pool:
        for digests in pool.map(lambda block: [_digest(root / path) for path in block], blocks):
            yield from digests


def _digest(path: Path) -> str:
    if path.is_dir():
        return frames.content(path, _digest_of_file, UNREADABLE)
    return _digest_of_file(path)


def _digest_of_file(path: Path) -> str:
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
        LOGGER.warning("The index of digests %s cannot be read (%s). Every clip is read again.", path, error)
    return pd.DataFrame(columns=list(INDEX_COLUMNS))


def _write_index(paths: pd.Series, stamps: np.ndarray, digests: np.ndarray, index_path: Path) -> None:
    """Write the index of the files whose digests are known."""
    columns = {"path": paths.to_numpy(), **dict(zip(STAMP, stamps.T, strict=True)), "digest": digests}
    known = (digests != "") & (digests != UNREADABLE)
    try:
        tables.write(pd.DataFrame(columns)[known].sort_values("path"), index_path)
    except OSError as error:
        LOGGER.warning(
            "The index of digests %s cannot be written (%s). The next run reads all clips again.", index_path, error
        )
