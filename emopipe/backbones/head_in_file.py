"""Whether a file of weights holds an emotion head. Its header alone is read, without torch."""

from pathlib import Path

from emopipe.cache.metadata import UNREADABLE, has_head, unfit


def has_classifier(path: Path | str) -> bool:
    """Return whether a file of weights holds a classifier that `classifier.save_classifier` wrote.

    Raises:
        WeightsError: The file cannot be read.
        DamagedCacheError: The same, for a file in the cache.
    """
    try:
        return has_head(path)
    except UNREADABLE as error:
        raise unfit(path, error) from error
