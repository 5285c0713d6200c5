"""Tables of strings as CSV: "001" stays "001", and "NA" is a name like any other."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from emopipe.files import replacing


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table of strings and whole numbers as CSV; the file appears whole, and equal tables give equal bytes."""
    # Python's CSV writer leaves a lone carriage return bare, which readers take for the end of a row.
    texts = table.select_dtypes(exclude="number")
    bare = any(texts[column].str.contains("\r", regex=False).any() for column in texts)
    quoting = csv.QUOTE_ALL if bare else csv.QUOTE_MINIMAL
    with replacing(path) as part:
        table.to_csv(part, index=False, lineterminator="\n", encoding="utf-8", quoting=quoting)


def read(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The table as it was written, or these columns of it; numbers come as strings."""
    chosen = None if columns is None else list(columns)
    return pd.read_csv(path, dtype=str, usecols=chosen, keep_default_na=False, na_filter=False, encoding="utf-8")
