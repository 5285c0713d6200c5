"""A corpus whose clips are listed in a CSV or TSV file."""

import csv
from pathlib import Path, PurePosixPath

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora import splits, times
from emopipe.corpora.classes import with_labels
from emopipe.corpora.table import from_rows

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_SEPARATOR_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons"}


class CorpusOptions(splits.SplitOptions):
    """Which file lists the clips, and how they are split if it has no column `split`."""

    table: str = "clips.csv"
    """The list, .csv (commas) or .tsv (tabs); its path is absolute or relative to the corpus folder."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table from the columns path and label and, optionally, clip, split, subject, start, end, others.

    Paths are relative to root. A row with `start` or `end` is that part of its file. A missing clip id is the file's
    stem; that of a part is made of its path and times. Without a column `split`, clips without a label
    are test clips, and the others are split as the options say.

    Raises:
        CorpusError: The list is missing, is not UTF-8, has another separator, has rows of different lengths, lacks a
            column, or has an unknown class.
    """
    header, *rows = _read(root / options.table)
    table = with_labels(_with_ids(from_rows(_row(dict(zip(header, row, strict=True))) for row in rows)))
    if "split" in header:
        return table.assign(split=table["split"].map(lambda name: splits.split_of(name) or name).astype(str))
    unlabelled = table["label"] == ""
    parts = [table[unlabelled].assign(split="test")]
    if not unlabelled.all():
        parts.append(splits.assign(table[~unlabelled], options))
    return pd.concat(parts)


def _read(file: Path) -> list[list[str]]:
    """Return the header and the rows, all of the same length; blank lines are ignored."""
    separator = _SEPARATORS.get(file.suffix.lower())
    if separator is None:
        raise CorpusError(f"The table {file} is neither .csv nor .tsv. Save it as one of these.")
    # 1. Each row that is not blank, with the number of the line on which it ends.
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:  # spreadsheets write a byte order mark
            reader = csv.reader(lines, delimiter=separator, strict=True)
            numbered = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except OSError as error:
        raise CorpusError(
            f"The table {file} cannot be read ({error.strerror}). Write the list of clips there, or set the corpus "
            "option table to its path."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"The table {file} is not a CSV file in UTF-8 ({error}). Save it as one.") from error
    numbered = [(line, row) for line, row in numbered if any(row)]
    # 2. Checks.
    header = numbered[0][1] if numbered else []
    _refuse_wrong_separator(header, separator, file)
    wrong = [line for line, row in numbered if len(row) != len(header)]
    if wrong:
        raise CorpusError(
            f"The header of the table {file} has {len(header)} columns, but the lines {abbreviate(wrong)} have other "
            "numbers of cells. Put cells that contain the separator in double quotes."
        )
    _refuse_bad_header(header, file)
    return [row for _, row in numbered]


def _refuse_wrong_separator(header: list[str], separator: str, file: Path) -> None:
    others = [mark for mark in _SEPARATOR_NAMES if mark != separator and any(mark in cell for cell in header)]
    if len(header) == 1 and others:
        raise CorpusError(
            f"The table {file} has {_SEPARATOR_NAMES[others[0]]} between its cells. Expected "
            f"{_SEPARATOR_NAMES[separator]} in a {file.suffix} file. Save it with these."
        )


def _refuse_bad_header(header: list[str], file: Path) -> None:
    absent = [column for column in ("path", "label") if column not in header]
    if absent:
        raise CorpusError(
            f"The table {file} lacks the column {' and the column '.join(absent)}. Its columns are: "
            f"{abbreviate(header, limit=8) or 'none'}. The first line must name path, label and, optionally, clip, "
            "split, subject, start, end. The cells of label may be empty."
        )
    bad = sorted({name for name in header if header.count(name) > 1 or name in ("", "digest", times.FILE_DIGEST)})
    if bad:
        raise CorpusError(
            f"The table {file} has the columns {abbreviate([repr(name) for name in bad])}. Column names must be unique "
            f"and not empty, and must not be digest or {times.FILE_DIGEST}, which emopipe fills itself. Rename these "
            "columns."
        )


def _row(row: dict[str, str]) -> dict[str, str]:
    path = PurePosixPath(row["path"])
    return row | {"path": str(path) if row["path"] else ""}


def _with_ids(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with an id for each row that has none, and with times in seconds."""
    rows = enumerate(table["path"], start=2)  # the header is the first
    table = times.normalised(table, [f"row {number} ({path})" for number, path in rows])
    parts = table[list(times.COLUMNS)].to_numpy() if times.is_part(table).any() else [("", "")] * len(table)
    ids = [
        clip or (times.fragment(path, *part) if any(part) else PurePosixPath(path).stem)
        for clip, path, part in zip(table["clip"], table["path"], parts, strict=True)
    ]
    return table.assign(clip=pd.Series(ids, index=table.index, dtype=str))
