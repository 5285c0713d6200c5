"""Folders that repeat other folders: a corpus that was unpacked twice."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from emopipe.core.errors import CorpusError
from emopipe.corpora.classes import is_class
from emopipe.corpora.splits import split_of

_COMPARED = 5  # how many pairs of files are compared by content


@dataclass(frozen=True)
class Copy:
    """A folder that repeats another one."""

    first: str
    """The folder that is repeated, relative to the corpus folder; "" for the corpus folder itself."""
    second: str
    """The folder that repeats it."""
    files: int
    """How many files have the same name in both."""

    def sentence(self) -> str:
        """Return what was found and what to do."""
        first = f"the folder {self.first}" if self.first else "the corpus folder itself"
        return (
            f"The folder {self.second} repeats {first}: {self.files} files have the same names in both. If the corpus "
            f'was unpacked twice, set omit_folders: ["{self.second}"] in the corpus options, or remove that folder.'
        )


def second_copy(paths: Iterable[Sequence[str]]) -> Copy | None:
    """Return which folder repeats which, by paths that stand for one clip; None if they are not in two folders.

    Args:
        paths: For each clip that is there several times, the paths of its files, relative to the corpus folder.
    """
    pairs: Counter[tuple[str, str]] = Counter()
    for first, *others in paths:
        for other in others:
            if folders := _folders_apart(first, other):
                pairs[folders] += 1
    if not pairs:
        return None
    (first, second), files = max(pairs.items(), key=lambda item: (item[1], item[0]))
    return Copy(first, second, files)


def second_copy_by_content(root: Path, files: Iterable[PurePosixPath]) -> Copy | None:
    """Return which folder repeats which where files have the same names and content; None if there is no such folder.

    Args:
        root: The corpus folder.
        files: Paths relative to it.
    """
    by_name: dict[str, list[str]] = {}
    for file in files:
        by_name.setdefault(file.name, []).append(file.as_posix())
    several = [sorted(paths, key=_depth) for paths in by_name.values() if len(paths) > 1]
    found = second_copy(several)
    if found is None or 2 * found.files < len(several):
        return None
    pairs = [(paths[0], path) for paths in several for path in paths[1:] if path.startswith(f"{found.second}/")]
    return found if pairs and all(_are_equal(root / a, root / b) for a, b in pairs[:_COMPARED]) else None


def refuse_second_copy(paths: Mapping[str, Sequence[str]], corpus: str) -> None:
    """Raise a CorpusError if recordings are in two folders.

    Args:
        paths: Clip -> its paths, relative to the corpus folder.
        corpus: The corpus' name, for the message.
    """
    several = {clip: sorted(found, key=_depth) for clip, found in paths.items() if len(found) > 1}
    found = second_copy(several.values())
    if found is not None:
        raise CorpusError(
            f"{len(several)} recordings of {corpus} are there more than once, such as {next(iter(several))}. "
            f"{found.sentence()}"
        )


def _depth(path: str) -> tuple[int, str]:
    return path.count("/"), path


def _folders_apart(first: str, second: str) -> tuple[str, str] | None:
    """Return the folders below which two paths are the same, down to the stem; None if there are no such ones."""
    one, other = (list(PurePosixPath(path).with_suffix("").parts) for path in (first, second))
    if one[-1] != other[-1]:
        return None
    while one and other and one[-1] == other[-1]:
        one.pop()
        other.pop()
    if one == other or not other or any(is_class(name) or split_of(name) for name in (*one[-1:], other[-1])):
        return None  # a class or a split does not repeat another one, although its files may have the same names
    return "/".join(one), "/".join(other)


def _are_equal(first: Path, second: Path) -> bool:
    """Return whether two files have the same content, and are not empty."""
    try:
        if not os.stat(first).st_size or os.stat(first).st_size != os.stat(second).st_size:
            return False
        return first.read_bytes() == second.read_bytes()
    except OSError:
        return False
