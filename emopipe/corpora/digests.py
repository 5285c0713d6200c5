"""The digest of each clip's content, read again only where the file has changed."""

import hashlib
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from emopipe import tables
from emopipe.errors import CorpusError

log = logging.getLogger(__name__)

INDEX_COLUMNS: tuple[str, ...] = ("path", "size", "mtime_ns", "ctime_ns", "digest")

_THREADS = 8  # hashing waits for the disk more than for the processor

Stamp = tuple[str, str, str, str]  # path, size, mtime_ns, ctime_ns: what tells that a file is unchanged


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
    each file that had to be read.

    Raises:
        CorpusError: a file cannot be read.
    """
    known = _read_index(index_path)
    stamps = [_stamp(root, path) for path in table["path"]]
    fresh = [stamp for stamp in stamps if stamp not in known]
    for done, (stamp, digest) in enumerate(zip(fresh, _digests(root, fresh), strict=True), start=1):
        known[stamp] = digest
        if progress is not None:
            progress(done, len(fresh))
    current = {stamp: known[stamp] for stamp in stamps}
    if fresh or len(known) > len(current):
        _write_index(current, index_path)
    return table.assign(digest=pd.Series(list(map(known.get, stamps)), index=table.index, dtype=str))


def _stamp(root: Path, path: str) -> Stamp:
    """Taken before the file is read: a file that changes meanwhile has another stamp the next time."""
    try:
        status = (root / path).stat()
    except OSError as error:
        raise _unreadable(root / path, error) from error
    return path, str(status.st_size), str(status.st_mtime_ns), str(status.st_ctime_ns)


def _digests(root: Path, stamps: list[Stamp]) -> Iterator[str]:
    with ThreadPoolExecutor(_THREADS) as pool:
        yield from pool.map(_digest, [root / stamp[0] for stamp in stamps])


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> CorpusError:
    return CorpusError(f"The file {path} cannot be read ({error.strerror}): restore it or make it readable.")


def _read_index(path: Path) -> dict[Stamp, str]:
    try:
        rows = tables.read(path)[list(INDEX_COLUMNS)]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError) as error:
        log.warning("The digest index %s is unreadable (%s), so every clip is read again.", path, error)
        return {}
    return {(p, size, mtime, ctime): digest for p, size, mtime, ctime, digest in rows.itertuples(index=False)}


def _write_index(known: dict[Stamp, str], path: Path) -> None:
    rows = [(*stamp, digest) for stamp, digest in sorted(known.items())]
    try:
        tables.write(pd.DataFrame(rows, columns=list(INDEX_COLUMNS), dtype=str), path)
    except OSError as error:
        log.warning("The digest index %s cannot be written (%s), so the next run reads again.", path, error)
