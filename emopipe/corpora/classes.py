"""Class names of corpora: their synonyms, and how they become the labels of the clip table."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

import pandas as pd
from pydantic import AfterValidator, BeforeValidator, Field

from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES
from emopipe.core.options import Options

SYNONYMS: dict[str, tuple[str, ...]] = {
    "Angry": ("angry", "anger", "ang", "an"),
    "Disgust": ("disgust", "disgusted", "dis", "di"),
    "Fear": ("fear", "fearful", "afraid", "scared", "fea", "fe"),
    "Happy": ("happy", "happiness", "joy", "joyful", "hap", "ha"),
    "Neutral": ("neutral", "neutrality", "neu", "ne"),
    "Sad": ("sad", "sadness", "sa"),
    "Surprise": ("surprise", "surprised", "pleasant surprise", "pleasant surprised", "sur", "su"),
}
"""Class -> all its names, in lower case. Names are compared without regard to case, and `_` and `-` count as blanks."""

OTHER_CLASSES: tuple[str, ...] = (
    "boredom", "bored", "calm", "contempt", "excited", "excitement", "exc", "frustrated", "frustration", "fru", "other",
    "oth", "xxx",
)  # fmt: skip
"""Known classes of corpora that are not one of the seven. Error messages treat them differently from unknown names.

`exc`, `fru`, `oth` and `xxx` (the raters disagree) are codes of IEMOCAP.
"""

_CLASS_OF: dict[str, str] = {name: label for label, names in SYNONYMS.items() for name in names}

Others = Literal["refuse", "exclude"]
"""What to do with clips whose class is one of OTHER_CLASSES, such as calm."""


def one_of_the_seven(name: str) -> str:
    """Return the class that a value of an option `labels` stands for; "" stays "".

    Raises:
        ValueError: It is not one of the seven.
    """
    try:
        return canonical_label(name) if name else ""
    except CorpusError as error:
        raise ValueError(f"{error} Give an empty text to omit a class") from error


# YAML reads `{1: Happy}` with an integer, but a class is a name.
ClassName = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]
Labels = dict[ClassName, Annotated[str, AfterValidator(one_of_the_seven)]]
"""Class names of a corpus -> the class that each counts as: one of the seven, or an empty text to omit it."""


class LabelOptions(Options):
    """What the corpus' own class names count as."""

    labels: Labels = Field(default_factory=dict)
    """Class names of the corpus -> the class that each counts as: one of the seven, or an empty text to omit it, as in
    {exc: Happy, fru: ""}. Default: none; common names are known."""
    others: Others = "refuse"
    """What happens to clips of known classes that are not one of the seven, such as calm: exclude omits them, refuse
    stops with an error."""

    def with_labels(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the clip table with labels of the seven classes, without the clips that the options omit.

        Raises:
            CorpusError: A class is unknown, or `labels` has a class that the corpus does not have.
        """
        table = relabelled(table, self.labels)
        return with_labels(table, self.others, remedies=_remedies(table, self.others))


def class_key(name: str) -> str:
    """Return what names of classes are compared by.

    >>> class_key(" Pleasant_Surprise")
    'pleasant surprise'
    """
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFC", name)).strip().casefold()


def canonical_label(name: str, *, owner: str = "", remedies: Iterable[str] = ()) -> str:
    """Return the class that a name stands for.

    >>> canonical_label("happiness"), canonical_label("ANG")
    ('Happy', 'Angry')

    Args:
        name: A class name in any case, or a synonym.
        owner: What has this class, for the message, such as "the clip a.mp4".
        remedies: What else may be done, for the message: sentences.

    Returns:
        One of `CLASSES`.

    Raises:
        CorpusError: The name is not one of the seven classes or their synonyms.
    """
    key = class_key(name)
    if key in _CLASS_OF:
        return _CLASS_OF[key]
    subject = f"The class {name!r} of {owner}" if owner else f"The class {name!r}"
    expected = f"Expected one of {', '.join(CLASSES)}, or a synonym in emopipe/corpora/classes.py."
    more = "".join(f" {sentence}" for sentence in remedies)
    if key in OTHER_CLASSES:
        raise CorpusError(
            f"{subject} is not one of the seven. {expected}"
            f"{more or ' Remove its clips from the corpus, or rename the class to the one that it should count as.'}"
        )
    near = sorted({_CLASS_OF[match] for match in difflib.get_close_matches(key, _CLASS_OF, n=3)})
    hint = f"Did you mean {' or '.join(near)}?" if near else "Rename it."
    raise CorpusError(f"{subject} is unknown. {expected}{more} {hint}")


def is_class(name: str, labels: Mapping[str, str] | None = None) -> bool:
    """Return whether a name is a known class, one of the seven or another, or one of the option `labels`."""
    key = class_key(name)
    return key in _CLASS_OF or key in OTHER_CLASSES or key in map(class_key, labels or ())


def relabelled(table: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """Return the clip table with the names in the option `labels` replaced, without the clips of omitted ones.

    Raises:
        CorpusError: `labels` has a class that the corpus does not have.
    """
    known = {class_key(name): label for name, label in labels.items()}
    keys = {name: class_key(name) for name in table["label"].unique()}
    absent = [name for name in labels if class_key(name) not in keys.values()]
    if absent:
        found = ", ".join(sorted(filter(None, keys)))
        raise CorpusError(
            f"The option labels has the class {absent[0]!r}, but the corpus has the classes {found or '(none)'}. "
            "Correct the name or remove it."
        )
    omitted = table["label"].map(lambda name: known.get(keys[name]) == "")
    kept = table[~omitted.astype(bool)]
    return kept.assign(label=kept["label"].map({name: known.get(key, name) for name, key in keys.items()}).astype(str))


def with_labels(table: pd.DataFrame, others: Others = "refuse", *, remedies: Iterable[str] = ()) -> pd.DataFrame:
    """Return the clip table with each name in the column `label` replaced by its class; "" stays "".

    Args:
        table: A clip table.
        others: "exclude" omits clips of OTHER_CLASSES; "refuse" raises an error for them.
        remedies: See `canonical_label`.

    Raises:
        CorpusError: A class is not one of the seven. The message names the first such clip and counts the others.
    """
    keys = {name: class_key(name) for name in table["label"].unique()}
    if others == "exclude":
        table = table[~table["label"].isin([name for name, key in keys.items() if key in OTHER_CLASSES])]
    names = [name for name in table["label"].unique() if name]
    unknown = [name for name in names if keys[name] not in _CLASS_OF]
    if unknown:
        clips = table[table["label"].isin(unknown)]
        more = f" (and {len(clips) - 1} more clips of such classes)" if len(clips) > 1 else ""
        owner = f"the clip {clips['path'].iloc[0]}{more}"
        canonical_label(clips["label"].iloc[0], owner=owner, remedies=remedies)
    labels = {name: canonical_label(name) for name in names} | {"": ""}
    return table.assign(label=table["label"].map(labels).astype(str))


def _remedies(table: pd.DataFrame, others: Others) -> list[str]:
    """Return what options can do about the classes of a table that are not one of the seven."""
    names = [name for name in table["label"].unique() if name and class_key(name) not in _CLASS_OF]
    if not names:
        return []
    known = [name for name in names if class_key(name) in OTHER_CLASSES]
    first = next((name for name in names if name not in known), names[0])
    says = [f'Set labels in the corpus options, such as labels: {{"{first}": Happy}} (an empty text omits its clips).']
    return [*says, "Or set others: exclude, which omits all clips of such classes."] if names[0] in known else says
