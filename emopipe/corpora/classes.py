"""From the class names that a corpus uses to the labels of the clip table."""

from typing import Literal

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.labels import EXTENDED, canonical

Others = Literal["refuse", "exclude"]
"""What becomes of clips whose class is none of the seven but known, such as calm."""


def with_labels(table: pd.DataFrame, others: Others = "refuse") -> pd.DataFrame:
    """The table with each class name in its column `label` in AFEW's spelling; "" stays "".

    Raises:
        CorpusError: a class is unknown; the first such clip is named, and how many more there are.
    """
    if others == "exclude":
        table = table[~table["label"].str.strip().str.casefold().isin(EXTENDED)]
    names = [name for name in table["label"].unique() if name]
    unknown = [name for name in names if not _is_one_of_seven(name)]
    if unknown:
        clips = table[table["label"].isin(unknown)]
        more = f" (and {len(clips) - 1} more clips of unknown class)" if len(clips) > 1 else ""
        canonical(clips["label"].iloc[0], of=f"the clip {clips['path'].iloc[0]}{more}")
    labels = {name: canonical(name) for name in names} | {"": ""}
    return table.assign(label=table["label"].map(labels).astype(str))


def is_class(name: str) -> bool:
    """Whether a name is that of a class, one of the seven or not."""
    return name.strip().casefold() in EXTENDED or _is_one_of_seven(name)


def _is_one_of_seven(name: str) -> bool:
    try:
        canonical(name)
    except CorpusError:
        return False
    return True
