"""Lines that say how far a long stage is: clips done, clips per second, time left; in the terminal and the log."""

import contextlib
import errno
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from emopipe.errors import DamagedCacheError, EmopipeError
from emopipe.files import set_aside

MENDABLE = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "free some space of your quota",
    errno.EACCES: "give this user the right to read and write there",
    errno.EPERM: "give this user the right to read and write there",
    errno.EROFS: "make the disk writable, or work elsewhere",
    errno.ENOENT: "put the file back",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}
"""What the operating system may refuse -> what to do about it."""

LOGGER = logging.getLogger("emopipe")


def log_to(path: str | Path | None) -> logging.Logger:
    """Send the package's messages to the terminal and, where a path is given, to that file."""
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    LOGGER.handlers = [logging.StreamHandler(sys.stderr)]
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        LOGGER.handlers.append(logging.FileHandler(path, mode="w", encoding="utf-8"))
    for handler in LOGGER.handlers:
        handler.setFormatter(logging.Formatter("%(message)s"))
    return LOGGER


@contextlib.contextmanager
def job_log(path: str | Path) -> Iterator[None]:
    """Log a job to `path` too; an error that a user can mend ends it with its sentence, others with a traceback.

    A damaged file of the cache is put out of the way, so that the next run makes it anew.
    """
    log_to(path)
    try:
        yield
    except DamagedCacheError as error:
        LOGGER.error(f"{error} It lies as {set_aside(error.path)} meanwhile.")
        raise SystemExit(1) from None
    except EmopipeError as error:
        LOGGER.error(str(error))
        raise SystemExit(1) from None
    except OSError as error:
        LOGGER.error(_of_the_system(error), exc_info=error.errno not in MENDABLE)
        raise SystemExit(1) from None
    except Exception:
        LOGGER.exception("The job failed:")
        raise SystemExit(1) from None


def _of_the_system(error: OSError) -> str:
    """The sentence for what the operating system refused."""
    what = MENDABLE.get(error.errno, "see below")
    return f"The job failed, as the system says '{error}': {what}. What it has computed is kept; then run again."


class Progress:
    """Counts items done and says so now and then, so that parallel jobs do not drown the terminal."""

    def __init__(self, what: str, total: int, *, unit: str = "clips", every_seconds: float = 5.0) -> None:
        self.what, self.total, self.unit, self.done = what, total, unit, 0
        self._every = every_seconds
        self._start = self._said = time.monotonic()

    def advance(self, n: int = 1) -> None:
        """Count `n` more items; speak if the last word is some seconds old or all is done."""
        self.done += n
        now = time.monotonic()
        if now - self._said >= self._every or self.done == self.total:
            self._said = now
            LOGGER.info(self._line(now))

    def _line(self, now: float) -> str:
        rate = self.done / max(now - self._start, 1e-9)
        left = (self.total - self.done) / max(rate, 1e-9)
        return f"{self.what}: {self.done}/{self.total} {self.unit}, {rate:.1f} {self.unit}/s, {left:.0f} s left"
