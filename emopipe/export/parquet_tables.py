"""The format `parquet`: the tables of `csv`, with types, and vectors as lists; in parts, so that memory is bounded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from emopipe.export import tables
from emopipe.export.contents import Contents
from emopipe.export.folders import new_folder
from emopipe.export.tables import Row

OPTIONS = ("model", "features")
ROWS, NUMBERS = 20_000, 1 << 22
"""A part ends at so many rows, or so many numbers of vectors, so that it takes some 100 MB of memory."""
TYPES: Mapping[type, Any] = {
    str: pl.String,
    float: pl.Float64,
    int: pl.Int32,
    bool: pl.Boolean,
    list: pl.List(pl.String),
}


class PartWriter:
    """Writes a table as files `<folder>/<prefix>00000.parquet`, ...; the last part is written by `close`."""

    def __init__(self, folder: Path, schema: Mapping[str, Any], *, prefix: str = "") -> None:
        """Take the folder, the columns with polars' types, and what file names begin with."""
        self._folder, self._schema, self._prefix = folder, dict(schema), prefix
        self._rows: list[Row] = []
        self._numbers = 0
        self.parts = self.rows = 0
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, row: Row, *, numbers: int = 0) -> None:
        """Append a row, a dictionary with all columns; `numbers` is how many numbers its vectors have."""
        self._rows.append(row)
        self._numbers += numbers
        if len(self._rows) >= ROWS or self._numbers >= NUMBERS:
            self._flush()

    def close(self) -> None:
        """Write what remains; a table without rows becomes a file without rows."""
        if self._rows or not self.parts:
            self._flush()

    def _flush(self) -> None:
        columns = {name: [row[name] for row in self._rows] for name in self._schema}
        part = self._folder / f"{self._prefix}{self.parts:05}.parquet"
        pl.DataFrame(columns, schema=self._schema).write_parquet(part)
        self.parts, self.rows, self._rows = self.parts + 1, self.rows + len(self._rows), []
        self._numbers = 0


def write(run: Path, out: Path, *, model: Sequence[str] = (), features: bool = False) -> list[str]:
    """Write the folders clips, predictions, tracks, attention and, if asked, features/<backbone>, of Parquet files.

    Args:
        run: `results/<run>`.
        out: The folder to make.
        model: The models whose predictions are written; none: the run's answer.
        features: Whether to write the vectors.

    Returns:
        Remarks for the user.

    Raises:
        CacheError: The run is not finished, or its cache is missing or damaged.
        ConfigError: There is no such model, or the folder is taken.
    """
    with Contents(run, model, features=features) as contents, new_folder(out) as folder:
        writers = {
            name: PartWriter(folder / name, {column: TYPES[kind] for column, kind in columns.items()})
            for name, columns in tables.columns(contents.space).items()
        }
        vector = {"clip": pl.String, "time": pl.Float64, "x": pl.List(pl.Float32)}
        for name in contents.backbones:
            writers[f"features/{name}"] = PartWriter(folder / "features" / name, vector)
        for clip in contents.clips():
            for name, row in tables.rows(clip):
                writers[name].add(row)
            for name, time, x in tables.vectors(clip):
                row = {"clip": clip.id, "time": time, "x": np.asarray(x, np.float32)}
                writers[f"features/{name}"].add(row, numbers=len(x))
        for writer in writers.values():
            writer.close()
    return contents.remarks
