"""Resuming: not while a run is alive, and with the arguments of the run."""

import json
import subprocess
import sys
import time

import psutil
import pytest

from emopipe import resuming
from emopipe.errors import RunningError


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
        resuming.refuse_alive(tmp_path)
    stand_in.kill()
    stand_in.wait()
    resuming.refuse_alive(tmp_path)


def test_a_job_in_another_folder_is_none_of_ours(tmp_path, stand_in):
    other = tmp_path / "other"
    other.mkdir()
    resuming.refuse_alive(other)


def test_a_run_on_another_computer_is_refused_until_it_is_said_to_be_over(tmp_path):
    (tmp_path / ".snakemake").mkdir()
    resuming.begin(tmp_path)
    resuming.refuse_alive(tmp_path)  # begun here, and over
    (tmp_path / resuming.NOTE).write_text(json.dumps({"host": "node7", "pid": 1}))
    with pytest.raises(RunningError, match=r"started on node7.*--elsewhere"):
        resuming.refuse_alive(tmp_path)
    resuming.refuse_alive(tmp_path, elsewhere=True)
    resuming.end(tmp_path)
    resuming.refuse_alive(tmp_path)


@pytest.mark.parametrize("locked", [False, True])
def test_it_unlocks_where_there_is_a_lock_and_runs_snakemake(tmp_path, monkeypatch, locked):
    from typer.testing import CliRunner

    from emopipe.cli import app

    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    if locked:
        (tmp_path / ".snakemake/locks/0.input.lock").touch()
    called = []
    monkeypatch.setattr(resuming.subprocess, "call", lambda command: called.append(command[2:]) or 0)
    arguments = ["--cores", "2", "--resources", "gpu=1", "-d", str(tmp_path), "--configfile", "configs/afew.yaml"]
    assert CliRunner().invoke(app, ["resume", *arguments]).exit_code == 0
    unlock = [["snakemake", *arguments, "--unlock"]] if locked else []
    assert called == [*unlock, ["snakemake", *arguments, "--rerun-incomplete"]]
