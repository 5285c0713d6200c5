"""The command `emopipe check`."""

from pathlib import Path
from typing import Annotated

import typer

from emopipe.core.errors import EmopipeError
from emopipe.workflow import config as configs


def check(
    config: Annotated[Path, typer.Argument(help="A config file.")],
    corpus_root: Annotated[
        str | None, typer.Option(help="The folder of the corpus, for a config that does not set corpus_root.")
    ] = None,
) -> None:
    """Check a config file. The corpus and the weights are not read."""
    try:
        raw = configs.read(config)
        checked = configs.parse({**raw, **({"corpus_root": corpus_root} if corpus_root else {})})
    except EmopipeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{config} is valid: run {checked.run}, models {', '.join(checked.models) or 'none'}.")
