"""The command `emopipe inspect`."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import h5py
import typer


def inspect(file: Annotated[Path, typer.Argument(help="A cache file (.h5).")]) -> None:
    """Show the recipe that made a cache file, and the number of its clips with each status."""
    try:
        with h5py.File(file, "r") as cache:
            attributes = dict(cache.attrs)
            status = Counter(text.decode() for text in cache["clips/status"][:])
    except (OSError, KeyError) as error:
        message = f"{file} is not a cache file of emopipe ({error}). Name a file such as cache/demo/faces/main/00.h5."
        typer.echo(message, err=True)
        raise typer.Exit(1) from None
    for name, value in attributes.items():
        typer.echo(f"{name}: {value}")
    typer.echo(f"clips: {dict(sorted(status.items()))}")
