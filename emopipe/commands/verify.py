"""The command `emopipe verify`."""

from pathlib import Path
from typing import Annotated

import typer

from emopipe.cache.metadata import UNREADABLE, read_sealed
from emopipe.cache.store import Reader
from emopipe.core import tables
from emopipe.core.atomic import is_temporary, set_aside
from emopipe.core.errors import CacheError, DamagedCacheError
from emopipe.core.log import LOGGER, Progress, log_to


def verify(folder: Annotated[Path, typer.Argument(help="A cache, such as cache/demo, or a folder in one.")]) -> None:
    """Read every file of a cache and compare it with its checksums.

    Renames damaged files to `<name>.damaged`, so that the next run makes them again. Exits with 1 if a file is damaged.
    """
    log_to(None)
    paths = _files(folder)
    if not paths:
        message = f"There are no cache files (.h5, .safetensors, .csv) in {folder}. Name a cache, such as cache/demo."
        typer.echo(message, err=True)
        raise typer.Exit(1)
    progress = Progress("verifying", len(paths), unit="files")
    faults = 0
    for path in paths:
        fault = _fault(path)
        if fault:
            faults += 1
            LOGGER.error(fault)
        progress.advance()
    typer.echo(f"{len(paths) - faults} of {len(paths)} files are intact.")
    raise typer.Exit(bool(faults))


def _files(folder: Path) -> list[Path]:
    """Return the files to read: cache files, weights that emopipe wrote, and tables of clips."""
    found = [*folder.rglob("*.h5"), *filter(_is_sealed, folder.rglob("*.safetensors"))]
    for sums in folder.rglob(tables.SUMS):
        found += filter(Path.is_file, map(sums.with_name, tables.sealed(sums.parent)))
    # A temporary file belongs to a running job and is not complete yet.
    return sorted(path for path in found if not is_temporary(path))


def _is_sealed(path: Path) -> bool:
    """Return whether weights have a checksum. Unreadable weights count too, because they must be damaged."""
    try:
        return bool(read_sealed(path)[1])
    except UNREADABLE:
        return True


def _fault(path: Path) -> str:
    """Return what is wrong with a file, after renaming it if it is damaged; "" if it is intact."""
    try:
        _read(path)
    except DamagedCacheError as error:
        return f"{error} The damaged file is now {set_aside(path)}."
    except CacheError as error:
        return str(error) if path.exists() else ""  # a running job may have removed it
    except OSError as error:
        return f"{path} cannot be read ({error.strerror or error}). It may be intact: correct this and verify again."
    return ""


def _read(path: Path) -> None:
    """Read a file to its end.

    Raises:
        CacheError: The file is damaged (DamagedCacheError), or it cannot be read for another reason.
    """
    if path.suffix == ".safetensors":
        from emopipe.cache.tensors import read_whole  # torch is slow to import

        try:
            read_whole(path, sealed=True)
        except OSError as error:
            raise CacheError(f"{path} cannot be read ({error}). Make the file readable.") from error
        except UNREADABLE as error:
            raise DamagedCacheError(path, f"it does not hold whole weights: {error}") from error
    elif path.suffix == ".csv":
        tables.read(path)
    else:
        with Reader(path) as reader:
            for _ in reader.rows():
                pass
