"""The command `emopipe inspect`."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from emopipe.cache.h5reading import named_errors, open_file
from emopipe.core.errors import CacheError, DamagedCacheError, MissingCacheError

EXAMPLE = "Name a file such as cache/demo/faces/main/00.h5"


def inspect(file: Annotated[Path, typer.Argument(help="A cache file (.h5).")]) -> None:
    """Show the recipe that made a cache file, and the number of its clips with each status."""
    attributes, status = _read(file)
    for name, value in attributes.items():
        typer.echo(f"{name}: {value}")
    typer.echo(f"clips: {dict(sorted(status.items()))}")


def _read(file: Path) -> tuple[dict[str, Any], Counter[str]]:
    """Return the attributes of a cache file, and the number of its clips with each status.

    Raises:
        CacheError: It is not a cache file, or it cannot be read.
    """
    if file.is_dir():
        raise CacheError(f"{file} is a folder, expected a cache file (.h5). {EXAMPLE}.")
    try:
        with named_errors(file), open_file(file) as cache:
            return dict(cache.attrs), Counter(text.decode() for text in cache["clips/status"][:])
    except MissingCacheError:
        raise CacheError(f"{file} does not exist. {EXAMPLE}.") from None
    except DamagedCacheError as error:
        raise CacheError(f"{file} is not a cache file of emopipe ({error.__cause__}). {EXAMPLE}.") from None
    except OSError as error:
        raise CacheError(f"{file} cannot be read ({error.strerror}). Correct this, then try again.") from None
