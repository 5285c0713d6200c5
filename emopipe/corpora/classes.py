"""Class names of corpora: their synonyms, and how they become the labels of the clip table."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, ValidationInfo

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


def own_classes(names: list[str]) -> list[str]:
    """Return the classes of a network in their order: the seven, then its further classes as they are listed.

    Raises:
        ValueError: The list is empty, has a name twice or without letters, lacks one of the seven, or has another name
            of one of them.
    """
    twice = [name for number, name in enumerate(names) if class_key(name) in map(class_key, names[:number])]
    if twice:
        raise ValueError(f"the class {twice[0]!r} is listed twice; list it once")
    absent = [name for name in CLASSES if name not in names]
    others = [name for name in names if name not in CLASSES]
    synonyms = [name for name in others if class_key(name) in _CLASS_OF]
    if synonyms:
        raise ValueError(f"{synonyms[0]!r} is another name of {_CLASS_OF[class_key(synonyms[0])]}; list that name")
    if absent:
        raise ValueError(
            f"{', '.join(absent)} is missing. Expected the seven classes ({', '.join(CLASSES)}), which further names "
            "may follow; add what is missing, or remove the key"
        )
    if any(not class_key(name) for name in others):
        raise ValueError("a class has an empty name; remove it, or write its name")
    return [*CLASSES, *others]


OwnClasses = Annotated[list[str], AfterValidator(own_classes)]
"""The classes of a network: the seven, and further ones such as Contempt, which are dropped in use."""


def in_classes(classes: Sequence[str]) -> dict[str, Any]:
    """Return the context in which the options of a corpus are checked whose labels may be any of these classes.

    Without this context, they are checked for the seven.
    """
    return {"classes": tuple(classes)}


def classes_in(context: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the classes that a context from `in_classes` has; without one, the seven."""
    return (context or {}).get("classes", CLASSES)


class ClassOptions(Options):
    """Options of a corpus that know which classes its labels may have."""

    _classes: tuple[str, ...] = PrivateAttr(CLASSES)

    def model_post_init(self, context: Any) -> None:
        """Take the classes from the context of the check."""
        self._classes = classes_in(context)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that labels may have: the seven, then those that the network has beside them."""
        return self._classes


def further_classes(classes: Sequence[str]) -> dict[str, str]:
    """Return the classes that are not one of the seven, by what their names are compared by."""
    return {class_key(name): name for name in classes if name not in CLASSES}


def target_class(name: str, info: ValidationInfo) -> str:
    """Return the class that a value of an option `labels` stands for; "" stays "".

    Raises:
        ValueError: It is neither one of the seven nor a further class of the context.
    """
    further = further_classes(classes_in(info.context))
    try:
        return further.get(class_key(name)) or canonical_label(name) if name else ""
    except CorpusError as error:
        raise ValueError(f"{error} Give an empty text to omit a class") from error


# YAML reads `{1: Happy}` with an integer, but a class is a name.
ClassName = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]
Labels = dict[ClassName, Annotated[str, AfterValidator(target_class)]]
"""Class names of a corpus -> the class that each counts as: one of the seven, a further class of the network that is
trained or evaluated, or an empty text to omit it."""


class LabelOptions(ClassOptions):
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
        return with_labels(
            table, self.others, classes=self.classes, remedies=_remedies(table, self.others, self.classes)
        )


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


def with_labels(
    table: pd.DataFrame, others: Others = "refuse", *, classes: Sequence[str] = CLASSES, remedies: Iterable[str] = ()
) -> pd.DataFrame:
    """Return the clip table with each name in the column `label` replaced by its class; "" stays "".

    Args:
        table: A clip table.
        others: "exclude" omits clips of OTHER_CLASSES that are not among `classes`; "refuse" raises an error for them.
        classes: The classes that are kept: the seven, and further ones.
        remedies: See `canonical_label`.

    Raises:
        CorpusError: A class is none of `classes`. The message names the first such clip and counts the others.
    """
    keys, known = {name: class_key(name) for name in table["label"].unique()}, _CLASS_OF | further_classes(classes)
    if others == "exclude":
        omitted = set(OTHER_CLASSES) - known.keys()
        table = table[~table["label"].isin([name for name, key in keys.items() if key in omitted])]
    names = [name for name in table["label"].unique() if name]
    unknown = [name for name in names if keys[name] not in known]
    if unknown:
        clips = table[table["label"].isin(unknown)]
        more = f" (and {len(clips) - 1} more clips of such classes)" if len(clips) > 1 else ""
        owner = f"the clip {clips['path'].iloc[0]}{more}"
        canonical_label(clips["label"].iloc[0], owner=owner, remedies=remedies)
    labels = {name: known[keys[name]] for name in names} | {"": ""}
    return table.assign(label=table["label"].map(labels).astype(str))


def _remedies(table: pd.DataFrame, others: Others, classes: Sequence[str]) -> list[str]:
    """Return what options can do about the classes of a table that are none of `classes`."""
    expected = _CLASS_OF.keys() | further_classes(classes)
    names = [name for name in table["label"].unique() if name and class_key(name) not in expected]
    if not names:
        return []
    known = [name for name in names if class_key(name) in OTHER_CLASSES]
    first = next((name for name in names if name not in known), names[0])
    says = [f'Set labels in the corpus options, such as labels: {{"{first}": Happy}} (an empty text omits its clips).']
    return [*says, "Or set others: exclude, which omits all clips of such classes."] if names[0] in known else says
