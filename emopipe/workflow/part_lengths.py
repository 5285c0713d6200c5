"""Refuses parts of files that go beyond the end of their file. A file is measured once; its length is remembered."""

import math
from pathlib import Path

import pandas as pd

from emopipe.cache.status import UNREADABLE
from emopipe.core import tables
from emopipe.core.errors import CacheError, CorpusError
from emopipe.core.log import LOGGER, Progress
from emopipe.corpora import times
from emopipe.media.decoded import DecodeOptions
from emopipe.workflow import scan
from emopipe.workflow.config import Config

LIMITS = DecodeOptions(policy="count", count=1, clip_seconds=300, clip_memory_mb=1024)
"""What measuring a file may take; a file that takes more is decoded all the same."""
COLUMNS: tuple[str, str] = (times.FILE_DIGEST, "seconds")
_MOST_NAMED = 3


def refuse_short_files(config: Config, table: pd.DataFrame) -> None:
    """Raise an error if a part of a file begins or ends after the end of the file.

    A file whose length is not sure is not refused: where it ends too early, the clip's row of the ledger says so.

    Args:
        config: The checked config.
        table: The clip table with digests.

    Raises:
        CorpusError: A file is shorter.
    """
    parts = table[times.is_part(table)]
    parts = parts[parts["digest"] != UNREADABLE]
    if parts.empty:
        return
    from emopipe.media.spans import TOLERANCE_SECONDS, spans_of  # here, as most runs are planned without it

    seconds = _lengths(scan.clips_root(config), parts, scan.cache_folder(config) / "lengths.csv")
    faults = []
    for clip, path, digest, span in zip(
        parts["clip"], parts["path"], parts[times.FILE_DIGEST], spans_of(parts), strict=True
    ):
        length = seconds[digest]
        latest = span.end if math.isfinite(span.end) else span.start
        if span.start >= length or latest > length + TOLERANCE_SECONDS:
            end = f"{span.end:g} s" if math.isfinite(span.end) else "the end"
            faults.append(f"the clip {clip!r} is {span.start:g} s to {end} of {path}, which has {length:.2f} s")
    if faults:
        more = f" (and {len(faults) - _MOST_NAMED} more like it)" if len(faults) > _MOST_NAMED else ""
        raise CorpusError(
            f"Files are shorter than their parts: {'; '.join(faults[:_MOST_NAMED])}{more}. Expected parts that lie "
            "within their files. Correct start and end (in seconds, or as h:mm:ss), or the path."
        )


def _lengths(root: Path, parts: pd.DataFrame, index_path: Path) -> dict[str, float]:
    """Return the digest of each file -> its length in seconds; infinite if it is not sure."""
    # 1. What is known.
    files = dict(zip(parts[times.FILE_DIGEST], parts["path"], strict=True))
    known = _read(index_path)
    missing = {digest: path for digest, path in files.items() if digest not in known}
    # 2. The others.
    if missing:
        from emopipe.media.sandbox import LengthReader  # here, as most runs are planned without it

        progress = Progress("measuring files with parts", len(missing))
        with LengthReader(LIMITS) as read:
            for digest, path in missing.items():
                length = read(root / path)
                known[digest] = math.inf if length is None else length
                progress.advance()
        _write({digest: known[digest] for digest in files}, index_path)
    return known


def _read(path: Path) -> dict[str, float]:
    try:
        rows = tables.read(path, COLUMNS)
        return dict(zip(rows[times.FILE_DIGEST], rows["seconds"].astype(float), strict=True))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, CacheError) as error:
        LOGGER.warning(f"The lengths of files {path} cannot be read ({error}). They are measured again.")
    return {}


def _write(lengths: dict[str, float], path: Path) -> None:
    rows = {COLUMNS[0]: [*lengths], COLUMNS[1]: [repr(seconds) for seconds in lengths.values()]}
    try:
        tables.write(pd.DataFrame(rows, dtype=str), path)
    except OSError as error:
        LOGGER.warning(f"The lengths of files {path} cannot be written ({error}). The next run measures them again.")
