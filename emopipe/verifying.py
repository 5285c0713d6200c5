"""The command `emopipe verify`: reads all files of a cache and compares every row with its digest."""

from pathlib import Path
from typing import Annotated

import typer

from emopipe.errors import CacheError, DamagedCacheError
from emopipe.files import is_temporary, set_aside
from emopipe.progress import Progress, log_to
from emopipe.store import Reader


def verify(folder: Annotated[Path, typer.Argument(help="A cache, such as cache/demo, or a part of one.")]) -> None:
    """Read every file of a cache; damaged ones are put aside, so that the next run makes them anew."""
    log_to(None)
    # What a running job is about to rename is not whole yet, and its own.
    paths = sorted(path for path in folder.rglob("*.h5") if not is_temporary(path))
    if not paths:
        typer.echo(f"There are no cache files (.h5) in {folder}: name a cache, such as cache/demo.", err=True)
        raise typer.Exit(1)
    progress = Progress("verifying", len(paths), unit="files")
    faults = 0
    for path in paths:
        fault = _fault(path)
        if fault:
            faults += 1
            typer.echo(fault, err=True)
        progress.advance()
    typer.echo(f"{len(paths) - faults} of {len(paths)} files are whole.")
    raise typer.Exit(bool(faults))


def _fault(path: Path) -> str:
    """What is wrong with a file, and what was done about it; "" where it is whole."""
    try:
        with Reader(path) as reader:
            for _ in reader.rows():
                pass
    except DamagedCacheError as error:
        return f"{error} It lies as {set_aside(path)} meanwhile."
    except CacheError as error:
        return str(error) if path.exists() else ""  # a running job removes its parts
    return ""
