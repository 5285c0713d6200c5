"""Several corpora of stills as one."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.stills.base import Stills


def merged(parts: Sequence[Stills], names: Sequence[str]) -> Stills:
    """The stills of all parts, in their order.

    A key becomes `<name>/<key>`, and so does a subject that is known, since two corpora may call different people the
    same; splits stay. Each picture is read by its own corpus.

    Args:
        parts: The corpora.
        names: What each is called: unique, without a slash.

    Raises:
        CorpusError: There is no part, or a name is not unique or has a slash.
        ValueError: There are not as many names as parts.
    """
    readers = {name: part.picture for name, part in zip(names, parts, strict=True)}
    bad = [name for name in names if "/" in name or not name or list(names).count(name) > 1]
    if bad or not parts:
        found = f"found {bad[0]!r}" if bad else "there is none"
        raise CorpusError(
            f"Corpora of stills that are merged need different names without a slash, but {found}: mend it."
        )

    def picture(key: str) -> np.ndarray:
        name, _, inner = key.partition("/")
        if name not in readers:
            raise CorpusError(f"There is no still {key!r} in {', '.join(readers)}: take a key of the stills' table.")
        return readers[name](inner)

    tables = [_named(part.table, name) for part, name in zip(parts, names, strict=True)]
    return Stills(pd.concat(tables, ignore_index=True), np.concatenate([part.targets for part in parts]), picture)


def _named(table: pd.DataFrame, name: str) -> pd.DataFrame:
    subject = table["subject"].where(table["subject"] == "", f"{name}/" + table["subject"])
    return table.assign(key=f"{name}/" + table["key"], subject=subject)
