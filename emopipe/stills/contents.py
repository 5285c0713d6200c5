"""Which stills are copies of one another: digests of their decoded pixels, and copies across splits."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emopipe.core.atomic import replacing
from emopipe.core.errors import CorpusError
from emopipe.core.log import Progress
from emopipe.stills.base import Stills

DIGITS = 16
"""Hexadecimal digits of a digest."""


def content_of(image: np.ndarray) -> str:
    """Return a digest of the pixels of an image (H, W, 3) uint8; "" if it is empty.

    The same picture in files of other names and lossless formats has the same digest; one that was compressed again
    does not.
    """
    if not image.size:
        return ""
    whole = hashlib.sha256(repr(image.shape).encode())
    whole.update(np.ascontiguousarray(image))
    return whole.hexdigest()[:DIGITS]


class Contents:
    """The digests of the stills of a corpus, which are taken when stills are read for another purpose."""

    def __init__(self, stills: Stills) -> None:
        """Take the stills; none is read yet."""
        self._stills = stills
        self._found: dict[str, str] = {}

    def recorded(self) -> Stills:
        """Return the same stills, whose reader notes the digest of each still that it reads."""
        return dataclasses.replace(self._stills, read_image=self._read)

    def digests(self, path: Path | None = None) -> np.ndarray:
        """Return (n,) the digest of each still's pixels, "" if it cannot be read; what was not read yet is read now.

        Args:
            path: A .npy file that keeps the digests for a run that resumes. Default: none is written.
        """
        keys = self._stills.table["key"].tolist()
        if path is not None and (kept := _kept(path, len(keys))) is not None:
            return kept
        missing = [key for key in keys if key not in self._found]
        progress = Progress("comparing stills", len(missing), unit="stills")
        for key in missing:
            try:
                self._read(key)
            except CorpusError:  # whoever needs the still reports it
                self._found[key] = ""
            progress.advance()
        found = np.array([self._found[key] for key in keys], f"<U{DIGITS}")
        if path is not None:
            with replacing(path) as unfinished, open(unfinished, "wb") as file:
                np.save(file, found)
        return found

    def _read(self, key: str) -> np.ndarray:
        image = self._stills.read_image(key)
        self._found[key] = content_of(image)
        return image


def _kept(path: Path, count: int) -> np.ndarray | None:
    """Return the digests that an earlier run wrote; None if the file does not exist or is damaged."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == (count,) and found.dtype == np.dtype(f"<U{DIGITS}") else None


def copies(contents: np.ndarray, others: Sequence[str] | np.ndarray) -> np.ndarray:
    """Return (n,) bool: the stills whose content is also among `others`; unknown content ("") has no copies."""
    return (contents != "") & np.isin(contents, np.asarray(others, contents.dtype))


def across_splits(contents: np.ndarray, splits: np.ndarray, unit: str = "stills") -> str:
    """Return a sentence on contents that stand in several splits of a corpus; "" if there are none.

    Args:
        contents: (n,) from `Contents.digests`.
        splits: (n,) the split of each still; those without one ("") are ignored.
        unit: What the sentence calls them.
    """
    known = (contents != "") & (splits != "")
    names = sorted(set(splits[known]))
    of_split = {name: set(contents[known & (splits == name)]) for name in names}
    pairs = [(a, b) for number, a in enumerate(names) for b in names[number + 1 :] if of_split[a] & of_split[b]]
    if not pairs:
        return ""
    counts = [
        f"{_count(contents, splits, a, of_split[b])} and {_count(contents, splits, b, of_split[a])}" for a, b in pairs
    ]
    return f"splits share identical {unit}: {'; '.join(counts)}."


def _count(contents: np.ndarray, splits: np.ndarray, split: str, others: set[str]) -> str:
    in_split = splits == split
    return f"{int(copies(contents[in_split], sorted(others)).sum())} of {int(in_split.sum())} of {split}"
