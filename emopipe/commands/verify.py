"""The command `emopipe verify`: reads all files of a cache and compares what they hold with its digests."""

from pathlib import Path
from typing import Annotated

import typer

from emopipe.cache.metadata import UNREADABLE, read_sealed
from emopipe.cache.store import Reader
from emopipe.core import tables
from emopipe.core.atomic import is_temporary, set_aside
from emopipe.core.errors import CacheError, DamagedCacheError
from emopipe.core.log import Progress, log_to


def verify(folder: Annotated[Path, typer.Argument(help="A cache, such as cache/demo, or a part of one.")]) -> None:
    """Read every file of a cache; damaged ones are put aside, so that the next run makes them anew."""
    log_to(None)
    paths = _files(folder)
    if not paths:
        said = f"There are no cache files (.h5, .safetensors, .csv) in {folder}: name a cache, such as cache/demo."
        typer.echo(said, err=True)
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


def _files(folder: Path) -> list[Path]:
    """The files to read: all of the cache's format; weights, but for those of other programs; tables of clips."""
    found = [*folder.rglob("*.h5"), *filter(_is_sealed, folder.rglob("*.safetensors"))]
    for sums in folder.rglob(tables.SUMS):
        found += filter(Path.is_file, map(sums.with_name, tables.noted(sums.parent)))
    # What a running job is about to rename is not whole yet, and its own.
    return sorted(path for path in found if not is_temporary(path))


def _is_sealed(path: Path) -> bool:
    """Whether weights can be compared with a digest; so can damaged ones, as they cannot be whole."""
    try:
        return bool(read_sealed(path)[1])
    except UNREADABLE:
        return True


def _fault(path: Path) -> str:
    """What is wrong with a file, and what was done about it; "" where it is whole."""
    try:
        _read(path)
    except DamagedCacheError as error:
        return f"{error} It lies as {set_aside(path)} meanwhile."
    except CacheError as error:
        return str(error) if path.exists() else ""  # a running job removes its parts
    return ""


def _read(path: Path) -> None:
    """Read a file.

    Raises:
        CacheError: It is damaged, or another fault keeps it from being read.
    """
    if path.suffix == ".safetensors":
        from emopipe.cache.tensors import read_whole  # torch is slow to import

        try:
            read_whole(path, sealed=True)
        except OSError as error:
            raise CacheError(f"{path} cannot be read ({error}): make it readable.") from error
        except UNREADABLE as error:
            raise DamagedCacheError(path, f"it holds no whole weights: {error}") from error
    elif path.suffix == ".csv":
        tables.read(path)
    else:
        with Reader(path) as reader:
            for _ in reader.rows():
                pass
