"""A stage's file in the making: what earlier runs computed is taken over, and what this one computes is not lost.

Rows that a job computes are flushed every few seconds as parts, small files of the store's own format in a hidden
folder beside the output. A job that is killed, runs out of time or fails leaves them there; the next one takes them
over, computes the rest and removes them. So does an earlier whole output, where the same recipe made it: only clips
that are new or changed are computed.
"""

import contextlib
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from emopipe.cache.partial import folder_for, next_part, parts_of
from emopipe.cache.status import TRANSIENT
from emopipe.cache.store import Field, Reader, Row, Writer, made_by
from emopipe.core.errors import CacheError, DamagedCacheError
from emopipe.core.log import LOGGER

FLUSH_SECONDS = 10.0
"""A job that is killed loses this much work at most, and that on the clip at hand."""
MOST_PARTS = 100
"""More are made one: systems limit how many files a process has open."""
FLUSH_BYTES = 64 << 20
"""Rows of this size are flushed at once, so that memory stays bounded."""


class Output:
    """The output of one job; made by `making`."""

    def __init__(self, writer: Writer, parts: "_Parts", sources: list[Reader]) -> None:
        self._writer, self._parts, self._sources = writer, parts, sources
        self.attributes = sources[0].attributes if sources else {}
        """What made the rows that may be taken over."""
        self.taken, self.computed = 0, 0

    def earlier(self, clip: str, digest: str) -> Row | None:
        """The clip's row of an earlier run, or None where it has to be computed."""
        for source in self._sources:
            is_usable = clip in source and source.digest[clip] == digest and source.status[clip] not in TRANSIENT
            if is_usable and (row := _whole(source, clip)):
                return row
        return None

    def take(self, row: Row) -> None:
        """Add a row of an earlier run."""
        self._writer.add(row)
        self.taken += 1

    def add(self, row: Row) -> None:
        """Add a row that was just computed."""
        self._parts.add(row)
        self._writer.add(row)
        self.computed += 1

    def note(self, **attributes: str | int | float) -> None:
        """Write down something more of what made the file, such as the device."""
        self._writer.note(**attributes)


class _Parts:
    """The computed rows of an unfinished output, in files of their own."""

    def __init__(
        self, path: Path, fields: Mapping[str, Field], about: Mapping[str, Any], noted: Mapping[str, str]
    ) -> None:
        self._path, self._fields, self._about, self._noted = path, fields, about, noted
        self._rows: list[Row] = []
        self._bytes, self._flushed = 0, time.monotonic()
        if len(paths := parts_of(path)) > MOST_PARTS:
            self._join(paths)

    def add(self, row: Row) -> None:
        self._rows.append(row)
        self._bytes += sum(array.nbytes for array in row.arrays.values())
        if self._bytes >= FLUSH_BYTES or time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._write(self._rows)
        self._rows, self._bytes, self._flushed = [], 0, time.monotonic()

    def _write(self, rows: Iterable[Row]) -> None:
        with Writer(next_part(self._path), self._fields, **self._about) as part:
            for row in rows:
                part.add(row)
            part.note(**self._noted)

    def _join(self, paths: list[Path]) -> None:
        """Make one part of many, as all of them are open at once."""
        self._write(itertools.chain.from_iterable(map(self._rows_of, paths)))
        for path in paths:
            path.unlink()

    def _rows_of(self, path: Path) -> Iterator[Row]:
        if reader := _usable(path, self._about["recipe"], self._noted):
            with reader:
                yield from filter(None, (_whole(reader, clip) for clip in reader.clips))


@contextlib.contextmanager
def making(
    path: Path, fields: Mapping[str, Field], *, stage: str, recipe: Mapping[str, Any], **noted: str
) -> Iterator[Output]:
    """Make the file at `path`; it appears whole when the context is left without an exception.

    Args:
        path: The file to make.
        fields: What it holds of a clip.
        stage: Its stage.
        recipe: What makes it: rows that another recipe made are not taken over.
        noted: What else made it, such as the device, and has to be the same for rows to be taken over.

    Raises:
        CacheError: Another process is making the same file.
    """
    about = {"stage": stage, "recipe": recipe}
    with contextlib.ExitStack() as stack:
        stack.enter_context(folder_for(path))
        parts = _Parts(path, fields, about, noted)
        sources = [stack.enter_context(r) for p in [path, *parts_of(path)] if (r := _usable(p, recipe, noted))]
        with _kept_on_failure(parts), Writer(path, fields, **about) as writer:
            writer.note(**noted)
            output = Output(writer, parts, sources)
            yield output
        LOGGER.info(f"{path}: {output.computed} clips computed, {output.taken} taken over")


@contextlib.contextmanager
def _kept_on_failure(parts: _Parts) -> Iterator[None]:
    """Flush what was computed, whatever ends the job; where even that fails, the first failure is the one to tell."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError, RuntimeError):
            parts.flush()
        raise


def _whole(source: Reader, clip: str) -> Row | None:
    """A clip's row, if it is what was written."""
    try:
        return source[clip]
    except DamagedCacheError as error:
        LOGGER.warning(f"{error} The clip is computed again.")
        return None


def _usable(path: Path, recipe: Mapping[str, Any], noted: Mapping[str, str]) -> Reader | None:
    """The file, if it is whole and the same recipe made it, with the same to note."""
    if not made_by(path, recipe):
        return None
    try:
        reader = Reader(path)
    except CacheError as error:
        LOGGER.warning(f"{error} Nothing is taken over from it.")
        return None
    if any(reader.attributes.get(name) != value for name, value in noted.items()):
        reader.__exit__()
        return None
    return reader
