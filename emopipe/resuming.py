"""The command `emopipe resume`: goes on with a run that was killed, unless it is still alive."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import psutil
import typer

from emopipe.errors import EmopipeError, RunningError

NOTE = Path(".snakemake/emopipe-run.json")
"""In the working folder, while a run is under way: on which computer. The processes of another cannot be seen."""


def begin(folder: Path) -> None:
    """Note that this process runs the workflow in a working folder."""
    about = {"host": socket.gethostname(), "pid": os.getpid()}
    (folder / NOTE).write_text(json.dumps(about), encoding="utf-8")


def end(folder: Path) -> None:
    """Take the note back, as the run is over."""
    (folder / NOTE).unlink(missing_ok=True)


def resume(
    context: typer.Context,
    elsewhere: Annotated[bool, typer.Option(help="The run that was noted on another computer is surely over.")] = False,
) -> None:
    """Unlock the working folder of a run that was killed, and run Snakemake with the arguments that follow.

    Nothing is unlocked while that run, or one of its jobs, is alive.
    """
    folder = _folder(context.args)
    try:
        refuse_alive(folder, elsewhere=elsewhere)
    except EmopipeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    snakemake = [sys.executable, "-m", "snakemake", *context.args]
    if any((folder / ".snakemake/locks").glob("*")) and (code := subprocess.call([*snakemake, "--unlock"])):
        raise typer.Exit(code)
    raise typer.Exit(subprocess.call([*snakemake, "--rerun-incomplete"]))


def refuse_alive(folder: Path, *, elsewhere: bool = False) -> None:
    """Raise a RunningError where a run, or a job of one, is alive in a working folder.

    Args:
        folder: The working folder.
        elsewhere: A run that was noted on another computer is over.
    """
    if found := _processes(folder):
        what = ", ".join(f"{process.pid} ({process.info['cmdline'][-1]})" for process in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise RunningError(
            f"A run is still alive in {folder}: process {what}{more}. Wait for it to end, or stop it with "
            f"`kill {' '.join(str(process.pid) for process in found)}`; then resume."
        )
    host = _noted_host(folder)
    if host not in ("", socket.gethostname()) and not elsewhere:
        raise RunningError(
            f"The run in {folder} was started on {host}, whose processes cannot be seen from here. Resume there, or, "
            "if it is surely over, say so with --elsewhere."
        )


def _processes(folder: Path) -> list[psutil.Process]:
    """Snakemake's processes that work in a folder, its jobs among them, but for this one and those that called it."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):  # what may not be looked at is None
        command, here = process.info["cmdline"] or [""], process.info["cwd"]
        is_python = Path(command[0]).name.startswith(("python", "snakemake"))
        if here and is_python and process.pid not in own and Path(here) == folder:
            found += [process] if any("snakemake" in part for part in command) else []
    return found


def _noted_host(folder: Path) -> str:
    try:
        return json.loads((folder / NOTE).read_text(encoding="utf-8"))["host"]
    except (OSError, ValueError, KeyError):
        return ""


def _folder(arguments: list[str]) -> Path:
    """Snakemake's working folder, by its arguments."""
    for number, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in ("--directory", "-d"):
            return Path(value if equals else arguments[number + 1]).resolve()
    return Path.cwd().resolve()
