"""The seven classes, spelled as AFEW spells them, and what other corpora call them."""

import difflib

from emopipe.core.errors import CorpusError

CLASSES: tuple[str, ...] = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")

# Every name under which a class is known, in lower case; names are compared without regard to case.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "Angry": ("angry", "anger", "ang", "an"),
    "Disgust": ("disgust", "disgusted", "dis", "di"),
    "Fear": ("fear", "fearful", "afraid", "scared", "fea", "fe"),
    "Happy": ("happy", "happiness", "joy", "joyful", "hap", "ha"),
    "Neutral": ("neutral", "neutrality", "neu", "ne"),
    "Sad": ("sad", "sadness", "sa"),
    "Surprise": ("surprise", "surprised", "sur", "su"),
}

# Classes of other corpora that are none of the seven: known, so that the refusal can say so.
EXTENDED: tuple[str, ...] = ("boredom", "bored", "calm", "contempt", "excited", "frustrated", "other")

_CANONICAL: dict[str, str] = {name: label for label, names in SYNONYMS.items() for name in names}


def canonical(name: str, *, of: str = "") -> str:
    """AFEW's spelling of a class name in any case or of a common synonym.

    `of` says in the message what has that class, such as "the clip a.mp4".

    >>> canonical("happiness"), canonical("ANG")
    ('Happy', 'Angry')

    Raises:
        CorpusError: the name is none of the seven classes and no synonym of one.
    """
    key = name.strip().casefold()
    if key in _CANONICAL:
        return _CANONICAL[key]
    expected = f"expected one of {', '.join(CLASSES)} or a synonym in emopipe/core/labels.py"
    what = f"The class {name!r} of {of}" if of else f"The class {name!r}"
    if key in EXTENDED:
        raise CorpusError(
            f"{what} is none of the seven ({expected}): take its clips out of the corpus, "
            "or rename the class to the one that it should count as."
        )
    near = sorted({_CANONICAL[match] for match in difflib.get_close_matches(key, _CANONICAL, n=3)})
    hint = f"did you mean {' or '.join(near)}?" if near else "rename it."
    raise CorpusError(f"{what} is unknown ({expected}): {hint}")
