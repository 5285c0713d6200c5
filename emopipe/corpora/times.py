"""Clips that are parts of files: the columns `start` and `end` of a clip table, in seconds or as h:mm:ss."""

import math
import re
from collections.abc import Sequence

import pandas as pd

from emopipe.core.errors import CorpusError

COLUMNS: tuple[str, str] = ("start", "end")
"""Where a clip begins and ends in its file; "" is the start, or the end, of the file."""
FILE_DIGEST = "file_digest"
"""The column with the digest of the whole file, of a table that has parts of files."""

_SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?|\.[0-9]+")
_CLOCK = re.compile(r"(?:([0-9]+):)?([0-9]+):([0-9]{1,2}(?:[.,][0-9]*)?)")
_MOST_NAMED = 3


def seconds(text: str) -> float:
    """Return a time in seconds.

    Raises:
        ValueError: It is neither a number of seconds nor mm:ss or h:mm:ss, with decimals or not.

    >>> [seconds(text) for text in ("12.5", "1:02", "1:02:03.25", "00:16:16,059")]
    [12.5, 62.0, 3723.25, 976.059]
    """
    if _SECONDS.fullmatch(text):
        found = float(text)
    elif clock := _CLOCK.fullmatch(text):
        hours, minutes, rest = int(clock[1] or 0), int(clock[2]), float(clock[3].replace(",", "."))
        found = 3600 * hours + 60 * minutes + rest if rest < 60 and (minutes < 60 or not clock[1]) else math.nan
    else:
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"{text!r} is not a time")
    return found


def is_time(text: str) -> bool:
    """Return whether a cell holds a time."""
    try:
        seconds(text)
    except ValueError:
        return False
    return True


def as_text(time: float) -> str:
    """Return a time in seconds, to the microsecond, without needless zeros.

    >>> as_text(12.50), as_text(60.0)
    ('12.5', '60')
    """
    return f"{time:.6f}".rstrip("0").rstrip(".")


def fragment(path: str, start: str, end: str) -> str:
    """Return the name of a part, as web addresses name it (media fragments).

    >>> fragment("talk.mp4", "", "20"), fragment("talk.mp4", "12.5", ""), fragment("talk.mp4", "", "")
    ('talk.mp4#t=0,20', 'talk.mp4#t=12.5', 'talk.mp4')
    """
    return f"{path}#t={start or '0'}{f',{end}' if end else ''}" if start or end else path


def is_part(table: pd.DataFrame) -> pd.Series:
    """Return (n,) bool: the clips of a table that are parts of files."""
    if not set(COLUMNS) <= set(table):
        return pd.Series(False, index=table.index)
    return (table["start"] != "") | (table["end"] != "")


def normalised(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return a clip table with times in seconds, as `as_text` writes them; "" in both columns is the whole file.

    Args:
        table: The clip table; a table without the two columns stays as it is, one of them alone gets the other.
        names: What a message calls the rows.

    Raises:
        CorpusError: A cell is not a time, or a part does not end after its start.
    """
    if table.empty or not set(COLUMNS) & set(table):
        return table
    given = [table[column].tolist() if column in table else [""] * len(table) for column in COLUMNS]
    parts, faults = [], []
    for name, *cells in zip(names, *given, strict=True):
        try:
            parts.append(_part(*map(str.strip, cells)))
        except ValueError as error:
            faults.append(f"{name} has {error}")
    if faults:
        more = f" (and {len(faults) - _MOST_NAMED} more rows)" if len(faults) > _MOST_NAMED else ""
        raise CorpusError(
            f"Parts of files have wrong times: {'; '.join(faults[:_MOST_NAMED])}{more}. Expected in start and end: "
            "seconds such as 12.5, mm:ss or h:mm:ss, and a start before the end. An empty start is the start of the "
            "file, an empty end its end. Correct the cells."
        )
    starts, ends = zip(*parts, strict=True)
    return table.assign(start=list(starts), end=list(ends))


def _part(start: str, end: str) -> tuple[str, str]:
    for column, cell in zip(COLUMNS, (start, end), strict=True):
        try:
            seconds(cell or "0")
        except ValueError as error:
            raise ValueError(f"the {column} {cell!r}") from error
    begin, stop = as_text(seconds(start or "0")), as_text(seconds(end)) if end else ""
    if stop and float(begin) >= float(stop):
        raise ValueError(f"the start {start or 0} and the end {end}")
    return ("", "") if begin == "0" and not stop else (begin, stop)
