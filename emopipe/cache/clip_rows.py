"""Rows of clips for the next step: in memory, or, as `emopipe.cache.store.Reader`, in a file."""

from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np

from emopipe.cache.store import Field, Row


class ClipRows(Protocol):
    """What a step reads of the step before."""

    clips: list[str]
    """The ids of the clips."""
    digest: dict[str, str]
    """Clip -> the digest of its content."""
    status: dict[str, str]
    """Clip -> its status."""
    reason: dict[str, str]
    """Clip -> the reason for its status, as codes."""

    @property
    def fields(self) -> Mapping[str, Field]:
        """The fields, with the types and shapes of their rows."""
        ...

    def field(self, clip: str, name: str) -> np.ndarray:
        """Return one clip's rows of one field; none if the clip has no such field."""
        ...


class RowsInMemory:
    """Rows of clips that are not written to a file; what it returns is what a file would hold."""

    def __init__(self, rows: Iterable[Row], fields: Mapping[str, Field]) -> None:
        """Take the rows, and the fields that a file of them would have."""
        self._rows, self.fields = {row.clip: row for row in rows}, fields
        self.clips = list(self._rows)
        self.digest = {clip: row.digest for clip, row in self._rows.items()}
        self.status = {clip: row.status for clip, row in self._rows.items()}
        self.reason = {clip: row.reason for clip, row in self._rows.items()}

    def field(self, clip: str, name: str) -> np.ndarray:
        """Return one clip's rows of one field; none if the clip has no such field."""
        field = self.fields[name]
        return np.ascontiguousarray(self._rows[clip].arrays.get(name, np.empty((0, *field.row))), field.dtype)
