"""Move stale outputs out of the way after a run that failed.

A rule with `update(...)` outputs keeps the old output while its job runs, and Snakemake puts the old file back if the
job fails. But Snakemake has already recorded that the job ran with the current config, code and clips. It would then
treat the old file, which has a new date, as current. So at the end of a failed run, every output that is not current is
moved into the folder of partial outputs. The next run makes the output again, and reuses the rows that are still valid.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emopipe.cache.partial import next_part
from emopipe.cache.store import stands_for
from emopipe.core.errors import CacheError
from emopipe.core.log import LOGGER


def stash_stale_output(path: Path, recipe: Mapping[str, Any], clips: str) -> None:
    """Move a stale output into its folder of partial outputs, where the next job finds the rows that are still valid.

    Args:
        path: The output, which may be missing.
        recipe: The recipe that makes the output in the current run.
        clips: The digest of the clips that the output should hold (`cache.store.clips_digest`).
    """
    with _warn_if_refused(path):
        if is_stale(path, recipe, clips):
            part = next_part(path)
            part.parent.mkdir(exist_ok=True)
            os.replace(path, part)


def remove_stale_output(path: Path, recipe: Mapping[str, Any], clips: str) -> None:
    """Delete a stale output that no later job can reuse. The arguments are those of `stash_stale_output`."""
    with _warn_if_refused(path):
        if is_stale(path, recipe, clips):
            path.unlink()


def is_stale(path: Path, recipe: Mapping[str, Any], clips: str) -> bool:
    """Return whether the output exists, but another recipe or other clips made it."""
    return path.is_file() and not stands_for(path, recipe, clips)


@contextlib.contextmanager
def _warn_if_refused(path: Path) -> Iterator[None]:
    """Log a warning, and continue, if the system refuses to read, move or delete the file."""
    try:
        yield
    except CacheError as error:
        LOGGER.warning(f"{error} If the file is out of date, delete it before you run again.")
    except OSError as error:
        LOGGER.warning(f"{path} is out of date, but it cannot be moved ({error}). Delete it before you run again.")
