"""Several corpora of stills merged into one."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.stills.base import Stills


def merged(parts: Sequence[Stills], names: Sequence[str]) -> Stills:
    """Return the stills of all parts, in order.

    A key becomes `<name>/<key>`. So does a known subject, since two corpora may use the same name for different
    people. Splits stay. Each corpus reads its own images.

    Args:
        parts: The corpora.
        names: A unique name without a slash for each.

    Raises:
        CorpusError: There is no part, or a name is not unique or has a slash.
        ValueError: The numbers of names and parts differ.
    """
    readers = {name: part.read_image for name, part in zip(names, parts, strict=True)}
    bad = [name for name in names if "/" in name or not name or list(names).count(name) > 1]
    if bad:
        raise CorpusError(
            f"Corpora of stills that are merged need different names without a slash. Found {bad[0]!r}. Rename it."
        )
    if not parts:
        raise CorpusError("There is no corpus of stills to merge. Give at least one.")

    def read_image(key: str) -> np.ndarray:
        name, _, inner = key.partition("/")
        if name not in readers:
            raise CorpusError(f"There is no still {key!r} in {', '.join(readers)}. Use a key of the stills' table.")
        return readers[name](inner)

    tables = []
    for part, name in zip(parts, names, strict=True):
        subject = part.table["subject"]
        subject = subject.where(subject == "", f"{name}/" + subject)
        tables.append(part.table.assign(key=f"{name}/" + part.table["key"], subject=subject))
    return Stills(pd.concat(tables, ignore_index=True), np.concatenate([part.targets for part in parts]), read_image)
