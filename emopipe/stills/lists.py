"""The lists of corpora: text files with one row in each line, whose cells are separated by commas or whitespace."""

import csv
import io
import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Sequence

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.stills.archive import Archive

Row = tuple[int, list[str]]
"""The number of a line and its stripped cells. Blank lines have no row."""


def read_csv(archive: Archive, key: str, columns: Sequence[str], *, headerless: Sequence[str] = ()) -> pd.DataFrame:
    """Return some columns of a CSV file with a header, as text; the index is the line number.

    Args:
        archive: Where the list is.
        key: The list.
        columns: The wanted columns; the header may have them in any case and with blanks around.
        headerless: All columns of a list that may also come without its header.

    Raises:
        CorpusError: The list is missing, is not a CSV file in UTF-8, has lines of different lengths, or lacks a column.
    """
    where = f"{key} in {archive.path}"
    rows = _csv_rows(archive.read(key), where)
    first = next(rows, (0, []))
    header = [cell.casefold() for cell in first[1]]
    if headerless and len(header) == len(headerless) and headerless[0].casefold() not in header:
        header, rows = [column.casefold() for column in headerless], itertools.chain([first], rows)
    absent = [column for column in columns if column.casefold() not in header]
    if absent:
        raise CorpusError(
            f"{where} lacks the columns {abbreviate(absent, limit=12)}. Its columns are: "
            f"{abbreviate(header, limit=12) or 'none'}. Check the path."
        )
    return _table(rows, len(header), [header.index(column.casefold()) for column in columns], columns, where)


def _csv_rows(content: bytes, where: str) -> Iterator[Row]:
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline=""), strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num, cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(
            f"{where} is not a CSV file in UTF-8 ({error}). Check the path, or download the file again."
        ) from error


def read_whitespace(archive: Archive, key: str, columns: Sequence[str]) -> pd.DataFrame:
    """Return all columns of a list without a header whose cells are separated by blanks, as text; index as `read_csv`.

    Raises:
        CorpusError: The list is missing, is not text in UTF-8, or a line has another number of cells.
    """
    where = f"{key} in {archive.path}"
    try:
        lines = archive.read(key).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise CorpusError(f"{where} is not text in UTF-8 ({error}). Download the file again.") from error
    rows = ((number, line.split()) for number, line in enumerate(lines, start=1) if line.strip())
    return _table(rows, len(columns), range(len(columns)), columns, where)


def _table(
    rows: Iterable[Row], width: int, cells_at: Sequence[int], columns: Sequence[str], where: str
) -> pd.DataFrame:
    """Return some cells of rows that must all have `width` cells; lists are long, so only these are kept in memory."""
    lines, wrong, kept = [], [], []
    for line, cells in rows:
        if len(cells) == width:
            lines.append(line)
            kept.append([cells[position] for position in cells_at])
        else:
            wrong.append(line)
    if wrong:
        raise CorpusError(
            f"The lines {abbreviate(wrong)} of {where} do not have {width} cells. Check the path, or download the file "
            "again."
        )
    return pd.DataFrame(kept, columns=list(columns), index=lines, dtype=str)


def integers(table: pd.DataFrame, column: str, where: str, low: int, high: int) -> pd.Series:
    """Return a column as whole numbers from low to high.

    Raises:
        CorpusError: A cell is not such a number. The message names the first such line.
    """
    values = pd.to_numeric(table[column], errors="coerce")
    valid = values.between(low, high) & (values % 1 == 0)
    _refuse_others(table[column], valid, where, f"a whole number from {low} to {high}")
    return values.astype(int)


def numbers(table: pd.DataFrame, column: str, where: str, low: float = -math.inf) -> pd.Series:
    """Return a column as finite numbers of at least `low`.

    Raises:
        CorpusError: A cell is not such a number. The message names the first such line.
    """
    values = pd.to_numeric(table[column], errors="coerce")
    expected = "a number" if low == -math.inf else f"a number of at least {low:g}"
    _refuse_others(table[column], (values.abs() < math.inf) & (values >= low), where, expected)
    return values.astype(float)


def choices(table: pd.DataFrame, column: str, where: str, names: Collection[str]) -> pd.Series:
    """Return a column whose cells are all among some names.

    Raises:
        CorpusError: A cell has another value. The message names the first such line.
    """
    _refuse_others(table[column], table[column].isin(names), where, f"one of {', '.join(names)}")
    return table[column]


def _refuse_others(cells: pd.Series, valid: pd.Series, where: str, expected: str) -> None:
    if valid.all():
        return
    line, count = (~valid).idxmax(), int((~valid).sum())
    more = f" (and {count - 1} more lines like it)" if count > 1 else ""
    raise CorpusError(
        f"Line {line} of {where} has {cells[line]!r} as {cells.name}{more}. Expected {expected}. Check the path, or "
        "download the list again."
    )
