"""What each model says of a clip: a heat map of models by classes, with the label and the predictions marked."""

from typing import TYPE_CHECKING

import numpy as np

from emopipe.core.labels import CLASSES
from emopipe.report.clip import drawing
from emopipe.report.clip.story import ClipStory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 20
"""Height of a model's row, in pixels."""


def votes_image(story: ClipStory, width: int = 720) -> bytes | None:
    """Return the heat map as PNG, as high as the models need.

    Args:
        story: The clip.
        width: In pixels.

    Returns:
        None if no model predicts the clip.
    """
    if not story.votes:
        return None
    with drawing.style():
        height = ROW * len(story.votes) + 60
        figure = drawing.new_figure(width, height)
        names = min(0.4, 7 * max(len(drawing.short(vote.model)) for vote in story.votes) / width + 0.02)
        axes = figure.add_axes((names, 0.01, 0.99 - names, 1 - 48 / height))
        draw_votes(axes, story)
        return drawing.to_png(figure)


def draw_votes(axes: "Axes", story: ClipStory) -> None:
    """Draw the probabilities in percent: a row a model, a column a class.

    A frame marks each model's prediction, and a dashed frame the column of the label.

    Args:
        axes: Where to draw.
        story: A clip with votes.
    """
    from matplotlib.patches import Rectangle

    shares = np.array([vote.probabilities for vote in story.votes])
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.5 else "black"
        axes.text(column, row, f"{share:.0%}", ha="center", va="center", color=colour, fontsize=7)
    for row, vote in enumerate(story.votes):
        place = (CLASSES.index(vote.pred) - 0.46, row - 0.42)
        axes.add_patch(Rectangle(place, 0.92, 0.84, fill=False, edgecolor=drawing.COLOURS[1], linewidth=1.8))
    names = [f"{name}\n(label)" if name == story.label else name for name in CLASSES]
    axes.set_xticks(range(len(CLASSES)), names)
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(shares)), [drawing.short(vote.model) for vote in story.votes])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if story.label in CLASSES:
        place = (CLASSES.index(story.label) - 0.5, -0.5)
        axes.add_patch(
            Rectangle(
                place, 1, len(shares), fill=False, edgecolor="black", linestyle="--", linewidth=1.2, clip_on=False
            )
        )
