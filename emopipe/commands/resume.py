"""The command `emopipe resume`."""

import itertools
import os
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from emopipe.core.errors import ConfigError
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
    refuse_alive(folder, elsewhere=elsewhere)
    snakemake = launch.command(context.args, Path.cwd())
    if any((folder / ".snakemake/locks").glob("*")) and (code := subprocess.call([*snakemake, "--unlock"])):
        raise typer.Exit(code)
    # In place of this process, so that Snakemake itself gets Ctrl-C and has the time to end its jobs and to unlock.
    words = [*snakemake, "--rerun-incomplete"]
    os.execv(words[0], words)


def _working_folder(arguments: list[str]) -> Path:
    """Return the working folder that Snakemake's arguments name; the current folder if they name none.

    Raises:
        ConfigError: The option for the folder has none.
    """
    for argument, following in itertools.pairwise([*arguments, ""]):
        name, equals, value = argument.partition("=")
        if name in ("--directory", "-d"):
            given = value if equals else following
            if not given:
                raise ConfigError(f"{name} has no folder after it. Write {name} FOLDER.")
            return Path(given).resolve()
        if argument.startswith("-d"):
            return Path(argument.removeprefix("-d")).resolve()
    return Path.cwd().resolve()
