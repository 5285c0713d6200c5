"""The command `emopipe run`: Snakemake with this project's workflow, from any folder."""

import os
from pathlib import Path

import typer

from emopipe.workflow.launch import command


def run(context: typer.Context) -> None:
    """Run the workflow in the current folder: `emopipe run CONFIG`, then any of Snakemake's arguments.

    All of them but --debug go to Snakemake.

    CONFIG is a file, or the name of a shipped config such as smoke. Without one the demo runs.
    Results go to results/, reusable files to cache/. -n shows what would run. Without --cores, all cores are used.
    """
    words = command(context.args, Path.cwd())
    # In place of this process, so that Snakemake itself gets Ctrl-C and SIGTERM.
    os.execv(words[0], words)
