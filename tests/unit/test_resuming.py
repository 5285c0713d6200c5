"""Resuming: not while a run is alive, and with the arguments of the run."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from emopipe.commands import resume as command
from emopipe.commands.main import app
from emopipe.core.errors import RunningError
from emopipe.workflow import resume


@pytest.fixture
def stand_in(tmp_path):
    """A process that looks like a job of Snakemake in a folder."""
    sleeper = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)", ".snakemake/scripts/x.decode.py"], cwd=tmp_path
    )
    while psutil.Process(sleeper.pid).cmdline()[-1:] != [".snakemake/scripts/x.decode.py"]:
        time.sleep(0.01)
    yield sleeper
    sleeper.kill()
    sleeper.wait()


def test_a_live_job_is_named_and_refused(tmp_path, stand_in):
    with pytest.raises(RunningError, match=rf"still alive in .*: process {stand_in.pid} .*kill {stand_in.pid}"):
        resume.refuse_alive(tmp_path)
    stand_in.kill()
    stand_in.wait()
    resume.refuse_alive(tmp_path)


def test_a_job_in_another_folder_is_none_of_ours(tmp_path, stand_in):
    other = tmp_path / "other"
    other.mkdir()
    resume.refuse_alive(other)


def test_a_run_on_another_computer_is_refused_until_it_is_said_to_be_over(tmp_path):
    (tmp_path / ".snakemake").mkdir()
    resume.begin(tmp_path)
    resume.refuse_alive(tmp_path)  # begun here, and over
    (tmp_path / resume.NOTE).write_text(json.dumps({"host": "node7", "pid": 1}))
    with pytest.raises(RunningError, match=r"started on node7.*--elsewhere"):
        resume.refuse_alive(tmp_path)
    resume.refuse_alive(tmp_path, elsewhere=True)
    resume.end(tmp_path)
    resume.refuse_alive(tmp_path)


def noted(folder, **changes):
    """A folder with a run's note, changed."""
    (folder / ".snakemake").mkdir(exist_ok=True)
    resume.begin(folder)
    note = json.loads((folder / resume.NOTE).read_text()) | changes
    (folder / resume.NOTE).write_text(json.dumps(note))
    return folder


def test_the_noted_process_is_known_by_its_number_and_creation(tmp_path):
    """Another user's process shows neither its folder nor that it is of Snakemake's."""
    with subprocess.Popen(["sleep", "60"], cwd="/") as other:
        created = psutil.Process(other.pid).create_time()
        noted(tmp_path, pid=other.pid, created=created)
        with pytest.raises(RunningError, match=rf"still alive in .*kill {other.pid}`"):
            resume.refuse_alive(tmp_path)
        noted(tmp_path, pid=other.pid, created=created - 3600)  # the number was given out again
        resume.refuse_alive(tmp_path)
        noted(tmp_path, pid=other.pid, created=created)
        other.kill()
        while psutil.Process(other.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        resume.refuse_alive(tmp_path)


def test_another_users_job_is_known_by_its_arguments(tmp_path, monkeypatch):
    job = [sys.executable, "-c", "import time; time.sleep(60)", f"{tmp_path}/.snakemake/scripts/x.decode.py"]
    with subprocess.Popen(job, cwd="/") as other:
        while psutil.Process(other.pid).cmdline()[-1:] != job[-1:]:
            time.sleep(0.01)
        seen = psutil.process_iter

        def without_folders(attributes):
            for process in seen(attributes):
                process.info["cwd"] = None
                yield process

        monkeypatch.setattr(resume.psutil, "process_iter", without_folders)
        with pytest.raises(RunningError, match=f"kill {other.pid}`"):
            resume.refuse_alive(tmp_path)
        resume.refuse_alive(tmp_path.parent)
        other.kill()


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """A stand-in for Slurm's, which says what is in a file, or fails where there is none; the file's path."""
    commands, answer = tmp_path / "bin", tmp_path / "answer"
    commands.mkdir()
    (commands / "squeue").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nexec cat {answer}\n')
    (commands / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    return answer


@pytest.mark.parametrize("elsewhere", [False, True])
def test_jobs_that_slurm_still_has_are_named_and_refused(tmp_path, squeue, elsewhere):
    folder = noted(tmp_path, executor="slurm", name="run-7")
    squeue.write_text(f"11|run-7|/home\n12|run-7|/home\n12|run-7|/home\n13|other|{tmp_path}\n")
    with pytest.raises(RunningError, match=r"Slurm still has jobs .*11, 12\. .*`scancel 11 12`"):
        resume.refuse_alive(folder, elsewhere=elsewhere)
    assert (tmp_path / "asked").read_text().split()[-1] == f"--user={os.getuid()}"
    squeue.write_text(f"13|other|{tmp_path}\n")
    resume.refuse_alive(folder)
    squeue.write_text("")
    resume.refuse_alive(folder)


def test_slurms_jobs_without_a_known_name_are_told_by_their_folder(tmp_path, squeue, monkeypatch):
    folder = noted(tmp_path, executor="slurm", name="")
    squeue.write_text(f"11|a|{tmp_path}\n12|b|/home\n13|c|\n")
    with pytest.raises(RunningError, match="`scancel 11`"):
        resume.refuse_alive(folder)
    monkeypatch.setenv("SLURM_JOB_ID", "11")  # `resume` itself is a job there
    resume.refuse_alive(folder)


@pytest.mark.parametrize("executor", ["slurm", "kubernetes"])
def test_a_cluster_that_cannot_be_asked_is_refused_until_its_jobs_are_said_to_be_over(tmp_path, squeue, executor):
    folder = noted(tmp_path, executor=executor)  # squeue fails, as it has no answer
    with pytest.raises(RunningError, match=rf"jobs to a cluster \({executor}\).*--elsewhere"):
        resume.refuse_alive(folder)
    resume.refuse_alive(folder, elsewhere=True)


def test_where_there_is_no_squeue_slurm_cannot_be_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunningError, match="squeue does not answer here"):
        resume.refuse_alive(noted(tmp_path, executor="slurm"))


def test_an_older_note_and_a_damaged_one_stop_nothing(tmp_path):
    (tmp_path / ".snakemake").mkdir()
    for text in (json.dumps({"host": "", "pid": os.getppid()}), "[]", "{"):
        (tmp_path / resume.NOTE).write_text(text)
        resume.refuse_alive(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("executor", "expected"), [("local", ("local", False)), ("slurm", ("slurm", True))], ids=["local", "slurm"]
)
def test_the_snakefile_notes_its_executor(tmp_path, executor, expected):
    """By a workflow of one rule, whose hook reads the note; on Slurm it submits nothing, as its one rule is local."""
    (tmp_path / "Snakefile").write_text(
        "from pathlib import Path\nfrom emopipe.workflow import resume\n"
        "onstart:\n    resume.begin_workflow(Path.cwd(), workflow)\n"
        "rule all:\n    output: 'x'\n    localrule: True\n    shell: 'touch x'\n"
    )
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--jobs", "1", "--executor", executor]
    command += ["--slurm-init-seconds-before-status-checks", "1"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert not run.returncode, run.stdout + run.stderr
    note = json.loads((tmp_path / resume.NOTE).read_text())
    assert (note["executor"], bool(note["name"])) == expected
    assert note["name"] in run.stdout + run.stderr


@pytest.mark.parametrize("locked", [False, True])
def test_it_unlocks_where_there_is_a_lock_and_runs_snakemake(tmp_path, monkeypatch, locked):
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    if locked:
        (tmp_path / ".snakemake/locks/0.input.lock").touch()
    called = []
    monkeypatch.setattr(resume.subprocess, "call", lambda command: called.append(command[2:]) or 0)
    monkeypatch.setattr(os, "execv", lambda program, words: called.append((program, words)))
    arguments = ["--cores", "2", "--resources", "gpu=1", "-d", str(tmp_path), "--configfile", "configs/afew.yaml"]
    assert CliRunner().invoke(app, ["resume", *arguments]).exit_code == 0
    unlock = [["emopipe.workflow.snakemake_process", *arguments, "--unlock"]] if locked else []
    # In place of this process: a parent that is interrupted would kill Snakemake before it has unlocked.
    last = (
        sys.executable,
        [sys.executable, "-m", "emopipe.workflow.snakemake_process", *arguments, "--rerun-incomplete"],
    )
    assert called == [*unlock, last]


@pytest.mark.parametrize("option", ["-d", "--directory", "--directory="])
def test_an_option_without_its_folder_is_told_in_a_sentence(monkeypatch, option):
    for module, name in ((os, "execv"), (subprocess, "call")):
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("something is run"))
    result = CliRunner().invoke(app, ["resume", "--cores", "1", option])
    name = option.rstrip("=")
    assert (result.exit_code, result.output) == (1, f"{name} has no folder after it. Write {name} FOLDER.\n")


@pytest.mark.parametrize("form", ["-d {}", "-d{}", "-d={}", "--directory {}", "--directory={}"])
def test_the_working_folder_is_found_in_each_form(tmp_path, form):
    arguments = ["--cores", "1", *form.format(tmp_path).split(), "-n"]
    assert command._working_folder(arguments) == tmp_path
    assert command._working_folder(["--cores", "1"]) == Path.cwd()
