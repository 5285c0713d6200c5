"""Whether a file of weights holds an emotion head, and its classes. Its header alone is read, without torch."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from emopipe.cache.metadata import UNREADABLE, has_head, read_metadata, unfit
from emopipe.core.errors import WeightsError
from emopipe.core.labels import CLASSES

OWN_CLASSES = "classes"
"""The key of a file's metadata that lists the classes of its classifier, as JSON."""


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


def classes_in_file(path: Path | str) -> tuple[str, ...] | None:
    """Return the classes of the classifier in a file of weights; None if it holds none.

    Raises:
        WeightsError: The file cannot be read, or its list of classes is not as emopipe writes it.
        DamagedCacheError: The file is in the cache, and cannot be read.
    """
    return classes_of(read_metadata(path)) if has_classifier(path) else None


def classes_of(about: Mapping[str, str]) -> tuple[str, ...]:
    """Return the classes of a classifier by its file's metadata: the seven, unless they are listed.

    Raises:
        WeightsError: The list is not one of two or more names that differ.
    """
    text = about.get(OWN_CLASSES, json.dumps(CLASSES))
    try:
        classes = json.loads(text)
    except ValueError:
        classes = None
    if not _are_classes(classes):
        raise WeightsError(
            f"The metadata of the weights has the entry {OWN_CLASSES} {text!r}. Expected a JSON list of two or more "
            "names of classes that differ. Make the file again by `emopipe pretrain`."
        )
    return tuple(classes)


def in_metadata(classes: Sequence[str]) -> dict[str, str]:
    """Return the entry of a file's metadata that lists the classes of its classifier."""
    return {OWN_CLASSES: json.dumps(list(classes))}


def _are_classes(found: object) -> bool:
    if not isinstance(found, list) or not all(isinstance(name, str) and name for name in found):
        return False
    return len(found) > 1 and len({*found}) == len(found)
