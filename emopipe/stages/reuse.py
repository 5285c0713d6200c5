"""What an earlier run of a stage already made: only clips that are new or changed are computed."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emopipe.store import Reader, Row, made_by


class Earlier:
    """Rows of a stage's earlier output that are still good: same recipe, same content of the clip."""

    def __init__(self, reader: Reader | None) -> None:
        self._reader = reader
        self.attributes = reader.attributes if reader else {}

    def get(self, clip: str, digest: str) -> Row | None:
        """The clip's earlier row, or None where it has to be computed."""
        if self._reader is None or clip not in self._reader or self._reader.digest[clip] != digest:
            return None
        return self._reader[clip]


@contextlib.contextmanager
def earlier(path: Path, recipe: Mapping[str, Any], **attributes: str) -> Iterator[Earlier]:
    """Open what stands at `path`, if the same recipe made it and its attributes are these."""
    if made_by(path, recipe):
        with Reader(path) as reader:
            same = all(reader.attributes.get(name) == value for name, value in attributes.items())
            yield Earlier(reader if same else None)
    else:
        yield Earlier(None)
