"""How a job of the workflow ends: errors that a user can fix are logged as one message, without a traceback."""

import contextlib
import errno
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

from emopipe.core.atomic import set_aside
from emopipe.core.errors import DamagedCacheError, EmopipeError
from emopipe.core.log import LOGGER, log_to

FIXES = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "free some space in your quota",
    errno.EACCES: "give this user permission to read and write there",
    errno.EPERM: "give this user permission to read and write there",
    errno.EROFS: "make the disk writable, or work in another folder",
    errno.ENOENT: "put the file back",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}
"""Error of the operating system -> what the user can do about it."""


@contextlib.contextmanager
def job_log(path: str | Path) -> Iterator[None]:
    """Log a job to the file `path` and end it with exit code 1 if it fails.

    - An error that a user can fix is logged as its message. Any other error is logged with its traceback, which the
      terminal shows only if the user asked for it.
    - Ctrl-C ends the job without a word, because the process of Snakemake says what happened. Scripts import their
      stage inside this context, as imports take seconds, and Ctrl-C would show a traceback of them.
    - A damaged cache file is renamed to `<name>.damaged`, so that the next run makes it again.
    - SIGTERM, which clusters send before they kill a job, ends the job by an exception, so that it cleans up.
    """
    before = signal.signal(signal.SIGTERM, _end)
    try:
        log_to(path)
        yield
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    except DamagedCacheError as error:
        LOGGER.error(f"{error} {_renamed(error.path)}")
        raise SystemExit(1) from None
    except EmopipeError as error:
        LOGGER.error(str(error))
        raise SystemExit(1) from None
    except OSError as error:
        known = error.errno in FIXES
        todo = f"To fix it, {FIXES[error.errno]}; then run again" if known else f"The traceback is in {path}"
        LOGGER.error(f"The job failed: {error}. The results so far are kept. {todo}.", exc_info=not known)
        raise SystemExit(1) from None
    except Exception as error:
        LOGGER.exception(
            f"The job failed with an unexpected error, {type(error).__name__}: {error}. The traceback is in {path}."
        )
        raise SystemExit(1) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, _frame: object) -> None:
    LOGGER.error("The job received SIGTERM and ends. The results so far are kept; run again to continue.")
    raise SystemExit(128 + number)


def _renamed(path: Path) -> str:
    """Rename a damaged file; return the sentence that says so."""
    try:
        return f"The damaged file is now {set_aside(path)}."
    except OSError as error:
        return f"The damaged file cannot be renamed ({error.strerror}). Delete it."


def by_stem(paths: Iterable[str | Path]) -> dict[str, Path]:
    """Return paths by their names without the last suffix: `results/x/oof/face_x.csv` is the path of `face_x`."""
    return {Path(path).stem: Path(path) for path in paths}
