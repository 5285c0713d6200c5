"""What Snakemake says on the terminal, in short: one line a job, errors without tracebacks, the results at the end.

Snakemake's own log file in .snakemake/log keeps everything. With `--verbose`, or if the user asked for tracebacks, its
output on the terminal stays as it is.
"""

import builtins
import logging
import re
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from emopipe.core.log import DEBUG, INTERRUPTED, TerminalHandler, debugging

HANDLER = "DefaultStreamHandler"
"""The name of Snakemake's own handler for the terminal."""
ROUTINE = (
    "Assuming unrestricted shared filesystem usage",
    "Using workflow specific profile",
    "Building DAG of jobs",
    "host: ",
    "Using shell",
    "Provided ",
    "Rules claiming more threads",
    "Select jobs to execute",
    "Execute ",
    "Removing temporary output",
    "Complete log(s)",
    "Elapsed time",
    "Shutting down, this might take some time",
    "Exiting because a job execution failed",
)
"""How lines of Snakemake begin that say nothing about the user's data."""
TAIL_LINES = 10
"""How many lines of the log of a cluster's job are shown if it fails."""


def shorten(logger: logging.Logger) -> "ShortFormatter":
    """Make what Snakemake's logger says on the terminal short; return the formatter that does so.

    From then on, Ctrl-C ends the process without a traceback, too. Nothing changes if Snakemake's handler for the
    terminal is not there, or if tracebacks are wanted.
    """
    given = next((handler for handler in logger.handlers if handler.name == HANDLER), None)
    formatter = ShortFormatter(given.formatter if given else None)
    if given is None or debugging() or logger.isEnabledFor(logging.DEBUG):
        return formatter
    handler = _Handler(given.stream)
    handler.name, handler.filters = HANDLER, given.filters
    handler.setLevel(given.level)
    handler.setFormatter(formatter)
    logger.handlers = [handler if each is given else each for each in logger.handlers]
    sys.excepthook = formatter.end
    return formatter


class _Handler(TerminalHandler):
    """Writes Snakemake's lines. On a terminal, those about the start and the count of jobs replace one another."""

    def emit(self, record: logging.LogRecord) -> None:
        is_last = getattr(record, "done", 0) == getattr(record, "total", None)
        in_place = self.formatter.running and _event(record) in ("job_info", "progress") and not is_last
        # A copy, because Snakemake's own log file gets the same record.
        super().emit(logging.makeLogRecord(record.__dict__ | {"in_place": in_place}))


class ShortFormatter(logging.Formatter):
    """Formats the records of Snakemake; an empty text is not shown."""

    def __init__(self, full: logging.Formatter | None) -> None:
        super().__init__()
        self.running = False
        """Whether jobs run. What a dry run says of jobs stays as it is, as it shows what they would do, and why."""
        self.muted = False
        """Whether nothing is shown any more, because the last word has been said."""
        self._full = full or logging.Formatter()
        self._cluster = False
        self._names: dict[int, str] = {}
        self._events: dict[str, Callable[[Mapping[str, Any]], str]] = {
            "job_info": self._job_start,
            "job_started": lambda job: "",
            "job_finished": lambda job: "",
            "progress": lambda steps: f"{steps['done']} of {steps['total']} jobs done",
            "job_error": self._job_error,
        }

    def begin(self, *, cluster: bool) -> None:
        """Jobs start. If they run on a cluster, the end of a failed job's log is shown."""
        self.running, self._cluster = True, cluster

    def format(self, record: logging.LogRecord) -> str:
        """Return the short text of a record."""
        message = str(record.msg or "")
        if self.muted:
            return ""
        if is_interrupt(message):
            self.muted = True
            return INTERRUPTED
        if _event(record) == "error":
            return short_error(getattr(record, "exception", ""), message)
        if _event(record) == "workflow_started":  # the versions and the command line, which the log file keeps
            return ""
        if self.running and (event := self._events.get(_event(record))):
            return event(record.__dict__)
        return "" if message.startswith(ROUTINE) else self._full.format(record)

    def end(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """End the process by an exception that nobody handled (`sys.excepthook`): Ctrl-C is one sentence, said once."""
        if not issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        elif not self.muted:
            self.muted = True
            sys.stderr.write(f"\n{INTERRUPTED}\n")

    def _job_start(self, job: Mapping[str, Any]) -> str:
        name = " ".join([job["rule_name"], *map(str, dict((job["wildcards"] or {}).items()).values())])
        self._names[job["jobid"]] = name
        return "" if name in ("all", "extract") else f"{name} starts"

    def _job_error(self, job: Mapping[str, Any]) -> str:
        logs = [Path(log) for log in job["log"] or ()]
        name = self._names.get(job["jobid"], job["rule_name"])
        lines = [f"The job {name} failed." + (f" Its log is {', '.join(map(str, logs))}." if logs else "")]
        if self._cluster:
            lines += [f"    {line}" for log in logs if log.is_file() for line in _tail(log)]
        return "\n".join(lines)


def short_error(kind: str, message: str) -> str:
    """Return what the user needs of an error of Snakemake; "" if another message says it.

    Args:
        kind: The name of the exception.
        message: Snakemake's text: a line with the place in the rules, the message, and a traceback.
    """
    if kind == "LockException":
        return (
            f"The folder {Path.cwd()} is locked: another run works in it, or a run in it was killed. Wait for the "
            "other run to end. If it was killed, run `emopipe resume` with the same options."
        )
    if "At least one job did not complete" in message:
        return (
            "The run stopped because a job failed. What was computed is kept. Correct the cause, then run the same "
            "command again."
        )
    if "CalledProcessError" in message:
        return _killed(message)
    if message.startswith("Traceback"):
        return f"{message.strip().splitlines()[-1]}\n{_hint()}"
    if kind == "InputFunctionException" and (
        said := re.search(r"\n *WorkflowError:\n(.*?)\nWildcards:", message, re.S)
    ):
        return textwrap.dedent(said[1])
    trace = r'\s*File ".*", line \d+|Traceback:$'
    first, *rest = [line for line in message.strip().splitlines() if not re.match(trace, line)] or [""]
    # 1. A sentence of emopipe follows the line with the place.
    if kind == "WorkflowError" and rest and re.match(r"\w+.*:$", first):
        return "\n".join(rest)
    # 2. Any other error: its kind is part of what it says. One of Python's own is a fault of the package.
    place = re.match(r'(\w+) in (?:rule \w+ in )?file ".*", line \d+:?$', first)
    if not (place and rest):
        return "\n".join([first, *rest])
    return "\n".join([f"{place[1]}: {rest[0]}", *rest[1:], *([_hint()] if hasattr(builtins, place[1]) else [])])


def _killed(message: str) -> str:
    """Return a sentence if a job was killed by a signal; "" if it ended by itself, as its own message says why."""
    number = re.search(r"Signals\.(\w+)|exit status (\d+)", message)
    name = number and (number[1] or {"137": "SIGKILL", "139": "SIGSEGV", "134": "SIGABRT"}.get(number[2]))
    if not name:
        return ""
    why = " The machine may have too little memory for it: lower --cores." if name == "SIGKILL" else ""
    return f"A job was ended by the signal {name}.{why}"


def is_interrupt(message: str) -> bool:
    """Return whether a message is about Ctrl-C: in Snakemake, or in a job, which may notice it first."""
    return message.startswith(("Terminating processes on user request", "Cancelling snakemake on user request")) or (
        "CalledProcessError" in message and re.search(r"exit status 130\b|Signals\.SIGINT", message) is not None
    )


def _event(record: logging.LogRecord) -> str:
    """Return the name of the record's event in Snakemake, such as `job_info`; "" for a plain message."""
    return getattr(getattr(record, "event", None), "value", "")


def _tail(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]


def _hint() -> str:
    return f"This is a fault of emopipe. Run again with the environment variable {DEBUG}=1 to see the traceback."
