"""How jobs end on the terminal: Ctrl-C without a word, an unexpected error as one line, never a traceback."""

import ast
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from emopipe.core.log import LOGGER
from emopipe.corpora import demo
from emopipe.demo.plan import DemoOptions
from emopipe.workflow.job import job_log
from tests.pages import REPOSITORY

SCRIPTS = sorted((REPOSITORY / "workflow_scripts").glob("*.py"))


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.delenv("EMOPIPE_DEBUG", raising=False)
    before = LOGGER.handlers
    yield
    LOGGER.handlers = before


def test_ctrl_c_ends_a_job_without_a_word(tmp_path, capsys):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it starts in the background
    with pytest.raises(SystemExit) as end, job_log(tmp_path / "a.log"):
        signal.raise_signal(signal.SIGINT)
    assert end.value.code == 130
    assert capsys.readouterr() == ("", "") and (tmp_path / "a.log").read_text() == ""


@pytest.mark.parametrize("error", [KeyError("clips"), OSError(5, "Input/output error")])
def test_an_unexpected_error_is_a_line_and_its_traceback_is_in_the_log(tmp_path, capsys, error):
    with pytest.raises(SystemExit) as end, job_log(tmp_path / "a.log"):
        raise error
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 1
    assert str(error) in line and f"The traceback is in {tmp_path / 'a.log'}." in line
    assert "Traceback (most recent call last)" in (tmp_path / "a.log").read_text()


def test_debug_shows_the_traceback_of_a_job(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("EMOPIPE_DEBUG", "1")
    with pytest.raises(SystemExit), job_log(tmp_path / "a.log"):
        raise KeyError("clips")
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_imports_its_stage_where_ctrl_c_is_handled(script):
    tree = ast.parse(script.read_text())
    imported = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert imported == {"pathlib", "emopipe.workflow.job"}
    assert not any(isinstance(node, ast.Import) for node in tree.body)


def test_what_handles_ctrl_c_is_imported_quickly():
    code = "import sys; from emopipe.workflow.job import job_log; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert not {"numpy", "pandas", "torch", "pydantic", "rich"} & set(done.stdout.split())


def test_processes_that_draw_leave_ctrl_c_to_their_job(tmp_path, monkeypatch):
    given = {}

    class Pool:
        def __init__(self, *arguments, **settings):
            given.update(settings)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def map(self, function, jobs, chunksize):
            return [None for _ in jobs]

    monkeypatch.setattr(demo, "ProcessPoolExecutor", Pool)
    demo.draw(Path(tmp_path, "clips"), DemoOptions(subjects=3, val_subjects=1, test_subjects=1, takes=1), 2)
    before = signal.getsignal(signal.SIGINT)
    try:
        given["initializer"](*given["initargs"])
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
