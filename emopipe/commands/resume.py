"""The command `emopipe resume`."""

import subprocess
from pathlib import Path
from typing import Annotated

import typer

from emopipe.core.errors import EmopipeError
from emopipe.workflow import launch
from emopipe.workflow.resume import refuse_alive


def resume(
    context: typer.Context,
    elsewhere: Annotated[
        bool,
        typer.Option(help="If a run on another computer or cluster jobs cannot be checked, assume that they ended."),
    ] = False,
) -> None:
    """Continue a run that was killed.

    Unlocks the working folder, then calls Snakemake with the arguments that follow. Stops without unlocking if that
    run, or one of its jobs, is still alive.
    """
    folder = _working_folder(context.args)
    try:
        refuse_alive(folder, elsewhere=elsewhere)
        snakemake = launch.command(context.args, Path.cwd())
    except EmopipeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    if any((folder / ".snakemake/locks").glob("*")) and (code := subprocess.call([*snakemake, "--unlock"])):
        raise typer.Exit(code)
    raise typer.Exit(subprocess.call([*snakemake, "--rerun-incomplete"]))


def _working_folder(arguments: list[str]) -> Path:
    """Return the working folder that Snakemake's arguments name; the current folder if they name none."""
    for number, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in ("--directory", "-d"):
            return Path(value if equals else arguments[number + 1]).resolve()
    return Path.cwd().resolve()
