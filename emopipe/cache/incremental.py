"""A stage's output, made clip by clip: rows of earlier runs are reused, and rows of an interrupted job are kept.

A job writes the rows that it computes every few seconds to partial files: small files of the store's own format in a
hidden folder beside the output. If the job is killed, runs out of time or fails, they stay there. The next job reuses
them, computes the rest and removes them. It also reuses an earlier whole output that the same recipe made, so that only
new and changed clips are computed.
"""

import contextlib
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from emopipe.cache.partial import next_part, partial_folder, parts_of
from emopipe.cache.status import TRANSIENT
from emopipe.cache.store import DROPPED, DROPS, Field, Reader, Row, Writer, attributes, made_by
from emopipe.core.errors import DamagedCacheError
from emopipe.core.libraries import installed
from emopipe.core.log import LOGGER

FLUSH_SECONDS = 10.0
"""A killed job loses at most this much work, and the work on its current clip."""
MOST_PARTS = 100
"""More partial files are joined into one: systems limit how many files a process may open."""
FLUSH_BYTES = 64 << 20
"""Rows that together are this large are written immediately, so that memory stays bounded."""


class Output:
    """The output of one job; `making` makes it."""

    def __init__(self, writer: Writer, parts: "_Parts", sources: list[Reader]) -> None:
        self._writer, self._parts, self._sources = writer, parts, sources
        self.attributes = sources[0].attributes if sources else {}
        """Attributes of the file whose rows are reused; empty if there is none."""
        self.taken, self.computed = 0, 0

    def earlier(self, clip: str, digest: str) -> Row | None:
        """Return the clip's row of an earlier run, or None if it has to be computed."""
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
        """Record what else made the file, such as the device."""
        self._writer.note(**attributes)


class _Parts:
    """The computed rows of an unfinished output, in partial files."""

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
        """Join many partial files into one."""
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
    """Make the file at `path`; it appears, whole, when the context ends without an exception.

    Args:
        path: The file to make.
        fields: What it holds of each clip.
        stage: Its stage.
        recipe: What makes it. Rows that another recipe made are not reused.
        noted: What else makes it, such as the device. Rows are reused only if this is the same.

    Raises:
        CacheError: Another process makes the same file, or a file whose rows could be reused may not be read.
    """
    about = {"stage": stage, "recipe": recipe}
    with contextlib.ExitStack() as stack:
        stack.enter_context(partial_folder(path))
        parts = _Parts(path, fields, about, noted)
        sources = [stack.enter_context(r) for p in [path, *parts_of(path)] if (r := _usable(p, recipe, noted))]
        with _kept_on_failure(parts), Writer(path, fields, **about) as writer:
            writer.note(**noted)
            output = Output(writer, parts, sources)
            yield output
            writer.note(**_other_libraries(recipe, output), **_drops(path))
        LOGGER.info(f"{path}: {output.computed} clips computed, {output.taken} reused")


def _drops(path: Path) -> dict[str, int]:
    """Return the attribute `drops` of the file that is replaced, if it has one (see `emopipe.cache.pictures`)."""
    before = attributes(path)
    return {DROPS: int(before[DROPS])} if DROPS in before else {}


def _other_libraries(recipe: Mapping[str, Any], output: Output) -> dict[str, str]:
    """Return the attribute `other_libraries`: versions beside the recipe's that made rows (library_changes: keep)."""
    named = recipe.get("libraries", {})
    other = set(filter(None, output.attributes.get("other_libraries", "").split(", "))) if output.taken else set()
    if output.computed:
        now = installed(named)
        other |= {f"{name} {version}" for name, version in now.items() if version != named[name]}
    return {"other_libraries": ", ".join(sorted(other))} if other else {}


@contextlib.contextmanager
def _kept_on_failure(parts: _Parts) -> Iterator[None]:
    """Write the computed rows, also if an error ends the job. If this fails too, the first error is raised."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError, RuntimeError):
            parts.flush()
        raise


def _whole(source: Reader, clip: str) -> Row | None:
    """Return a clip's row, or None if it is damaged."""
    try:
        return source[clip]
    except DamagedCacheError as error:
        LOGGER.warning(f"{error} The clip is computed again.")
        return None


def _usable(path: Path, recipe: Mapping[str, Any], noted: Mapping[str, str]) -> Reader | None:
    """Open a file if it is whole, has its pictures, and the same recipe, device and so on made it; else return None.

    A file that the system cannot read at the moment is an error: its rows may be intact, and would be replaced.
    """
    if not made_by(path, recipe):
        return None
    try:
        reader = Reader(path)
    except DamagedCacheError as error:
        LOGGER.warning(f"{error} None of its rows are reused.")
        return None
    is_other = any(reader.attributes.get(name) != value for name, value in noted.items())
    if is_other or reader.attributes.get(DROPPED):
        reader.__exit__()
        return None
    return reader
