"""The format `csv`: a folder of tables as text, which any program reads."""

import csv
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from emopipe.core.labels import NOTHING, SEPARATOR
from emopipe.export import tables
from emopipe.export.contents import Contents
from emopipe.export.folders import file_name, new_folder

OPTIONS = ("model", "features")
_DIGITS = {"time": 6, "weight": 6, "score": 4}
"""Column -> digits after the point; pixels have 2, and other numbers those that they have."""


def write(run: Path, out: Path, *, model: Sequence[str] = (), features: bool = False) -> list[str]:
    """Write clips.csv, predictions.csv, tracks.csv, attention.csv and, if asked, features/<backbone>.csv.

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
    with Contents(run, model, features=features) as contents, new_folder(out) as folder, ExitStack() as stack:
        writers = {
            name: _table(stack, folder / f"{name}.csv", list(columns))
            for name, columns in tables.columns(contents.space).items()
        }
        for name, dim in contents.backbones.items():
            columns = ["clip", "time", *(f"x{number}" for number in range(dim))]
            writers[f"features/{name}"] = _table(stack, folder / "features" / file_name(name, ".csv"), columns)
        for clip in contents.clips():
            for name, row in tables.rows(clip):
                writers[name].writerow([_text(column, cell) for column, cell in row.items()])
            for name, time, vector in tables.vectors(clip):
                writers[f"features/{name}"].writerow([clip.id, f"{time:.6f}", *(f"{x:.9g}" for x in vector)])
    return contents.remarks


def _table(stack: ExitStack, path: Path, columns: Sequence[str]) -> Any:
    """Open a table and write its first line; the file closes with the stack. Return the writer of the module csv."""
    path.parent.mkdir(exist_ok=True)
    file = stack.enter_context(path.open("w", encoding="utf-8", newline=""))
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    return writer


def _text(column: str, cell: Any) -> str:
    """Return a cell as text: "" for None, 1 and 0 for yes and no, numbers without needless digits, `;` in lists."""
    if cell is None:
        return ""
    if isinstance(cell, list):
        return SEPARATOR.join(cell) or NOTHING
    if isinstance(cell, bool):
        return str(int(cell))
    if isinstance(cell, float) and column in _DIGITS:
        return f"{cell:.{_DIGITS[column]}f}"
    if isinstance(cell, float) and column in tables.PIXELS:
        return f"{cell:.2f}"
    return str(cell)
