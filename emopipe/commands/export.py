"""The command `emopipe export`."""

from pathlib import Path
from typing import Annotated

import typer

from emopipe.core.log import log_to
from emopipe.export import formats


def export(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run: results/RUN.")],
    to: Annotated[str, typer.Option(help=f"The format: {', '.join(formats.FORMATS)}.")],
    out: Annotated[Path, typer.Option(help="The file or folder to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace what an earlier export wrote there.")] = False,
) -> None:
    """Write a finished run for use elsewhere: as a bundle that predicts by itself, or in a format of other tools."""
    log_to(None)
    writer = formats.load(to)
    formats.refuse_taken(out, force=force)
    for remark in writer.write(run, out):
        typer.echo(remark)
    typer.echo(f"{out} is written.")
