"""Attention as lines over time, above other pictures that have the same axis of time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from emopipe.report.clip import drawing
from emopipe.report.clip.story import Attention

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NAMED = 2 * len(drawing.COLOURS)
"""How many lines can be distinguished; further ones are grey and have no name."""

EVEN_IN_THE_MIDDLE = 2.0
"""The axis reaches at least to here, so that attention that is nearly even looks even."""


def draw_attention(axes: "Axes", attention: Sequence[Attention], *, named: bool = True) -> None:
    """Draw a line for each model: its weight divided by the mean weight, so that 1 is even attention.

    Args:
        axes: Where to draw.
        attention: Of one modality; at least one.
        named: Whether a legend names the models. Without it, the axis has no text either.
    """
    axes.axhline(1, color=drawing.GREY, linewidth=0.8, linestyle=":")
    for number, one in enumerate(attention):
        colour = drawing.COLOURS[number % len(drawing.COLOURS)] if number < MOST_NAMED else drawing.GREY
        line = "-" if number < len(drawing.COLOURS) else "--"
        label = drawing.short(f"{one.model}, {one.stream}") if number < MOST_NAMED else None
        axes.plot(one.time, one.weight * len(one.weight), line, color=colour, marker=".", label=label)
    top = max(one.weight.max() * len(one.weight) for one in attention)
    axes.set_ylim(0, max(EVEN_IN_THE_MIDDLE, 1.1 * top))
    if named:
        axes.set_ylabel("times the\nmean weight")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.05), fontsize=7, borderaxespad=0.2, labelspacing=0.2)
