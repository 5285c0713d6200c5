"""A corpus whose clips are listed in a CSV or TSV file."""

from pathlib import Path, PurePosixPath

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora import splits
from emopipe.corpora.cells import SUFFIXES, read_cells
from emopipe.corpora.classes import LabelOptions
from emopipe.corpora.spelling import on_disk
from emopipe.corpora.table import from_rows


class CorpusOptions(LabelOptions, splits.GivenSplitOptions):
    """Which file lists the clips, and how they are split if it has no column `split`."""

    table: str = "clips.csv"
    """The list, .csv (commas or semicolons) or .tsv (tabs); its path is absolute or relative to the corpus folder."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table from the columns path and label and, optionally, clip, split, subject and others.

    Paths are relative to root; they may have backslashes. A missing clip id is the file's stem. Without a column
    `split`, clips without a label are test clips, and the others are split as the options say.

    Raises:
        CorpusError: The list is missing, is not UTF-8, has rows of different lengths, lacks a column, or has an unknown
            class.
    """
    header, *rows = _read(root / options.table)
    listed = [dict(zip(header, row, strict=True)) for row in rows]
    paths = on_disk(root, [row["path"] for row in listed])
    made = (_row(row, path) for row, path in zip(listed, paths, strict=True))
    table = options.with_labels(from_rows(made))
    if "split" in header:
        return table.assign(split=table["split"].map(lambda name: splits.split_of(name) or name).astype(str))
    unlabelled = table["label"] == ""
    parts = [table[unlabelled].assign(split="test")]
    if not unlabelled.all():
        parts.append(splits.assign(table[~unlabelled], options))
    return pd.concat(parts)


def _read(file: Path) -> list[list[str]]:
    """Return the header and the rows, all of the same length; blank lines and empty columns are ignored."""
    separators = SUFFIXES.get(file.suffix.lower())
    if separators is None:
        raise CorpusError(f"The table {file} is neither .csv nor .tsv. Save it as one of these.")
    cells = read_cells(file, separators)
    _refuse_bad_header(cells.header, file)
    return [cells.header, *cells.rows]


def _refuse_bad_header(header: list[str], file: Path) -> None:
    absent = [column for column in ("path", "label") if column not in header]
    if absent:
        raise CorpusError(
            f"The table {file} lacks the column {' and the column '.join(absent)}. Its columns are: "
            f"{abbreviate(header, limit=8) or 'none'}. The first line must name path, label and, optionally, clip, "
            "split, subject. `emopipe init` writes such a table from one with other names."
        )
    bad = sorted({name for name in header if header.count(name) > 1 or name in ("", "digest")})
    if bad:
        raise CorpusError(
            f"The table {file} has the columns {abbreviate([repr(name) for name in bad])}. Column names must be unique "
            "and not empty, and must not be digest, which emopipe fills itself. Rename these columns."
        )


def _row(row: dict[str, str], found: str) -> dict[str, str]:
    """Return a row with the path that was found; a missing id is the stem as the table spells it."""
    path = PurePosixPath(found)
    stem = PurePosixPath(row["path"].replace("\\", "/")).stem if found != row["path"] else path.stem
    return row | {"clip": row.get("clip") or stem, "path": str(path) if row["path"] else ""}
