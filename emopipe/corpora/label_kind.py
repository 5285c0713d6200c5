"""Which kind of labels a user's own table of clips has: one class, votes, several classes, or numbers."""

import dataclasses
import math
from collections.abc import Sequence

from emopipe.core.labels import VOTES, LabelSpace
from emopipe.corpora.classes import class_key
from emopipe.corpora.labelling import SEVEN, Labelling
from emopipe.corpora.listing import Listing

USUAL = (-1.0, 1.0)
"""The range of numbers that do not exceed it."""


def with_kind(table: Listing, labelling: Labelling) -> Labelling:
    """Return the labelling with the kind that the columns of a table have; the same one if no other kind fits.

    A column with one class for each clip goes first; then votes in columns `votes_<class>`; then a column for each name
    with 0 or 1 (several classes), or with other numbers (dimensions); then a column with classes and `;` between them.

    Args:
        table: The user's table.
        labelling: The names that the user gives, or the seven. These stand for the classes of the votes, too.
    """
    if table.candidates("label", lambda cell: labelling.label_of(cell) is not None):
        return labelling
    names, voted = labelling.space.names, [c.removeprefix(VOTES) for c in table.columns if c.startswith(VOTES)]
    if voted:
        return _of(labelling, LabelSpace(tuple(voted) if labelling == SEVEN and len(voted) > 1 else names, "votes"))
    by_key = {class_key(column): cells for column, cells in table.columns.items()}
    numbers = [_number(cell) for name in names for cell in by_key.get(class_key(name), ["absent"]) if cell]
    found = [number for number in numbers if number is not None]
    several = _of(labelling, LabelSpace(names, "multi"))
    if found and len(found) == len(numbers):
        return several if {*found} <= {0.0, 1.0} else _of(labelling, LabelSpace(names, "dimensions", *_range(found)))
    return several if table.candidates("label", lambda cell: several.label_of(cell) is not None) else labelling


def _of(labelling: Labelling, space: LabelSpace) -> Labelling:
    return dataclasses.replace(labelling, space=space, of_run=True)


def _range(numbers: Sequence[float]) -> tuple[float, float]:
    """Return the usual range, or else the whole numbers around all numbers."""
    low, high = min(numbers), max(numbers)
    if low >= USUAL[0] and high <= USUAL[1]:
        return USUAL
    return float(math.floor(low)), float(max(math.ceil(high), math.floor(low) + 1))


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
