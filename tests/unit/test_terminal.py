"""What Snakemake says on the terminal: one line a job, errors without tracebacks, one sentence after Ctrl-C."""

import io
import logging
import sys
from types import SimpleNamespace

import pytest
from snakemake.exceptions import (
    InputFunctionException,
    LockException,
    RuleException,
    WorkflowError,
    format_exception_to_string,
)
from snakemake_interface_logger_plugins.common import LogEvent

from emopipe.core.log import CLEAR_LINE, INTERRUPTED
from emopipe.workflow import terminal

PLACE = 'WorkflowError in file "/code/rules/common.smk", line 46:\n'
TRACE = '\n  File "/code/Snakefile", line 8, in <module>\n  File "/code/rules/common.smk", line 46, in <module>'
FAILED = (
    'RuleException:\nCalledProcessError in file "/code/rules/decode.smk", line 20:\n'
    "Command 'set -euo pipefail;  /bin/python /run/.snakemake/scripts/tmpx.decode.py' "
)


class Stream(io.StringIO):
    """A text stream of which a test can say that it is a terminal."""

    is_terminal = False

    def isatty(self):
        return self.is_terminal


@pytest.fixture
def logger(monkeypatch):
    """A logger as Snakemake sets it up, with a terminal and a log file that keep what is written."""
    monkeypatch.delenv("EMOPIPE_DEBUG", raising=False)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    made = logging.Logger("snakemake", logging.INFO)
    for name in (terminal.HANDLER, "DefaultLogFileHandler"):
        handler = logging.StreamHandler(Stream())
        handler.name = name
        made.addHandler(handler)
    return made


@pytest.fixture
def short(logger):
    return terminal.shorten(logger)


def shown(logger):
    return next(handler for handler in logger.handlers if handler.name == terminal.HANDLER).stream.getvalue()


def kept(logger):
    return next(handler for handler in logger.handlers if handler.name != terminal.HANDLER).stream.getvalue()


def job(logger, event, **more):
    facts = {"rule_name": "decode", "wildcards": {"decode": "few", "shard": "00"}, "jobid": 3, "log": ["a/00.log"]}
    logger.info("A job.", extra={**facts, "event": event, **more})


def error(logger, kind, text):
    logger.error(text, extra={"event": LogEvent.ERROR, "exception": kind})


@pytest.mark.parametrize("sentence", ["None of the 3 clips has a label.", "One line.\nAnother line."])
def test_what_an_input_function_refuses_is_the_sentence(sentence):
    rule = SimpleNamespace(
        name="fusion", lineno=7, snakefile="/code/rules/fusion.smk", workflow=SimpleNamespace(linemaps={})
    )
    try:
        raise WorkflowError(sentence)
    except WorkflowError as error:
        made = InputFunctionException(error, wildcards={"model": "face_only"}, rule=rule)
    text = format_exception_to_string(made, {})
    assert "Wildcards" in text and terminal.short_error("InputFunctionException", text) == sentence


def test_a_job_is_a_line_and_routine_is_not_shown(logger, short):
    short.begin(cluster=False)
    job(logger, LogEvent.JOB_INFO)
    job(logger, LogEvent.JOB_STARTED)
    job(logger, LogEvent.JOB_FINISHED)
    job(logger, LogEvent.JOB_INFO, rule_name="all", wildcards={})
    logger.info("Using shell: /bin/bash")
    logger.info("SNAKEMAKE", extra={"event": LogEvent.WORKFLOW_STARTED})
    logger.info(None, extra={"event": LogEvent.PROGRESS, "done": 1, "total": 4})
    logger.info("Job 3 has been submitted.")
    assert shown(logger).splitlines() == ["decode few 00 starts", "1 of 4 jobs done", "Job 3 has been submitted."]
    assert "Using shell" in kept(logger)


def test_on_a_terminal_the_count_of_jobs_changes_in_place_until_the_last(logger, short, monkeypatch):
    short.begin(cluster=False)
    next(handler for handler in logger.handlers if handler.name == terminal.HANDLER).stream.is_terminal = True
    monkeypatch.setenv("TERM", "xterm")
    job(logger, LogEvent.JOB_INFO)
    for done in (1, 2):
        logger.info(None, extra={"event": LogEvent.PROGRESS, "done": done, "total": 2})
    assert shown(logger).split(CLEAR_LINE) == ["", "decode few 00 starts", "1 of 2 jobs done", "2 of 2 jobs done\n"]


def test_a_dry_run_shows_jobs_as_snakemake_does(logger, short):
    job(logger, LogEvent.JOB_INFO)
    assert shown(logger) == "A job.\n"


def test_a_failed_job_names_its_log(logger, short):
    short.begin(cluster=False)
    job(logger, LogEvent.JOB_INFO)
    error(logger, "RuleException", f"{FAILED}returned non-zero exit status 1.{TRACE}")
    job(logger, LogEvent.JOB_ERROR)
    error(logger, "WorkflowError", "WorkflowError:\nAt least one job did not complete successfully.")
    _, failed, stopped = shown(logger).splitlines()
    assert failed == "The job decode few 00 failed. Its log is a/00.log."
    assert stopped.startswith("The run stopped because a job failed. What was computed is kept.")


def test_on_a_cluster_the_end_of_its_log_is_shown(logger, short, tmp_path):
    (tmp_path / "a.log").write_text("\n".join(f"line {number}" for number in range(30)))
    short.begin(cluster=True)
    job(logger, LogEvent.JOB_ERROR, log=[str(tmp_path / "a.log")])
    assert shown(logger).splitlines()[1:] == [f"    line {number}" for number in range(20, 30)]


@pytest.mark.parametrize("how", ["died with <Signals.SIGKILL: 9>.", "returned non-zero exit status 137."])
def test_a_job_that_was_killed_is_said_to_be(logger, short, how):
    error(logger, "RuleException", FAILED + how)
    assert shown(logger) == (
        "A job was ended by the signal SIGKILL. The machine may have too little memory for it: lower --cores.\n"
    )


def test_a_wrong_config_is_its_sentence_alone(logger, short):
    error(logger, "WorkflowError", f"{PLACE}Unknown key shrads.\nDid you mean 'shards'?{TRACE}")
    assert shown(logger) == "Unknown key shrads.\nDid you mean 'shards'?\n"


def test_snakemakes_own_text_is_understood(logger, short):
    """The text that the installed Snakemake makes of an exception that the rules raise."""
    source = 'raise WorkflowError("corpus_root is not set.")'
    try:
        exec(compile(source, "/code/rules/common.smk", "exec"), {"WorkflowError": WorkflowError})
    except WorkflowError as raised:
        error(logger, "WorkflowError", format_exception_to_string(raised, {"/code/rules/common.smk": {1: 46}}))
    assert shown(logger) == "corpus_root is not set.\n"


def test_a_fault_of_the_package_is_a_line_and_a_hint(logger, short):
    error(logger, "KeyError", f"KeyError in file \"/code/rules/common.smk\", line 46:\n'corpus'{TRACE}")
    assert shown(logger).splitlines()[0] == "KeyError: 'corpus'" and "EMOPIPE_DEBUG=1" in shown(logger)


def test_a_traceback_is_its_last_line_and_a_hint(logger, short):
    error(
        logger, "ValueError", 'Traceback (most recent call last):\n\n  File "a.py", line 3, in f\n\nValueError: bad\n'
    )
    assert shown(logger).splitlines()[0] == "ValueError: bad" and "EMOPIPE_DEBUG=1" in shown(logger)


def test_an_error_of_snakemake_is_kept(logger, short):
    text = "Error: cores have to be specified for local execution."
    error(logger, "CliException", text)
    assert shown(logger) == f"{text}\n"


def test_a_rule_exception_loses_its_trace(logger, short):
    text = format_exception_to_string(RuleException("no such input", lineno=3, snakefile="/code/rules/a.smk"))
    error(logger, "RuleException", text + TRACE)
    assert "no such input" in shown(logger) and "File " not in shown(logger)


def test_an_error_of_a_rule_keeps_its_message(logger, short):
    text = (
        'InputFunctionException in rule fusion in file "/code/rules/fusion.smk", line 4:\n'
        "Error:\n  CorpusError: There are no clips.\nWildcards:\n  model=a\nTraceback:\n"
        '  File "/code/rules/fusion.smk", line 23, in <lambda>'
    )
    error(logger, "InputFunctionException", text)
    assert shown(logger) == (
        "InputFunctionException: Error:\n  CorpusError: There are no clips.\nWildcards:\n  model=a\n"
    )


def test_a_locked_folder_names_resume(logger, short, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error(logger, "LockException", format_exception_to_string(LockException()))
    assert f"The folder {tmp_path} is locked" in shown(logger) and "`emopipe resume`" in shown(logger)
    assert "--unlock" not in shown(logger)


@pytest.mark.parametrize(
    "first",
    [
        "Terminating processes on user request, this might take some time.",
        "Cancelling snakemake on user request.",
        f"{FAILED}returned non-zero exit status 130.",
        f"{FAILED}died with <Signals.SIGINT: 2>.",
    ],
)
def test_ctrl_c_is_one_sentence_whoever_notices_it_first(logger, short, first):
    short.begin(cluster=False)
    error(logger, "RuleException", first)
    job(logger, LogEvent.JOB_ERROR)
    logger.info("Terminating processes on user request, this might take some time.")
    logger.info("Complete log(s): /run/.snakemake/log/a.log")
    error(logger, "WorkflowError", "WorkflowError:\nAt least one job did not complete successfully.")
    assert shown(logger) == f"{INTERRUPTED}\n"


def test_ctrl_c_while_snakemake_plans_is_one_sentence(short, capsys):
    for _ in range(2):
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err.strip() == INTERRUPTED
    sys.excepthook(KeyError, KeyError("x"), None)
    assert capsys.readouterr().err == "KeyError: 'x'\n"


def test_after_the_last_word_nothing_is_shown(logger, short):
    short.muted = True
    logger.info("Elapsed time: 0:00:03")
    logger.info("Anything")
    assert shown(logger) == "" and "Anything" in kept(logger)


def test_with_debug_or_verbose_the_output_is_snakemakes(logger, monkeypatch):
    before = list(logger.handlers)
    logger.setLevel(logging.DEBUG)
    terminal.shorten(logger)
    assert logger.handlers == before
    logger.setLevel(logging.INFO)
    monkeypatch.setenv("EMOPIPE_DEBUG", "1")
    terminal.shorten(logger)
    assert logger.handlers == before
