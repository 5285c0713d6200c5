"""How a job of the workflow ends: with a sentence where a user can mend it, and with what it computed kept."""

import contextlib
import errno
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

from emopipe.core.atomic import set_aside
from emopipe.core.errors import DamagedCacheError, EmopipeError
from emopipe.core.log import LOGGER, log_to

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


@contextlib.contextmanager
def job_log(path: str | Path) -> Iterator[None]:
    """Log a job to `path` too; an error that a user can mend ends it with its sentence, others with a traceback.

    A damaged file of the cache is put out of the way, so that the next run makes it anew. A request to end, as a
    cluster sends it before it kills, ends the job in order.
    """
    before = signal.signal(signal.SIGTERM, _end)
    try:
        log_to(path)
        yield
    except DamagedCacheError as error:
        LOGGER.error(f"{error} {_put_away(error.path)}")
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
    finally:
        signal.signal(signal.SIGTERM, before)


def _put_away(path: Path) -> str:
    try:
        return f"It lies as {set_aside(path)} meanwhile."
    except OSError as error:
        return f"It has to be removed by hand, as it cannot be renamed ({error.strerror})."


def _end(number: int, _frame: object) -> None:
    LOGGER.error("The job was asked to end (SIGTERM). What it has computed is kept; then run again.")
    raise SystemExit(128 + number)


def _of_the_system(error: OSError) -> str:
    """The sentence for what the operating system refused."""
    what = MENDABLE.get(error.errno, "see below")
    return f"The job failed, as the system says '{error}': {what}. What it has computed is kept; then run again."


def by_stem(paths: Iterable[str | Path]) -> dict[str, Path]:
    """Files by their names without the last suffix: how models, ensembles and features are told apart."""
    return {Path(path).stem: Path(path) for path in paths}
