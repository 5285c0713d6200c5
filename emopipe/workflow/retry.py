"""Decide whether to retry clips that could not be read; this is decided each time the workflow is planned.

The retry counter is a param of the decode rule, and the job writes it into its status file. So it grows, and the job
runs again, only if a clip that was unreadable can be read now.
"""

from collections.abc import Mapping
from pathlib import Path

from emopipe.cache.status import UNREADABLE
from emopipe.cache.store import Reader
from emopipe.core.errors import CacheError, MediaError
from emopipe.media import files


def retry_counter(status_file: Path, root: Path, paths: Mapping[str, str]) -> int:
    """Return how often the decoding of a shard has been retried, this time included; 0 for the first time.

    Args:
        status_file: The shard's status file, which may not exist yet.
        root: The corpus' folder.
        paths: Clip -> path of its file below `root`, for the clips that the scan of the corpus could read.
    """
    try:
        with Reader(status_file) as reader:
            retries = int(reader.attributes.get("attempt", 0))
            lost = [clip for clip in reader.clips if reader.status[clip] == UNREADABLE and clip in paths]
    except CacheError:
        return 0
    return retries + any(_readable(root / paths[clip]) for clip in lost)


def _readable(path: Path) -> bool:
    """Return whether the whole file can be read. If its end cannot, the decoding would fail again, at each retry."""
    try:
        with files.opened(path) as file:
            files.refuse_failing_disk(file, path)
    except MediaError:
        return False
    return True
