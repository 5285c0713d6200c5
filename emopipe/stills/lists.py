"""The lists that corpora carry: text files with one row a line, separated by commas or by blanks."""

import csv
import io
import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.stills.archive import Archive

Row = tuple[int, list[str]]
"""The number of a line and its cells, stripped; blank lines are passed over."""


def by_commas(archive: Archive, key: str, columns: Sequence[str], *, bare: Sequence[str] = ()) -> pd.DataFrame:
    """Some columns of a CSV with a header, as text; the index is the number of the line.

    Args:
        archive: Where the list is.
        key: The list.
        columns: The columns wanted; the header may spell them in any case, with blanks around.
        bare: All columns of a list that may also come without its header.

    Raises:
        CorpusError: The list is missing, no CSV in UTF-8, ragged, or lacks a column.
    """
    where = f"{key} in {archive.path}"
    rows = _comma_rows(archive.read(key), where)
    first = next(rows, (0, []))
    header = [cell.casefold() for cell in first[1]]
    if bare and len(header) == len(bare) and bare[0].casefold() not in header:
        header, rows = [column.casefold() for column in bare], itertools.chain([first], rows)
    absent = [column for column in columns if column.casefold() not in header]
    if absent:
        raise CorpusError(
            f"{where} lacks the columns {abbreviate(absent, limit=12)}, and found were "
            f"{abbreviate(header, limit=12) or 'none'}: check the path."
        )
    return _table(rows, len(header), [header.index(column.casefold()) for column in columns], columns, where)


def by_blanks(archive: Archive, key: str, columns: Sequence[str]) -> pd.DataFrame:
    """All columns of a list without a header whose cells have blanks between, as text; the index as in `by_commas`.

    Raises:
        CorpusError: The list is missing, no text in UTF-8, or a line has other than as many cells.
    """
    where = f"{key} in {archive.path}"
    try:
        lines = archive.read(key).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise CorpusError(f"{where} is no text in UTF-8 ({error}): fetch it again.") from error
    rows = ((number, line.split()) for number, line in enumerate(lines, start=1) if line.strip())
    return _table(rows, len(columns), range(len(columns)), columns, where)


def whole(table: pd.DataFrame, column: str, where: str, low: int, high: int) -> pd.Series:
    """A column as whole numbers from low to high.

    Raises:
        CorpusError: A cell is none; the first such line is named.
    """
    numbers = pd.to_numeric(table[column], errors="coerce")
    sound = numbers.between(low, high) & (numbers % 1 == 0)
    _refuse_others(table[column], sound, where, f"a whole number from {low} to {high}")
    return numbers.astype(int)


def real(table: pd.DataFrame, column: str, where: str) -> pd.Series:
    """A column as finite numbers.

    Raises:
        CorpusError: A cell is none; the first such line is named.
    """
    numbers = pd.to_numeric(table[column], errors="coerce")
    _refuse_others(table[column], numbers.abs() < float("inf"), where, "a number")
    return numbers.astype(float)


def one_of(table: pd.DataFrame, column: str, where: str, names: Collection[str]) -> pd.Series:
    """A column of which every cell is one of some names.

    Raises:
        CorpusError: A cell is none of them; the first such line is named.
    """
    _refuse_others(table[column], table[column].isin(names), where, f"one of {', '.join(names)}")
    return table[column]


def _refuse_others(cells: pd.Series, sound: pd.Series, where: str, expected: str) -> None:
    if sound.all():
        return
    line, count = (~sound).idxmax(), int((~sound).sum())
    more = f" (and {count - 1} more lines like it)" if count > 1 else ""
    raise CorpusError(
        f"Line {line} of {where} has {cells[line]!r} as {cells.name}{more}, where {expected} was expected: check the "
        "path, or fetch the list again."
    )


def _comma_rows(content: bytes, where: str) -> Iterator[Row]:
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline=""), strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num, cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{where} is no CSV in UTF-8 ({error}): check the path, or fetch it again.") from error


def _table(rows: Iterable[Row], width: int, places: Sequence[int], columns: Sequence[str], where: str) -> pd.DataFrame:
    """The cells at some places of rows that all have `width` cells; lists are long, so only these are held."""
    lines, ragged, kept = [], [], []
    for line, cells in rows:
        if len(cells) == width:
            lines.append(line)
            kept.append([cells[place] for place in places])
        else:
            ragged.append(line)
    if ragged:
        raise CorpusError(
            f"{where} should have {width} cells in every line, but not so its lines {abbreviate(ragged)}: check the "
            "path, or fetch it again."
        )
    return pd.DataFrame(kept, columns=list(columns), index=lines, dtype=str)
