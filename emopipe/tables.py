"""Tables of strings as CSV: "001" stays "001", "NA" is a name like any other, and bytes that are no UTF-8 stay too."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from emopipe.files import replacing

# Names of files need not be UTF-8, which strings kept by pyarrow (where that happens to be installed) have to be.
pd.set_option("mode.string_storage", "python")


def of(rows: Iterable[Mapping[str, str]]) -> pd.DataFrame:
    """A table of strings, "" where a row lacks a column."""
    return pd.DataFrame([dict(row) for row in rows], dtype=str).fillna("")


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table of strings and whole numbers as CSV; the file appears whole, and equal tables give equal bytes."""
    # Python's CSV writer leaves a lone carriage return bare, which readers take for the end of a row.
    texts = table.select_dtypes(exclude="number")
    bare = any(texts[column].str.contains("\r", regex=False).any() for column in texts)
    quoting = csv.QUOTE_ALL if bare else csv.QUOTE_MINIMAL
    with replacing(path) as part:
        table.to_csv(
            part, index=False, lineterminator="\n", encoding="utf-8", errors="surrogateescape", quoting=quoting
        )


def read(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The table as it was written, or these columns of it; numbers come as strings."""
    return pd.read_csv(
        path,
        dtype=str,
        usecols=None if columns is None else list(columns),
        keep_default_na=False,
        na_filter=False,
        encoding="utf-8",
        encoding_errors="surrogateescape",
    )
