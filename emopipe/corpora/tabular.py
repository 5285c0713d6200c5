"""A corpus that its user has listed in a CSV or TSV file."""

import csv
from pathlib import Path, PurePosixPath

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora import splits
from emopipe.corpora.classes import with_labels
from emopipe.corpora.table import from_rows

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_NAMES = {",": "comma", "\t": "tab", ";": "semicolon"}


class CorpusOptions(splits.SplitOptions):
    """Which file lists the clips, and how they are split where it has no column `split`."""

    table: str = "clips.csv"
    """The list, .csv (commas) or .tsv (tabs), relative to the corpus folder unless absolute."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """The clip table out of the columns path and label and, optionally, clip, split, subject and any other.

    Paths are relative to root. A missing clip id is the file's stem. Without a column `split`, clips without
    a label are test, and the others are split as the options say.

    Raises:
        CorpusError: the list is missing, no UTF-8, separated otherwise, ragged, or lacks a column, or an
            unknown class is in it.
    """
    header, *rows = _read(root / options.table)
    table = with_labels(from_rows(_row(dict(zip(header, row, strict=True))) for row in rows))
    if "split" in header:
        return table.assign(split=table["split"].map(lambda name: splits.split_of(name) or name).astype(str))
    bare = table["label"] == ""
    parts = [table[bare].assign(split="test")]
    if not bare.all():
        parts.append(splits.assign(table[~bare], options))
    return pd.concat(parts)


def _row(row: dict[str, str]) -> dict[str, str]:
    path = PurePosixPath(row["path"])
    return row | {"clip": row.get("clip") or path.stem, "path": str(path) if row["path"] else ""}


def _read(file: Path) -> list[list[str]]:
    """The header and the rows, whole and of one length; blank lines are passed over."""
    separator = _SEPARATORS.get(file.suffix.lower())
    if separator is None:
        raise CorpusError(f"The table {file} is neither .csv nor .tsv: save it as one of them.")
    numbered = _lines(file, separator)
    header = numbered[0][1] if numbered else []
    _refuse_wrong_separator(header, separator, file)
    ragged = [line for line, row in numbered if len(row) != len(header)]
    if ragged:
        raise CorpusError(
            f"The table {file} has {len(header)} columns, but not so its lines {abbreviate(ragged)}: put cells "
            "that hold the separator in double quotes."
        )
    _refuse_bad_header(header, file)
    return [row for _, row in numbered]


def _lines(file: Path, separator: str) -> list[tuple[int, list[str]]]:
    """Each row that is not blank, with the number of the line that it ends on."""
    try:
        # Spreadsheets put a byte order mark first.
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, delimiter=separator, strict=True)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except OSError as error:
        raise CorpusError(
            f"The table {file} cannot be read ({error.strerror}): write the list of clips there, or set the "
            "corpus option table to where it is."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"The table {file} is no CSV in UTF-8 ({error}): save it as such.") from error
    return [(line, row) for line, row in rows if any(row)]


def _refuse_wrong_separator(header: list[str], separator: str, file: Path) -> None:
    others = [mark for mark in _NAMES if mark != separator and any(mark in cell for cell in header)]
    if len(header) == 1 and others:
        raise CorpusError(
            f"The table {file} is separated by {_NAMES[others[0]]}s, but {_NAMES[separator]}s were expected "
            f"in a {file.suffix} file: save it so."
        )


def _refuse_bad_header(header: list[str], file: Path) -> None:
    absent = [column for column in ("path", "label") if column not in header]
    if absent:
        raise CorpusError(
            f"The table {file} lacks the column {' and the column '.join(absent)}, and found were "
            f"{abbreviate(header, limit=8) or 'none'}: its first line must name path, label and, optionally, "
            "clip, split, subject."
        )
    bad = sorted({name for name in header if header.count(name) > 1 or name in ("", "digest")})
    if bad:
        raise CorpusError(
            f"The table {file} has the column {abbreviate([repr(name) for name in bad])}, but names must be "
            "unique, not empty, and not digest, which emopipe fills itself: rename it."
        )
