"""Whether clips that could not be read are worth another try, asked whenever the workflow is planned.

The number is a param of the decode rule and stands in the file that the job makes, so that it grows, and the job runs
again, only while a clip that was unreadable can be read now.
"""

from collections.abc import Mapping
from pathlib import Path

from emopipe.cache.status import UNREADABLE
from emopipe.cache.store import Reader
from emopipe.core.errors import CacheError, MediaError
from emopipe.media import files


def attempt(fates: Path, root: Path, paths: Mapping[str, str]) -> int:
    """The attempt that a shard's decoding is at.

    Args:
        fates: The shard's file of statuses, which may not be there yet.
        root: The corpus' folder.
        paths: Clip -> its file's path below `root`, of those that the scan of the corpus could read.
    """
    try:
        with Reader(fates) as reader:
            made = int(reader.attributes.get("attempt", 0))
            lost = [clip for clip in reader.clips if reader.status[clip] == UNREADABLE and clip in paths]
    except CacheError:
        return 0
    return made + any(_readable(root / paths[clip]) for clip in lost)


def _readable(path: Path) -> bool:
    """Whether all of it can be read: where the end cannot, another try would be in vain, and so on for ever."""
    try:
        with files.opened(path) as file:
            files.refuse_failing_disk(file, path)
    except MediaError:
        return False
    return True
