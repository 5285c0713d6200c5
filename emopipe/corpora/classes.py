"""Class names: those of corpora, and their synonyms."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator

from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES

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

OTHER_SYNONYMS: dict[str, tuple[str, ...]] = {
    "Bored": ("bored", "boredom"),
    "Contempt": ("contempt", "contemptuous"),
    "Excited": ("excited", "excitement", "exc"),
    "Frustrated": ("frustrated", "frustration", "fru"),
    "Worried": ("worried", "worry"),
}
"""Class -> all its names, for label spaces that have a class with one of these names."""

_CLASS_OF: dict[str, str] = {name: label for label, names in SYNONYMS.items() for name in names}


def own_classes(names: list[str]) -> list[str]:
    """Return the classes of a network in their order: as they are listed, but with the seven first if all are there.

    Raises:
        ValueError: There are fewer than two, one is listed twice or has an empty name, or is another name of one of
            the seven that is listed, too.
    """
    twice = [name for number, name in enumerate(names) if class_key(name) in map(class_key, names[:number])]
    if twice:
        raise ValueError(f"the class {twice[0]!r} is listed twice; list it once")
    if any(not class_key(name) for name in names):
        raise ValueError("a class has an empty name; remove it, or write its name")
    others = [name for name in names if name not in CLASSES]
    for name in others:
        if (label := _CLASS_OF.get(class_key(name))) in names:
            raise ValueError(f"{name!r} is another name of {label}; remove one of the two")
    if len(names) < 2:
        raise ValueError(f"the classes are {names}. Expected two or more; add classes, or remove the key")
    return ordered(names)


def ordered(names: Sequence[str]) -> list[str]:
    """Return the classes of a network with the seven first if all are there, so that their order makes no difference.

    >>> ordered([*reversed(CLASSES), "Awe"])[-2:], ordered(["Sad", "Bored"])
    (['Surprise', 'Awe'], ['Sad', 'Bored'])
    """
    return [*CLASSES, *(name for name in names if name not in CLASSES)] if {*CLASSES} <= {*names} else list(names)


OwnClasses = Annotated[list[str], AfterValidator(own_classes)]
"""The classes of a network."""


def names_of(classes: Sequence[str]) -> dict[str, str]:
    """Return what names are compared by -> the class of a list that they stand for.

    These are the classes themselves, and the synonyms of those that `SYNONYMS` or `OTHER_SYNONYMS` have. A synonym that
    is a class of the list itself stands for itself.

    >>> found = names_of(["joy", "Sad", "tired"])
    >>> found["happiness"], found["sadness"], found["tired"]
    ('joy', 'Sad', 'tired')
    """
    own, found = {class_key(name): name for name in classes}, {}
    for label, names in (SYNONYMS | OTHER_SYNONYMS).items():
        listed = [own[name] for name in names if name in own]
        if class_key(label) in own or len(listed) == 1:
            found |= dict.fromkeys(names, own.get(class_key(label)) or listed[0])
    return found | own


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
