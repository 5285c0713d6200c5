"""What Snakemake puts back after a job that failed, as if it were what that job was to make.

An output that jobs update is kept while its job runs, and put back where the job fails. But by then Snakemake has noted
that the job was run for the config, code and clips of now, and takes the old file, with a new date, for current. So at
the end of a run that failed, files that are not current become parts: the next job is run, and takes over what it can.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emopipe.cache.partial import next_part
from emopipe.cache.store import stands_for
from emopipe.core.log import LOGGER


def hand_over(path: Path, recipe: Mapping[str, Any], clips: str) -> None:
    """Make a file a part of itself, unless this recipe made it for exactly these clips (see `clips_digest`)."""
    with _told(path):
        if path.is_file() and not stands_for(path, recipe, clips):
            part = next_part(path)
            part.parent.mkdir(exist_ok=True)
            os.replace(path, part)


def drop(path: Path, recipe: Mapping[str, Any], clips: str) -> None:
    """The same for a file that nothing is taken over from."""
    with _told(path):
        if path.is_file() and not stands_for(path, recipe, clips):
            path.unlink()


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        LOGGER.warning(f"{path} is out of date and cannot be moved ({error}): delete it before you run again.")
