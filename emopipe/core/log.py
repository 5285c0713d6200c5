"""The package's logger, and the progress of long stages: what is done, how fast, and how long the rest takes.

On a terminal, progress is one line that is written in place. Several jobs of a run share that line and take turns:
each starts its line with its name, and clears whatever the line holds before it writes. In a file or a pipe, progress
is a plain line every few seconds.
"""

import logging
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TextIO

LOGGER = logging.getLogger("emopipe")
DEBUG = "EMOPIPE_DEBUG"
"""Environment variable: if it is set, errors are shown with their tracebacks, and Snakemake's output as it is."""
INTERRUPTED = "The run was interrupted. What was computed is kept. Run the same command again to continue."
CLEAR_LINE = "\r\x1b[K"


def debugging() -> bool:
    """Return whether the user asked for tracebacks, with `--debug` or by the environment variable EMOPIPE_DEBUG."""
    return os.environ.get(DEBUG, "") not in ("", "0")


def log_to(path: str | Path | None) -> logging.Logger:
    """Log the package's messages to the terminal and, if a path is given, to that file too. Return the logger."""
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    LOGGER.handlers = [TerminalHandler(sys.stderr)]
    LOGGER.handlers[0].setFormatter(_ShortFormatter("%(message)s"))
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(path, mode="w", encoding="utf-8", errors="backslashreplace")
        file.setFormatter(logging.Formatter("%(message)s"))
        file.addFilter(lambda record: not getattr(record, "brief", False))
        LOGGER.handlers.append(file)
    return LOGGER


def is_terminal(stream: TextIO) -> bool:
    """Return whether a stream is a terminal on which a line can be written in place."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class TerminalHandler(logging.StreamHandler):
    """Writes records to a terminal or a pipe.

    A record may have two attributes. `in_place`: on a terminal, the next record replaces it. `brief`: only a terminal
    shows it.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; nothing if its formatter returns an empty text."""
        try:
            terminal = is_terminal(self.stream)
            text = "" if getattr(record, "brief", False) and not terminal else self.format(record)
            if not text:
                return
            if terminal and getattr(record, "in_place", False):
                columns = shutil.get_terminal_size().columns
                text = CLEAR_LINE + text.splitlines()[-1][: columns - 1]
            else:
                text = (CLEAR_LINE if terminal else "") + text + self.terminator
            # One call: several processes write to the terminal at once.
            self.stream.write(text)
            self.flush()
        except Exception:
            self.handleError(record)


class _ShortFormatter(logging.Formatter):
    """Omits tracebacks unless the user asked for them."""

    def format(self, record: logging.LogRecord) -> str:
        if debugging():
            return super().format(record)
        return record.getMessage()


class Progress:
    """Counts finished items and logs how many are done, how fast, and how long the rest takes."""

    def __init__(self, what: str, total: int, *, unit: str = "clips", every_seconds: float = 5.0) -> None:
        self.what, self.total, self.unit, self.done = what, total, unit, 0
        self._every, self._brief_every = every_seconds, min(0.5, every_seconds)
        self._start = self._logged = self._shown = time.monotonic()
        self._part = 0.0
        """Items that are under way, as the share that is done: 0.5 for the first half of one item."""
        self._steps = ""
        self._is_first = True
        PROGRESS.of = self

    def advance(self, n: int = 1) -> None:
        """Count `n` more items. Log a line if the last one is some seconds old, or if all items are done."""
        self.done += n
        self._part, self._steps = 0.0, ""
        if self.done < self.total:
            self._log_if_due()
            return
        LOGGER.info(f"{self.what}: {self._counts()}, took {duration(time.monotonic() - self._start)}")
        PROGRESS.of = None

    def within(self, step: int, steps: int, items: int = 1) -> None:
        """Report that `step` of the `steps` which finish the next `items` are done; the first one is logged at once."""
        self._part, self._steps = items * step / steps, f", step {step} of {steps}"
        if step < steps:  # the item itself is reported next
            self._log_if_due()

    def _log_if_due(self) -> None:
        now = time.monotonic()
        plain = now - self._logged >= self._every or (self._is_first and bool(self._steps))
        if plain or now - self._shown >= self._brief_every:
            self._shown, self._logged = now, now if plain else self._logged
            self._is_first = False
            left = (now - self._start) * (self.total - self.done - self._part) / max(self.done + self._part, 1e-9)
            line = f"{self.what}: {self._counts()}, {duration(left)} left"
            LOGGER.info(line, extra={"in_place": True, "brief": not plain})

    def _counts(self) -> str:
        counts, done = f"{self.done}/{self.total} {self.unit}{self._steps}", self.done + self._part
        seconds = max(time.monotonic() - self._start, 1e-9)
        return f"{counts}, {rate(done / seconds, self.unit)}" if done else counts


class _CurrentProgress:
    """The progress that this process shows, for code deep inside of an item that takes long.

    Fingerprints do not count statements that begin with PROGRESS, so that a report of progress reruns nothing.
    """

    def __init__(self) -> None:
        self.of: Progress | None = None

    def within(self, step: int, steps: int, items: int = 1) -> None:
        """See `Progress.within`; without a progress, nothing is reported."""
        if self.of:
            self.of.within(step, steps, items)


PROGRESS = _CurrentProgress()


def rate(per_second: float, unit: str) -> str:
    """Return a rate as text; a slow one as the seconds that one item takes.

    >>> rate(3.14, "clips"), rate(0.04, "networks")
    ('3.1 clips/s', '25 s/network')
    """
    if per_second >= 0.1:
        return f"{per_second:.1f} {unit}/s"
    return f"{1 / max(per_second, 1e-9):.0f} s/{unit.removesuffix('s')}"


def duration(seconds: float) -> str:
    """Return a duration as text.

    >>> duration(4.2), duration(600), duration(9000)
    ('4 s', '10 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
