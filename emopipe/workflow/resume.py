"""The command `emopipe resume`: goes on with a run that was killed, unless it is still alive."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from emopipe.core.errors import EmopipeError, RunningError
from emopipe.workflow import launch

NOTE = Path(".snakemake/emopipe-run.json")
"""In the working folder, while a run is under way: who runs it, and where its jobs go."""
CLOCK_SECONDS = 10.0
"""A process' time of creation may seem to move by as much, as clocks are set; no number is given out again so soon."""
ASKING_SECONDS = 60
LOCAL = ("local", "dryrun", "touch")
"""Executors that send nothing to a cluster."""


def begin(folder: Path, executor: str = "local", name: str = "") -> None:
    """Note that this process runs the workflow in a working folder.

    Args:
        folder: The working folder.
        executor: What runs the jobs: `local` for processes of this computer, else the plugin of a cluster.
        name: What the cluster calls the run's jobs, where that is known.
    """
    about = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "created": psutil.Process().create_time(),
        "user": os.getuid(),
        "executor": executor,
        "name": name,
    }
    (folder / NOTE).write_text(json.dumps(about), encoding="utf-8")


def begin_workflow(folder: Path, workflow: Any) -> None:
    """The same, out of Snakemake's own object: it tells the executor, and Slurm's plugin what it calls the jobs."""
    plugin = getattr(workflow, "executor_plugin", None)
    executor = getattr(getattr(workflow, "scheduler", None), "_executor", None)
    begin(folder, getattr(plugin, "name", "local"), str(getattr(executor, "run_uuid", "")))


def end(folder: Path) -> None:
    """Take the note back, as the run is over."""
    (folder / NOTE).unlink(missing_ok=True)


def resume(
    context: typer.Context,
    elsewhere: Annotated[
        bool,
        typer.Option(help="A run that was noted on another computer, and jobs that cannot be asked, are surely over."),
    ] = False,
) -> None:
    """Unlock the working folder of a run that was killed, and run Snakemake with the arguments that follow.

    Nothing is unlocked while that run, or one of its jobs, is alive.
    """
    folder = _folder(context.args)
    try:
        refuse_alive(folder, elsewhere=elsewhere)
        snakemake = launch.command(context.args, Path.cwd())
    except EmopipeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    if any((folder / ".snakemake/locks").glob("*")) and (code := subprocess.call([*snakemake, "--unlock"])):
        raise typer.Exit(code)
    raise typer.Exit(subprocess.call([*snakemake, "--rerun-incomplete"]))


def refuse_alive(folder: Path, *, elsewhere: bool = False) -> None:
    """Raise a RunningError where a run, or a job of one, is alive in a working folder.

    Args:
        folder: The working folder.
        elsewhere: What cannot be seen from here is over: a run on another computer, or jobs of a cluster that does
            not answer.
    """
    note = _noted(folder)
    if found := _processes(folder, note):
        what = ", ".join(f"{process.pid} ({process.info['cmdline'][-1]})" for process in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise RunningError(
            f"A run is still alive in {folder}: process {what}{more}. Wait for it to end, or stop it with "
            f"`kill {' '.join(str(process.pid) for process in found)}`; then resume."
        )
    host = note.get("host", "")
    if host not in ("", socket.gethostname()) and not elsewhere:
        raise RunningError(
            f"The run in {folder} was started on {host}, whose processes cannot be seen from here. Resume there, or, "
            "if it is surely over, say so with --elsewhere."
        )
    if note.get("executor", "local") not in LOCAL:
        _refuse_submitted(folder, note, elsewhere=elsewhere)


def _refuse_submitted(folder: Path, note: Mapping[str, Any], *, elsewhere: bool) -> None:
    """Raise a RunningError where a cluster still has jobs of the noted run, or where it does not say."""
    jobs = _slurm_jobs(folder, note) if note["executor"] == "slurm" else None
    if jobs:
        more = f" and {len(jobs) - 3} more" if len(jobs) > 3 else ""
        raise RunningError(
            f"Slurm still has jobs of the run in {folder}: {', '.join(jobs[:3])}{more}. Wait for them to end, or stop "
            f"them with `scancel {' '.join(jobs)}`; then resume."
        )
    if jobs is None and not elsewhere:
        why = "squeue does not answer here" if note["executor"] == "slurm" else "which cannot be asked from here"
        raise RunningError(
            f"The run in {folder} sent its jobs to a cluster ({note['executor']}): {why}. Look there whether any is "
            "left, and stop it; if all are surely over, say so with --elsewhere."
        )


def _slurm_jobs(folder: Path, note: Mapping[str, Any]) -> list[str] | None:
    """Numbers of the jobs that Slurm has of the noted run; None where it cannot be asked."""
    squeue = shutil.which("squeue")
    if squeue is None:
        return None
    command = [squeue, "--noheader", "--format=%A|%j|%Z", f"--user={note.get('user', os.getuid())}"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=ASKING_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = []
    for line in filter(None, asked.stdout.splitlines()):
        number, name, where = [*line.split("|", 2), "", ""][:3]
        # Snakemake names all jobs of a run alike; where the name is not known, they are told by their folder.
        ours = name == note["name"] if note.get("name") else bool(where) and Path(where).resolve() == folder
        if ours and number != os.environ.get("SLURM_JOB_ID"):  # this may be a job itself
            found.append(number)
    return list(dict.fromkeys(found))  # an array's jobs share a number


def _processes(folder: Path, note: Mapping[str, Any]) -> list[psutil.Process]:
    """Snakemake's processes that work in a folder, its jobs among them, but for this one and those that called it."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "create_time", "status"]):  # None: may not be looked at
        process.info["cmdline"] = process.info["cmdline"] or [""]
        if process.pid in own or process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        if _works_in(folder, process) or _is_noted(note, process):
            found.append(process)
    return found


def _works_in(folder: Path, process: psutil.Process) -> bool:
    command, here = process.info["cmdline"], process.info["cwd"]
    if not Path(command[0]).name.startswith(("python", "snakemake")):
        return False
    if here is None:  # another user's: its arguments may be seen all the same
        return any(part == str(folder) or part.startswith(f"{folder}/.snakemake/") for part in command[1:])
    return Path(here) == folder and any("snakemake" in part for part in command)


def _is_noted(note: Mapping[str, Any], process: psutil.Process) -> bool:
    """Whether it is the very process that the note is of: this needs no rights, whoever started it."""
    if (note.get("host"), note.get("pid")) != (socket.gethostname(), process.pid) or "created" not in note:
        return False
    return abs((process.info["create_time"] or 0) - note["created"]) < CLOCK_SECONDS


def _noted(folder: Path) -> dict[str, Any]:
    """The note of a run; nothing where there is none."""
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _folder(arguments: list[str]) -> Path:
    """Snakemake's working folder, by its arguments."""
    for number, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in ("--directory", "-d"):
            return Path(value if equals else arguments[number + 1]).resolve()
    return Path.cwd().resolve()
