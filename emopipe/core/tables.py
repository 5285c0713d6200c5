"""Tables of strings as CSV: "001" stays "001", "NA" is a name like any other, and bytes that are no UTF-8 stay too."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from emopipe.core.atomic import replacing, sha256, write_text
from emopipe.core.errors import DamagedCacheError

# Names of files need not be UTF-8, which strings kept by pyarrow (where that happens to be installed) have to be.
pd.set_option("mode.string_storage", "python")

SUMS = "tables.sha256"
"""Beside tables: their digests, as `sha256sum` writes and checks them. A table cut at the end of a line looks whole."""


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
    """The table as it was written, or these columns of it; numbers come as strings.

    Raises:
        DamagedCacheError: The file is no table, lacks a column, or is not the one that `seal` has seen.
    """
    expected = noted(path.parent).get(path.name)
    if expected and expected != sha256(path):
        raise DamagedCacheError(path, "it is not the table that was written")
    try:
        return pd.read_csv(
            path,
            dtype=str,
            usecols=None if columns is None else list(columns),
            keep_default_na=False,
            na_filter=False,
            encoding="utf-8",
            encoding_errors="surrogateescape",
        )
    except ValueError as error:
        raise DamagedCacheError(path, f"it is not the table that was written ({error})") from error


def seal(paths: Iterable[Path]) -> None:
    """Note digests of tables in a file beside them, in no job's output; `read` compares tables that have one."""
    paths = list(paths)
    for folder in {path.parent for path in paths}:
        sums = {path.name: sha256(path) for path in paths if path.parent == folder}
        write_text(folder / SUMS, "".join(f"{found}  {name}\n" for name, found in sorted(sums.items())))


def noted(folder: Path) -> dict[str, str]:
    """Name -> digest of the tables in a folder that `seal` has seen."""
    try:
        text = (folder / SUMS).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    parts = (line.partition("  ") for line in text.splitlines())
    return {name: found for found, _, name in parts}
