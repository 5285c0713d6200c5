"""The colours and styles of the lines of classes and dimensions over time."""

from collections.abc import Mapping, Sequence
from itertools import product

LINES: Mapping[str, tuple[str, str]] = {
    "Angry": ("#D55E00", "-"),
    "Disgust": ("#009E73", "--"),
    "Fear": ("#CC79A7", "-."),
    "Happy": ("#E69F00", "-"),
    "Neutral": ("#808080", ":"),
    "Sad": ("#0072B2", "-"),
    "Surprise": ("#56B4E9", "--"),
}
"""Class -> colour (Okabe and Ito's, which people with any colour vision distinguish) and style of its line."""
_STYLES = ("-", "--", ":", "-.")
_OTHERS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#808080")
"""Colours of names that LINES does not have; each style has all of them."""


def lines_of(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return name -> colour and style: those of LINES, or the next that no other name has.

    With more names than there are pairs, pairs come again.
    """
    found = {name: LINES[name] for name in names if name in LINES}
    free = [(colour, style) for style, colour in product(_STYLES, _OTHERS)]
    free = [pair for pair in free if pair not in found.values()] or free
    others = [name for name in names if name not in LINES]
    found |= {name: free[number % len(free)] for number, name in enumerate(others)}
    return {name: found[name] for name in names}
