"""Tables as spreadsheets write them: their separator, a line `sep=;`, a byte order mark, and empty columns."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate

SUFFIXES: dict[str, str] = {".csv": ",;\t", ".tsv": "\t"}
"""Suffix of a table -> what may be between its cells, the likeliest first."""
_SEPARATOR_LINE = re.compile(r'\s*"?sep=(.)"?\s*', re.IGNORECASE)  # Excel's own; it takes it for no row


@dataclass(frozen=True)
class Cells:
    """A table as it was read."""

    separator: str
    header: list[str]
    """The names of its columns, without blanks around."""
    rows: list[list[str]]
    """Its rows, each as long as the header; blank lines are omitted."""


def read_cells(file: Path, separators: str) -> Cells:
    """Return a table. Empty columns, and lines without a filled cell, are omitted.

    Args:
        file: The table, in UTF-8 with or without a byte order mark.
        separators: What may be between its cells. A line `sep=` decides, or else what is most frequent in the header.

    Raises:
        CorpusError: It cannot be read, is not a CSV file in UTF-8, or has a row of another length than the header.
    """
    # 1. The text, without a line that only gives the separator.
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CorpusError(
            f"The table {file} cannot be read ({error.strerror}). Write the list of clips there, or set the corpus "
            "option table to its path."
        ) from error
    except UnicodeDecodeError as error:
        raise CorpusError(f"The table {file} is not a CSV file in UTF-8 ({error}). Save it as one.") from error
    first, skipped = text.partition("\n")[0], 0
    given = _SEPARATOR_LINE.fullmatch(first)
    if given:
        text, skipped = text.partition("\n")[2], 1
    separator = given[1] if given else _most_frequent(text, separators)
    # 2. Each row that is not blank, with the number of the line on which it ends.
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        numbered = [(reader.line_num + skipped, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise CorpusError(f"The table {file} is not a CSV file in UTF-8 ({error}). Save it as one.") from error
    numbered = [(line, row) for line, row in numbered if any(row)]
    if not numbered:
        return Cells(separator, [], [])
    header, rows = _without_empty_columns(numbered[0][1], numbered[1:], file)
    return Cells(separator, header, rows)


def _most_frequent(text: str, separators: str) -> str:
    """Return the separator that the first line that is not blank has most often; the first one if it has none."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    return max(separators, key=header.count)


def _without_empty_columns(
    header: list[str], numbered: Sequence[tuple[int, list[str]]], file: Path
) -> tuple[list[str], list[list[str]]]:
    """Return header and rows without empty cells at the end and without columns that have neither name nor content."""
    width = max((number for number, name in enumerate(header, start=1) if name), default=0)
    cut = [(line, row[:width] if not any(row[width:]) else row) for line, row in numbered]
    wrong = [line for line, row in cut if len(row) != width]
    if wrong:
        raise CorpusError(
            f"The header of the table {file} has {width} columns, but the lines {abbreviate(wrong)} have other numbers "
            "of cells. Put cells that contain the separator in double quotes."
        )
    header = header[:width]
    kept = [number for number, name in enumerate(header) if name or any(row[number] for _, row in cut)]
    return [header[number] for number in kept], [[row[number] for number in kept] for _, row in cut]
