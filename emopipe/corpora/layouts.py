"""Patterns for folders that are laid out in another way: classes and people anywhere in paths and names."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePath

from emopipe.corpora.splits import split_of

Known = Callable[[str], bool]
"""Whether a name is that of a class."""

_WORD = "[^/_. -]+"  # a part of a name between separators
_NAMES = (
    rf"(?P<subject>{_WORD})[_ -](?P<label>[^/]+)",  # OAF_Pleasant_surprise
    rf"(?P<subject>[^/]+)[_ -](?P<label>{_WORD})",  # actor_01_happy
    rf"(?P<label>{_WORD})[_ -](?P<subject>[^/]+)",  # happy_01
)
"""How the name of a folder may hold a class, and perhaps a person."""
_PLACES = 4  # how many words of a file's name are looked at, from its start and from its end


def patterns(files: Sequence[PurePath], known: Known) -> Iterator[str]:
    """Yield regular expressions with the groups `label` and perhaps `subject` and `split`, the likeliest first.

    Each one matches every path, and each `label` is a class. Each person whom one names is in several files, and most
    of these people show several classes.

    Args:
        files: Paths relative to the corpus folder.
        known: See Known.
    """
    paths = [file.as_posix() for file in files]
    for guess in (*_of_levels(files, known), *_of_folder_names(files), *_of_file_names()):
        labels, people = _groups(guess, paths)
        if not all(map(known, set(labels))) or len(set(labels)) < 2:
            continue
        yield guess if _are_people(people, labels) else re.sub(r"\(\?P<subject>(.*?)\)", r"\1", guess)


def _groups(pattern: str, paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the label and the subject in each path; [""] and [""] if a path does not match."""
    matches = [re.search(pattern, path) for path in paths]
    if None in matches:
        return [""], [""]
    has_people = "subject" in re.compile(pattern).groupindex
    return [match["label"] for match in matches], [match["subject"] if has_people else "" for match in matches]


def _are_people(people: Sequence[str], labels: Sequence[str]) -> bool:
    """Return whether names are of people: several, in several files each, most of whom show several classes."""
    classes: dict[str, set[str]] = {}
    for person, label in zip(people, labels, strict=True):
        classes.setdefault(person, set()).add(label)
    several = sum(len(shown) > 1 for shown in classes.values())
    return 2 <= len(classes) <= len(people) / 2 and several > len(classes) / 2


def _of_levels(files: Sequence[PurePath], known: Known) -> Iterator[str]:
    """Yield patterns for folders of classes below, or above, folders of people."""
    depth = min(len(file.parts) for file in files) - 1
    names = [{file.parts[level] for file in files} for level in range(depth)]
    splits = [level for level in range(depth) if all(map(split_of, names[level]))]
    for label in (level for level in range(depth) if all(map(known, names[level]))):
        for subject in [*_levels_of_people(files, names, label, splits), None]:
            groups = {label: "label", subject: "subject", **({splits[0]: "split"} if splits else {})}
            last = max(level for level in groups if level is not None)
            parts = (f"(?P<{groups[level]}>[^/]+)" if level in groups else "[^/]+" for level in range(last + 1))
            yield "^" + "/".join(parts) + "/"


def _levels_of_people(
    files: Sequence[PurePath], names: Sequence[set[str]], label: int, splits: Sequence[int]
) -> Iterator[int]:
    """Yield levels whose folders may be people: above the classes, the innermost one first; then just below them.

    The folders of one person stand in one place, so a name in several (`session 1` of everybody) is not a person's.
    """
    for level in (level for level in reversed(range(label)) if level not in splits and len(names[level]) > 1):
        above = {tuple(file.parts[n] for n in range(level + 1) if n not in splits) for file in files}
        if len(above) == len(names[level]):
            yield level
    if label + 1 < len(names) and label + 1 not in splits and len(names[label + 1]) > 1:
        yield label + 1


def _of_folder_names(files: Sequence[PurePath]) -> Iterator[str]:
    """Yield patterns for folders whose names hold the class."""
    for level in range(min(len(file.parts) for file in files) - 1):
        for name in _NAMES:
            yield "^" + "[^/]+/" * level + name + "/"


def _of_file_names() -> Iterator[str]:
    """Yield patterns for files whose names hold the class, as one of their words."""
    yield rf"(?:^|/)(?P<label>{_WORD})[^/]*$"
    for place in range(1, _PLACES):
        between = rf"(?:{_WORD}[_ -]){{{place - 1}}}" if place > 1 else ""
        yield rf"(?:^|/)(?P<subject>{_WORD})[_ -]{between}(?P<label>{_WORD})[^/]*$"
    for place in range(_PLACES):
        after = rf"(?:[_ -]{_WORD}){{{place}}}" if place else ""
        yield rf"(?:^|/)(?P<subject>{_WORD})[_ -][^/]*?(?P<label>{_WORD}){after}\.[^/.]*$"
