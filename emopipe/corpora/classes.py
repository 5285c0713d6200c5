"""Class names of corpora: their synonyms, and how they become the labels of the clip table."""

import difflib
from typing import Literal

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES

SYNONYMS: dict[str, tuple[str, ...]] = {
    "Angry": ("angry", "anger", "ang", "an"),
    "Disgust": ("disgust", "disgusted", "dis", "di"),
    "Fear": ("fear", "fearful", "afraid", "scared", "fea", "fe"),
    "Happy": ("happy", "happiness", "joy", "joyful", "hap", "ha"),
    "Neutral": ("neutral", "neutrality", "neu", "ne"),
    "Sad": ("sad", "sadness", "sa"),
    "Surprise": ("surprise", "surprised", "sur", "su"),
}
"""Class -> all its names, in lower case. Names are compared without regard to case."""

OTHER_CLASSES: tuple[str, ...] = ("boredom", "bored", "calm", "contempt", "excited", "frustrated", "other")
"""Known classes of corpora that are not one of the seven. Error messages treat them differently from unknown names."""

_CLASS_OF: dict[str, str] = {name: label for label, names in SYNONYMS.items() for name in names}

Others = Literal["refuse", "exclude"]
"""What to do with clips whose class is one of OTHER_CLASSES, such as calm."""


def canonical_label(name: str, *, owner: str = "") -> str:
    """Return the class that a name stands for.

    >>> canonical_label("happiness"), canonical_label("ANG")
    ('Happy', 'Angry')

    Args:
        name: A class name in any case, or a synonym.
        owner: What has this class, for the message, such as "the clip a.mp4".

    Returns:
        One of `CLASSES`.

    Raises:
        CorpusError: The name is not one of the seven classes or their synonyms.
    """
    key = name.strip().casefold()
    if key in _CLASS_OF:
        return _CLASS_OF[key]
    subject = f"The class {name!r} of {owner}" if owner else f"The class {name!r}"
    expected = f"Expected one of {', '.join(CLASSES)}, or a synonym in emopipe/corpora/classes.py."
    if key in OTHER_CLASSES:
        raise CorpusError(
            f"{subject} is not one of the seven. {expected} Remove its clips from the corpus, or rename the class to "
            "the one that it should count as."
        )
    near = sorted({_CLASS_OF[match] for match in difflib.get_close_matches(key, _CLASS_OF, n=3)})
    hint = f"Did you mean {' or '.join(near)}?" if near else "Rename it."
    raise CorpusError(f"{subject} is unknown. {expected} {hint}")


def is_class(name: str) -> bool:
    """Return whether a name is a known class, one of the seven or another."""
    key = name.strip().casefold()
    return key in _CLASS_OF or key in OTHER_CLASSES


def with_labels(table: pd.DataFrame, others: Others = "refuse") -> pd.DataFrame:
    """Return the clip table with each name in the column `label` replaced by its class; "" stays "".

    Args:
        table: A clip table.
        others: "exclude" omits clips of OTHER_CLASSES; "refuse" raises an error for them.

    Raises:
        CorpusError: A class is not one of the seven. The message names the first such clip and counts the others.
    """
    if others == "exclude":
        table = table[~table["label"].str.strip().str.casefold().isin(OTHER_CLASSES)]
    names = [name for name in table["label"].unique() if name]
    unknown = [name for name in names if name.strip().casefold() not in _CLASS_OF]
    if unknown:
        clips = table[table["label"].isin(unknown)]
        more = f" (and {len(clips) - 1} more clips of such classes)" if len(clips) > 1 else ""
        canonical_label(clips["label"].iloc[0], owner=f"the clip {clips['path'].iloc[0]}{more}")
    labels = {name: canonical_label(name) for name in names} | {"": ""}
    return table.assign(label=table["label"].map(labels).astype(str))
