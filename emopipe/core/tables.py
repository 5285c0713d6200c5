"""Tables of strings as CSV files: "001" stays "001", "NA" stays "NA", and bytes that are not UTF-8 are kept."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from emopipe.core.atomic import replacing, sha256, write_text
from emopipe.core.errors import DamagedCacheError
from emopipe.core.memory import is_out_of_memory

# File names may contain bytes that are not UTF-8. Strings stored by pyarrow (if it is installed) may not.
pd.set_option("mode.string_storage", "python")

SUMS = "tables.sha256"
"""The file beside tables that holds their checksums, in the format of `sha256sum`.

It is needed because a table that was cut at the end of a line still looks complete.
"""


def of(rows: Iterable[Mapping[str, str]]) -> pd.DataFrame:
    """Return a table of strings; a cell is "" where its row has no such column."""
    return pd.DataFrame([dict(row) for row in rows], dtype=str).fillna("")


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table of strings and integers as CSV, atomically; equal tables give equal bytes."""
    # Python's CSV writer does not quote a lone carriage return, and readers then take it for the end of a row.
    texts = table.select_dtypes(exclude="number")
    bare = any(texts[column].str.contains("\r", regex=False).any() for column in texts)
    quoting = csv.QUOTE_ALL if bare else csv.QUOTE_MINIMAL
    with replacing(path) as part:
        table.to_csv(
            part, index=False, lineterminator="\n", encoding="utf-8", errors="surrogateescape", quoting=quoting
        )


def read(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table, or some of its columns, as strings; numbers become strings too.

    Raises:
        DamagedCacheError: The file is not a table, lacks a column, or has another checksum than `seal` recorded.
        MemoryError: The memory is too small for the table.
    """
    expected = sealed(path.parent).get(path.name)
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
        if is_out_of_memory(error):  # pandas' parser raises a ValueError for this, too
            raise MemoryError(f"{path}: {error}") from error
        raise DamagedCacheError(path, f"it is not the table that was written ({error})") from error


def seal(paths: Iterable[Path]) -> None:
    """Record the checksums of tables in a file beside them; `read` compares them.

    The file is not an output of any rule, because Snakemake deletes outputs before it runs a job again.
    """
    paths = list(paths)
    for folder in {path.parent for path in paths}:
        sums = {path.name: sha256(path) for path in paths if path.parent == folder}
        write_text(folder / SUMS, "".join(f"{found}  {name}\n" for name, found in sorted(sums.items())))


def sealed(folder: Path) -> dict[str, str]:
    """Return the checksums that `seal` recorded in a folder: file name -> checksum."""
    try:
        text = (folder / SUMS).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    parts = (line.partition("  ") for line in text.splitlines())
    return {name: found for found, _, name in parts}
