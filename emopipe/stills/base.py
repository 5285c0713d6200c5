"""What every corpus of stills gives: a table of pictures, what each shows, and the pictures themselves."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field

from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES
from emopipe.core.options import Options
from emopipe.corpora.classes import OTHER_CLASSES, canonical_label

Picture = Callable[[str], np.ndarray]
"""A still's key -> its picture (H, W, 3) uint8 BGR, or an empty array where the file is no picture."""


def _one_of_the_seven(name: str) -> str:
    try:
        return canonical_label(name) if name else ""
    except CorpusError as error:
        raise ValueError(f"{error} Give an empty text to omit a class") from error


class BaseOptions(Options):
    """What every kind of stills takes."""

    labels: dict[str, Annotated[str, AfterValidator(_one_of_the_seven)]] = Field(default_factory=dict)
    """What the corpus' own class names count as: one of the seven, or an empty text to leave the class out."""


@dataclass(frozen=True)
class Stills:
    """The stills of a corpus, in a fixed order."""

    table: pd.DataFrame
    """Columns key, split (train, val, test, or as the corpus calls it; empty where it has none) and subject ("" where
    unknown); one row a still, every key once."""
    targets: np.ndarray
    """(n, classes) float32: the shares of the votes of those who labelled it; one 1 where there is one label."""
    picture: Picture
    """Reads one still by its key."""

    def __len__(self) -> int:
        """The number of stills."""
        return len(self.table)

    def rows(self, wanted: np.ndarray) -> "Stills":
        """The stills that a mask (n,) or numbers of rows choose, in that order."""
        numbers = np.arange(len(self))[wanted]
        return Stills(self.table.iloc[numbers].reset_index(drop=True), self.targets[numbers], self.picture)


def one_hot(labels: Sequence[str]) -> np.ndarray:
    """(n, classes) float32 for class names in AFEW's spelling."""
    return np.eye(len(CLASSES), dtype=np.float32)[[CLASSES.index(label) for label in labels]].reshape(-1, len(CLASSES))


def labelled(
    rows: pd.DataFrame,
    picture: Picture,
    labels: Mapping[str, str],
    where: str,
    *,
    names: Collection[str] = (),
    beside: Collection[str] = (),
) -> Stills:
    """Stills out of rows with a column `label` in the corpus' own class names, by the map and the synonyms.

    Args:
        rows: Columns key, label, and split and subject where they are known.
        picture: Reads a still.
        labels: `BaseOptions.labels`.
        where: What to call the corpus in messages.
        names: See `counts_as`; the classes that are in the rows are known anyway.
        beside: See `counts_as`.

    Raises:
        CorpusError: No still is left, or a class is unknown.
    """
    classes = counts_as({*names, *rows["label"]}, labels, where, beside=beside)
    label = rows["label"].map(classes)
    kept = rows[label != ""].reset_index(drop=True)
    if kept.empty:
        raise none_left(sorted(set(rows["label"])), where)
    return Stills(table(kept), one_hot(label[label != ""]), picture)


def counts_as(
    names: Collection[str], labels: Mapping[str, str], where: str, *, beside: Collection[str] = ()
) -> dict[str, str]:
    """What each of a corpus' class names counts as: one of the seven, or "" where it is left out.

    Classes that are none of the seven (contempt, calm, ...) are left out where the map does not say what they count as.

    Args:
        names: The corpus' class names.
        labels: `BaseOptions.labels`; names are compared without regard to case.
        where: What to call the corpus in messages.
        beside: Names that the corpus has for no class at all, such as "unknown".

    Raises:
        CorpusError: A class is unknown, or the map names one that the corpus has not.
    """
    folded = {name.strip().casefold(): target for name, target in labels.items()}
    absent = set(folded) - {name.strip().casefold() for name in names}
    if absent:
        raise CorpusError(
            f"`labels` says what {min(absent)!r} counts as, but {where} has the classes "
            f"{', '.join(sorted(names)) or '(none)'}: correct the name or take it out."
        )
    out = dict.fromkeys([*OTHER_CLASSES, *(name.casefold() for name in beside)], "") | folded
    return {
        name: out[key] if (key := name.strip().casefold()) in out else canonical_label(name, owner=where)
        for name in names
    }


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of `Stills.table`, "" where rows have no split or subject."""
    return rows.reindex(columns=["key", "split", "subject"], fill_value="").reset_index(drop=True)


def none_left(found: Sequence[str], where: str) -> CorpusError:
    """The error for a corpus without a still of one of the seven classes."""
    return CorpusError(
        f"{where} has no still of one of the seven classes (found: {', '.join(found) or 'nothing'}): check the path, "
        "or say by `labels` what its classes count as."
    )
