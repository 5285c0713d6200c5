"""Snakemake within the tests' process: a plan in a second, and jobs that find everything imported.

`snakemake` as a user starts it spends seconds on imports, and so does each of its jobs. Here its own `main` is called
in this process, and a job is a child of a server that has imported the stages. What Snakemake decides, the scripts and
their inputs are the same. Runs of edited code, and runs that are killed, start real processes instead.
"""

import contextlib
import io
import multiprocessing
import os
import runpy
import sys
import tempfile
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from snakemake import cli, script, workflow
from snakemake.benchmark import benchmarked
from snakemake.exceptions import WorkflowError

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.workflow.preloaded"])


def snakemake(arguments: list[str], folder: Path) -> tuple[int, str]:
    """Run Snakemake in a folder with these arguments; its exit code and all that it and its jobs said."""
    said = io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_jobs_of_the_server())
        stack.enter_context(_names_of_snakemake_kept())
        stack.enter_context(contextlib.chdir(folder))
        stack.enter_context(contextlib.redirect_stdout(said))
        stack.enter_context(contextlib.redirect_stderr(said))
        try:
            cli.main(arguments)
        except SystemExit as end:
            return int(end.code or 0), said.getvalue()
    raise AssertionError("Snakemake's main came back without an exit code")


@contextlib.contextmanager
def _jobs_of_the_server() -> Iterator[None]:
    before = script.PythonScript.execute_script
    script.PythonScript.execute_script = _execute
    try:
        yield
    finally:
        script.PythonScript.execute_script = before


@contextlib.contextmanager
def _names_of_snakemake_kept() -> Iterator[None]:
    """Snakemake runs rules in its own module, where their names would stay for other tests to see."""
    names = vars(workflow)
    before = dict(names)
    try:
        yield
    finally:
        names.clear()
        names.update(before)


def _execute(job: script.PythonScript, fname: str, edit: bool = False) -> None:
    """Run a job's script in a child of the server. Snakemake calls this from several threads at once.

    The child sends its exit code: were it asked for by `join`, other threads that start children could take it away.
    """
    receiver, sender = SERVER.Pipe(duplex=False)
    with tempfile.NamedTemporaryFile() as output, receiver:
        child = SERVER.Process(target=_run, args=(fname, os.getcwd(), output.name, dict(os.environ), sender))
        child.start()
        sender.close()
        with benchmarked(child.pid, job.bench_record):
            code = _received(receiver)
        sys.stderr.write(Path(output.name).read_text())
    if code:
        raise WorkflowError(f"The job {fname} ended with {code}.")


def _received(receiver: Connection) -> str:
    try:
        return receiver.recv()
    except EOFError:
        return "no exit code: it was killed"


def _run(file: str, folder: str, output: str, environment: dict[str, str], sender: Connection) -> None:
    with open(output, "w") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    failed = ""
    try:
        runpy.run_path(file, run_name="__main__")
    except SystemExit as end:
        failed = f"exit code {end.code}" if end.code else ""
    except Exception as error:
        traceback.print_exc()
        failed = repr(error)
    sys.stdout.flush()
    sys.stderr.flush()
    sender.send(failed)
