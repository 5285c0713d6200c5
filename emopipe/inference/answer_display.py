"""How the numbers of an answer are shown to people, for each kind of label space: as texts and as bars."""

from collections.abc import Mapping, Sequence

from emopipe.core.labels import NOTHING, PRESENT, SEPARATOR, LabelSpace

LONGEST_NAME = 20
"""Characters of a name beside a bar or a line; of a longer one, its beginning is shown."""


def number_text(value: float, space: LabelSpace) -> str:
    """Return a probability as a percentage, or the value of a dimension with two decimals.

    >>> number_text(0.4, LabelSpace(("a", "b"))), number_text(0.4, LabelSpace(("a", "b"), "dimensions"))
    ('40%', '0.40')
    """
    return f"{value:.2f}" if space.kind == "dimensions" else f"{value:.0%}"


def answer_text(label: str, values: Mapping[str, float], space: LabelSpace) -> str:
    """Return an answer with its numbers: the classes that it names, or all dimensions.

    >>> answer_text("a", {"a": 0.8, "b": 0.6}, LabelSpace(("a", "b"), "multi"))
    'a 80%'
    """
    names = named(label, space)
    return ", ".join(f"{name} {number_text(values[name], space)}" for name in names) or NOTHING


def named(label: str | None, space: LabelSpace) -> list[str]:
    """Return the classes that an answer names, in the order of the space; of dimensions, all."""
    if space.kind == "dimensions":
        return list(space.names) if label else []
    given = () if label in (None, NOTHING) else label.split(SEPARATOR)
    return [name for name in space.names if name in given]


def ranked(values: Mapping[str, float], space: LabelSpace) -> list[str]:
    """Return the classes, the most probable one first; dimensions stay in their order."""
    return list(space.names) if space.kind == "dimensions" else sorted(space.names, key=lambda name: -values[name])


def first_names(label: str | None, values: Mapping[str, float], space: LabelSpace, count: int) -> Sequence[str]:
    """Return what is shown where there is room for `count` names: more only if the answer names more."""
    order = ranked(values, space)
    return order[: max(count, len(named(label, space)))]


def bar(value: float, space: LabelSpace) -> tuple[float, float]:
    """Return begin and end of a bar as shares of its track: from 0, or from the zero of a dimension.

    >>> bar(0.5, LabelSpace(("a", "b"))), bar(-0.5, LabelSpace(("a", "b"), "dimensions"))
    ((0.0, 0.5), (0.25, 0.5))
    """
    if space.kind != "dimensions":
        return 0.0, value
    one, other = sorted((share(value, space), zero(space)))
    return one, other


def share(value: float, space: LabelSpace) -> float:
    """Return where a number is on an axis, from 0 to 1."""
    if space.kind != "dimensions":
        return value
    return min(1.0, max(0.0, (value - space.low) / (space.high - space.low)))


def zero(space: LabelSpace) -> float:
    """Return where bars begin on an axis, from 0 to 1: at 0, or at the end that is nearest to 0."""
    return share(0.0, space) if space.kind == "dimensions" else 0.0


def limits(space: LabelSpace) -> tuple[float, float]:
    """Return the smallest and the largest number of an answer."""
    return (space.low, space.high) if space.kind == "dimensions" else (0.0, 1.0)


def threshold(space: LabelSpace) -> float | None:
    """Return the probability from which on an answer names a class; None where this depends on the other classes."""
    return PRESENT if space.kind == "multi" else None


def short(name: str) -> str:
    """Return a name as it is shown beside a bar or a line."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."
