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
from collections.abc import Iterator
from pathlib import Path

from snakemake import cli, script
from snakemake.benchmark import benchmarked
from snakemake.exceptions import WorkflowError

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.workflow.preloaded"])


def snakemake(arguments: list[str], folder: Path) -> tuple[int, str]:
    """Run Snakemake in a folder with these arguments; its exit code and all that it and its jobs said."""
    said = io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_jobs_of_the_server())
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


def _execute(job: script.PythonScript, fname: str, edit: bool = False) -> None:
    with tempfile.NamedTemporaryFile() as output:
        child = SERVER.Process(target=_run, args=(fname, os.getcwd(), output.name, dict(os.environ)))
        child.start()
        with benchmarked(child.pid, job.bench_record):
            child.join()
        sys.stderr.write(Path(output.name).read_text())
    if child.exitcode:
        raise WorkflowError(f"The job {fname} ended with exit code {child.exitcode}.")


def _run(file: str, folder: str, output: str, environment: dict[str, str]) -> None:
    with open(output, "w") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    runpy.run_path(file, run_name="__main__")
