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
from emopipe.media.frame_folders import frames_of


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
    """Return whether the whole file, or each frame of a folder, can be read.

    If the end of one cannot, the decoding would fail again, at each retry.
    """
    paths = [path]
    if path.is_dir():
        frames = frames_of(path)
        paths = [path / name for name in frames.names] if frames else []
    try:
        for each in paths:
            with files.opened(each) as file:
                files.refuse_failing_disk(file, each)
    except MediaError:
        return False
    return bool(paths)
