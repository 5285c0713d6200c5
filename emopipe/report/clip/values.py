"""What each model answers for dimensions, such as valence: points on an axis, with the label as lines."""

from typing import TYPE_CHECKING

import numpy as np

from emopipe.report.clip import drawing
from emopipe.report.clip.story import ClipStory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = "os^Dvp*X"


def draw_values(axes: "Axes", story: ClipStory) -> None:
    """Draw the values of dimensions from the smallest to the largest one: a row a model, a colour a dimension.

    A dashed line in the colour of a dimension is at the value of the label.

    Args:
        axes: Where to draw; the legend stands at its right.
        story: A clip with votes, in a label space of dimensions.
    """
    space, rows = story.space, np.arange(len(story.votes))
    given = space.vector(story.label)
    for number, name in enumerate(space.names):
        colour = drawing.COLOURS[number % len(drawing.COLOURS)]
        marker = MARKERS[number % len(MARKERS)]
        found = [vote.values[number] for vote in story.votes]
        axes.plot(found, rows, marker, color=colour, label=drawing.short(name), markersize=6, clip_on=False)
        if story.label:
            axes.axvline(given[number], color=colour, linestyle="--", linewidth=1.2)
    if story.label:
        axes.plot([], [], "--", color=drawing.GREY, label="the label")
    margin = 0.02 * (space.high - space.low)
    axes.set_xlim(space.low - margin, space.high + margin)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(rows, [drawing.short(vote.model) for vote in story.votes])
    axes.xaxis.tick_top()
    axes.grid(axis="both", color=drawing.GREY, alpha=0.25)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=7, borderaxespad=0.2)
