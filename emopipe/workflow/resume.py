"""Record which process runs the workflow in a folder, and refuse to resume a run that is still alive."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from emopipe.core.errors import RunningError

NOTE = Path(".snakemake/emopipe-run.json")
"""The file in the working folder that exists while a run is active: who runs it, and where its jobs go."""
CLOCK_SECONDS = 10.0
"""Largest difference in seconds of a process' creation time when it is read again, because clocks are adjusted."""
SQUEUE_SECONDS = 60
LOCAL = ("local", "dryrun", "touch")
"""Executors that submit nothing to a cluster."""


def begin(folder: Path, executor: str = "local", name: str = "") -> None:
    """Record that this process runs the workflow in a working folder.

    Args:
        folder: The working folder.
        executor: Snakemake's executor: `local` for processes on this computer, else the plugin of a cluster.
        name: The cluster's name for the jobs of this run, if known.
    """
    note = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "created": psutil.Process().create_time(),
        "user": os.getuid(),
        "executor": executor,
        "name": name,
    }
    (folder / NOTE).write_text(json.dumps(note), encoding="utf-8")


def begin_workflow(folder: Path, workflow: Any) -> None:
    """Record the run of a Snakemake workflow object, which knows the executor and Slurm's name for the jobs."""
    plugin = getattr(workflow, "executor_plugin", None)
    executor = getattr(getattr(workflow, "scheduler", None), "_executor", None)
    begin(folder, getattr(plugin, "name", "local"), str(getattr(executor, "run_uuid", "")))


def end(folder: Path) -> None:
    """Remove the record, because the run is over."""
    (folder / NOTE).unlink(missing_ok=True)


def refuse_alive(folder: Path, *, elsewhere: bool = False) -> None:
    """Raise a RunningError if a run, or one of its jobs, is still alive in a working folder.

    Args:
        folder: The working folder.
        elsewhere: Assume that a run on another computer, or jobs of a cluster that cannot be asked, have ended.
    """
    # 1. What the run recorded; nothing if there is no record, or if it is damaged.
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        note = {}
    note = note if isinstance(note, dict) else {}
    # 2. Processes on this computer.
    if found := _processes(folder, note):
        listed = [f"{process.pid} ({process.info['cmdline'][-1]})" for process in found]
        raise RunningError(
            f"A run is still alive in {folder}: process {_first(listed)}. Wait for it to end, or stop it with "
            f"`kill {' '.join(str(process.pid) for process in found)}`; then resume."
        )
    # 3. A run on another computer.
    host = note.get("host", "")
    if host not in ("", socket.gethostname()) and not elsewhere:
        raise RunningError(
            f"The run in {folder} was started on {host}, and its processes cannot be seen from here. Resume it there. "
            "If you are sure that it is over, resume it here with --elsewhere."
        )
    # 4. Jobs on a cluster.
    if note.get("executor", "local") not in LOCAL:
        _refuse_submitted(folder, note, elsewhere=elsewhere)


def _processes(folder: Path, note: Mapping[str, Any]) -> list[psutil.Process]:
    """Return the processes of Snakemake and of its jobs in a folder, but not this process and its parents."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "create_time", "status"]):  # None: may not be read
        process.info["cmdline"] = process.info["cmdline"] or [""]
        if process.pid in own or process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        if _works_in(folder, process) or _is_recorded(note, process):
            found.append(process)
    return found


def _works_in(folder: Path, process: psutil.Process) -> bool:
    """Return whether a process looks like Snakemake, or a job of it, in this folder."""
    command, here = process.info["cmdline"], process.info["cwd"]
    if not Path(command[0]).name.startswith(("python", "snakemake")):
        return False
    if here is None:  # a process of another user, whose arguments can still be read
        return any(part == str(folder) or part.startswith(f"{folder}/.snakemake/") for part in command[1:])
    return Path(here) == folder and any("snakemake" in part for part in command)


def _is_recorded(note: Mapping[str, Any], process: psutil.Process) -> bool:
    """Return whether a process is the recorded one. This works for processes of other users too."""
    if (note.get("host"), note.get("pid")) != (socket.gethostname(), process.pid) or "created" not in note:
        return False
    return abs((process.info["create_time"] or 0) - note["created"]) < CLOCK_SECONDS


def _refuse_submitted(folder: Path, note: Mapping[str, Any], *, elsewhere: bool) -> None:
    """Raise a RunningError if a cluster still has jobs of the recorded run, or if it cannot be asked."""
    executor = note["executor"]
    jobs = _slurm_jobs(folder, note) if executor == "slurm" else None
    if jobs:
        raise RunningError(
            f"Slurm still has jobs of the run in {folder}: {_first(jobs)}. Wait for them to end, or stop them with "
            f"`scancel {' '.join(jobs)}`; then resume."
        )
    if jobs is None and not elsewhere:
        why = "squeue does not answer here" if executor == "slurm" else "emopipe cannot ask it for them"
        raise RunningError(
            f"The run in {folder} submitted its jobs to a cluster ({executor}), but {why}. Check on the cluster "
            "whether jobs are left, and stop them. If you are sure that there are none, resume with --elsewhere."
        )


def _slurm_jobs(folder: Path, note: Mapping[str, Any]) -> list[str] | None:
    """Return the numbers of the jobs that Slurm has of the recorded run; None if Slurm cannot be asked."""
    squeue = shutil.which("squeue")
    if squeue is None:
        return None
    command = [squeue, "--noheader", "--format=%A|%j|%Z", f"--user={note.get('user', os.getuid())}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=SQUEUE_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = []
    for line in filter(None, answer.stdout.splitlines()):
        number, name, where = [*line.split("|", 2), "", ""][:3]
        # All jobs of a run of Snakemake have one name. If that is unknown, the folder identifies them.
        ours = name == note["name"] if note.get("name") else bool(where) and Path(where).resolve() == folder
        if ours and number != os.environ.get("SLURM_JOB_ID"):  # `emopipe resume` may itself run as a job
            found.append(number)
    return list(dict.fromkeys(found))  # the jobs of an array share a number


def _first(names: list[str]) -> str:
    """Return the first three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
