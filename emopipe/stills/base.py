"""What each corpus of stills provides: a table of images, their classes, and the images."""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES
from emopipe.corpora.classes import canonical_label, class_key, is_class, names_of
from emopipe.corpora.labelling import ClassOptions, Labels

ImageReader = Callable[[str], np.ndarray]
"""Key of a still -> its image (H, W, 3) uint8 BGR; empty if the file is not an image."""


class BaseOptions(ClassOptions):
    """Options that all kinds of stills have."""

    labels: Labels = Field(default_factory=dict)
    """Class names of the corpus -> the class that each counts as: one of the network that is trained or evaluated (the
    seven, unless it has others), or an empty text to omit it."""

    def also_read(self, path: Path) -> list[Path]:
        """Return the files and folders that a corpus at `path` consists of beside it; recipes follow their content.

        Raises:
            CorpusError: One of them does not exist.
        """
        return []


@dataclass(frozen=True)
class Stills:
    """The stills of a corpus, in a fixed order."""

    table: pd.DataFrame
    """One row for each still, with the columns key (unique), split (train, val, test, or as the corpus calls it; ""
    without splits) and subject ("" if unknown)."""
    targets: np.ndarray
    """(n, classes) float32: the share of the raters' votes for each of `BaseOptions.classes`; one-hot if there is a
    single label."""
    read_image: ImageReader
    """Reads a still by its key."""
    classes: tuple[str, ...] = ()
    """The classes of the columns of `targets`; () stands for `BaseOptions.classes`."""

    def __len__(self) -> int:
        """Return the number of stills."""
        return len(self.table)

    def rows(self, wanted: np.ndarray) -> "Stills":
        """Return the stills that a mask (n,) or row numbers select, in that order."""
        numbers = np.arange(len(self))[wanted]
        table = self.table.iloc[numbers].reset_index(drop=True)
        return dataclasses.replace(self, table=table, targets=self.targets[numbers])

    def in_classes(self, classes: Sequence[str]) -> "Stills":
        """Return the stills that show any of some classes, with targets for these (n, classes)."""
        own = list(self.classes)
        shown = [self.targets[:, own.index(name)] if name in own else np.zeros(len(self), "f4") for name in classes]
        targets = np.stack(shown, 1)
        total = targets.sum(1, keepdims=True)
        found = dataclasses.replace(self, targets=targets / np.where(total > 0, total, 1), classes=tuple(classes))
        return found.rows(total[:, 0] > 0)


def one_hot(labels: Sequence[str], classes: Sequence[str] = CLASSES) -> np.ndarray:
    """Return (n, classes) float32 for names of classes."""
    return np.eye(len(classes), dtype=np.float32)[[classes.index(label) for label in labels]].reshape(-1, len(classes))


def stills_from_rows(
    rows: pd.DataFrame,
    read_image: ImageReader,
    labels: Mapping[str, str],
    where: str,
    *,
    names: Collection[str] = (),
    no_class: Collection[str] = (),
    classes: Sequence[str] = CLASSES,
) -> Stills:
    """Return stills from rows whose column `label` has the corpus' own class names.

    Args:
        rows: The columns key and label, and split and subject if they are known.
        read_image: Reads a still.
        labels: `BaseOptions.labels`.
        where: The corpus, for messages.
        names: See `class_map`; the classes in the rows need not be given.
        no_class: See `class_map`.
        classes: See `class_map`.

    Raises:
        CorpusError: No still remains, or a class is unknown.
    """
    counts_as = class_map({*names, *rows["label"]}, labels, where, no_class=no_class, classes=classes)
    label = rows["label"].map(counts_as)
    kept = rows[label != ""].reset_index(drop=True)
    if kept.empty:
        raise no_stills_error(sorted(set(rows["label"])), where, classes)
    return Stills(stills_table(kept), one_hot(label[label != ""], classes), read_image, tuple(classes))


def class_map(
    names: Collection[str],
    labels: Mapping[str, str],
    where: str,
    *,
    no_class: Collection[str] = (),
    classes: Sequence[str] = CLASSES,
) -> dict[str, str]:
    """Return what each class name of a corpus counts as: one of `classes`, or "" if it is omitted.

    Known classes that are not among `classes` (contempt, calm, ...) are omitted unless `labels` has them.

    Args:
        names: The corpus' class names.
        labels: `BaseOptions.labels`; names are compared without regard to case.
        where: The corpus, for messages.
        no_class: Names that the corpus uses for stills without a class, such as "unknown".
        classes: `BaseOptions.classes`, which stand for themselves and for their synonyms.

    Raises:
        CorpusError: A class is unknown, or `labels` has a class that the corpus does not have.
    """
    folded = {class_key(name): target for name, target in labels.items()}
    absent = set(folded) - {class_key(name) for name in names}
    if absent:
        raise CorpusError(
            f"The option labels has the class {min(absent)!r}, but {where} has the classes "
            f"{', '.join(sorted(names)) or '(none)'}. Correct the name or remove it."
        )
    known = dict.fromkeys(map(class_key, no_class), "") | names_of(classes) | folded
    return {
        name: known[key] if (key := class_key(name)) in known else _other_class(name, where, classes) for name in names
    }


def _other_class(name: str, where: str, classes: Sequence[str]) -> str:
    """Return "" for a known class; raise a CorpusError for an unknown one."""
    if is_class(name):
        return ""
    if {*CLASSES} <= {*classes}:
        return canonical_label(name, owner=where)
    raise CorpusError(
        f"The class {name!r} of {where} is unknown. Expected one of {', '.join(classes)}. Set the option labels, such "
        f'as {{"{name}": {classes[0]}}}; an empty text omits its stills.'
    )


def stills_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of `Stills.table`, "" where rows have no split or subject."""
    return rows.reindex(columns=["key", "split", "subject"], fill_value="").reset_index(drop=True)


def no_stills_error(found: Sequence[str], where: str, classes: Sequence[str] = CLASSES) -> CorpusError:
    """Return the error for a corpus without a still of one of `classes`."""
    which = "the seven classes" if {*CLASSES} <= {*classes} else f"the classes {', '.join(classes)}"
    return CorpusError(
        f"{where} has no still of one of {which}. Found: {', '.join(found) or 'nothing'}. Check the path, or set the "
        "option labels to what its classes count as."
    )
