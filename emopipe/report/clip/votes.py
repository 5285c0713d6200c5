"""What each model says of a clip: a heat map of models by classes, with the label and the predictions marked."""

from typing import TYPE_CHECKING

import numpy as np

from emopipe.core.labels import SEPARATOR, LabelSpace
from emopipe.report.clip import drawing
from emopipe.report.clip.raters import raters
from emopipe.report.clip.story import ClipStory
from emopipe.report.clip.values import draw_values

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 20
"""Height of a row, in pixels."""
MOST_LEVEL = 8
"""Of more classes, the names are turned, because they need less width then."""
LEGEND = 120
"""Width of the legend of dimensions, in pixels."""


def votes_image(story: ClipStory, width: int = 720) -> bytes | None:
    """Return the heat map as PNG, as high as the models need; of dimensions, points on an axis.

    Args:
        story: The clip.
        width: In pixels.

    Returns:
        None if no model predicts the clip.
    """
    if not story.votes:
        return None
    with drawing.style():
        rows, above = row_names(story), headings(story.space) + 20
        height = ROW * len(rows) + above + 12
        figure = drawing.new_figure(width, height)
        names = min(0.4, 7 * max(len(drawing.short(name)) for name in rows) / width + 0.02)
        legend = LEGEND / width if story.space.kind == "dimensions" else 0
        axes = figure.add_axes((names, 0.01, 0.99 - names - legend, 1 - above / height))
        draw_votes(axes, story)
        return drawing.to_png(figure)


def row_names(story: ClipStory) -> list[str]:
    """Return the names of the rows: models, then who voted."""
    return [vote.model for vote in (*story.votes, *raters(story))]


def headings(space: LabelSpace) -> int:
    """Return how many pixels the names of the classes need above the rows."""
    if space.kind == "dimensions" or len(space) <= MOST_LEVEL:
        return 28
    return 28 + 5 * min(15, max(map(len, space.names)))


def draw_votes(axes: "Axes", story: ClipStory) -> None:
    """Draw the probabilities in percent: a row a model, a column a class; below them the shares of raters' votes.

    A frame marks each predicted class, and a dashed frame the column of the label, of several classes each of them.

    Args:
        axes: Where to draw.
        story: A clip with votes. Of dimensions, see `draw_values`.
    """
    if story.space.kind == "dimensions":
        draw_values(axes, story)
        return
    from matplotlib.patches import Rectangle

    classes, rows = story.space.names, [*story.votes, *raters(story)]
    shares = np.array([vote.values for vote in rows])
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.5 else "black"
        axes.text(column, row, f"{share:.0%}", ha="center", va="center", color=colour, fontsize=7)
    for row, vote in enumerate(rows):
        for name in (name for name in vote.pred.split(SEPARATOR) if name in classes):
            place = (classes.index(name) - 0.46, row - 0.42)
            axes.add_patch(Rectangle(place, 0.92, 0.84, fill=False, edgecolor=drawing.COLOURS[1], linewidth=1.8))
    given = [name for name in story.label.split(SEPARATOR) if name in classes]
    _name_columns(axes, [f"{name}\n(label)" if name in given else name for name in classes])
    axes.set_yticks(range(len(shares)), [drawing.short(vote.model) for vote in rows])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for name in given:
        place = (classes.index(name) - 0.5, -0.5)
        axes.add_patch(
            Rectangle(
                place, 1, len(shares), fill=False, edgecolor="black", linestyle="--", linewidth=1.2, clip_on=False
            )
        )


def _name_columns(axes: "Axes", names: list[str]) -> None:
    axes.xaxis.tick_top()
    if len(names) <= MOST_LEVEL:
        axes.set_xticks(range(len(names)), names)
        return
    texts = [name.replace("\n", " ") for name in names]
    axes.set_xticks(range(len(names)), texts, rotation=60, ha="left", rotation_mode="anchor", fontsize=7)
