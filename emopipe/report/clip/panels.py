"""Panels of pictures: each shows one thing of a clip over time or by class, and they are stacked in one column."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from emopipe.report.clip import drawing
from emopipe.report.clip.over_time import draw_attention
from emopipe.report.clip.spectrogram import draw_spectrogram
from emopipe.report.clip.story import AUDIO, FACE, Attention, ClipStory, Media, Track
from emopipe.report.clip.strip import FACES, draw_strip, draw_strip_attention
from emopipe.report.clip.track import draw_track
from emopipe.report.clip.votes import ROW, draw_votes, headings, row_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 1000
"""Width of the column in pixels."""
LEFT, RIGHT = 190, 190
"""Margins for the names of models, and for legends, in pixels."""
SHORT_LEFT = 64
"""Margin for the ticks of an axis, in pixels."""
GAP = 42
"""Above a panel, for its title and for the times below the panel before, in pixels."""
LINES = 90
"""Height of a panel with lines over time, in pixels."""


class Panel:
    """One panel: its height and the space above it in pixels, and what draws it on axes."""

    def __init__(self, height: int, draw: Callable[["Axes"], None], above: int = GAP) -> None:
        self.height, self.draw, self.above = height, draw, above


def total_height(panels: Sequence[Panel]) -> int:
    """Return the height of panels in pixels, with the space above and below them."""
    return sum(panel.above + panel.height for panel in panels) + GAP // 2


def draw_panels(figure: "Figure", panels: Sequence[Panel], top: int, left: int = LEFT) -> None:
    """Draw panels below each other.

    Args:
        figure: Where to draw.
        panels: What to draw.
        top: Where they begin, in pixels below the upper edge of the figure.
        left: The margin for the names of rows, in pixels.
    """
    width, height = (inches * drawing.DPI for inches in figure.get_size_inches())
    for panel in panels:
        top += panel.above + panel.height
        place = (left / width, 1 - top / height, 1 - (left + RIGHT) / width, panel.height / height)
        panel.draw(figure.add_axes(place))


def panels_image(panels: Sequence[Panel]) -> bytes | None:
    """Return panels of lines or of a spectrogram, which have short names at their left, as PNG; None for no panels."""
    if not panels:
        return None
    above = panels[0].above // 2  # nothing is above the first one
    with drawing.style():
        figure = drawing.new_figure(WIDTH - LEFT + SHORT_LEFT, total_height(panels) - above)
        draw_panels(figure, panels, -above, SHORT_LEFT)
        return drawing.to_png(figure)


def strip_panels(story: ClipStory) -> list[Panel]:
    """Return the strip of faces and each model's attention to them; none without crops."""
    if story.shown_faces is None or not story.shown_faces[1].crops:
        return []
    panels = [Panel((WIDTH - LEFT - RIGHT) // FACES, lambda axes: draw_strip(axes, story))]
    if attention := story.attention_of(FACE, story.shown_faces[0]):
        panels.append(Panel(ROW * len(attention), lambda axes: draw_strip_attention(axes, story)))
    return panels


def face_panels(story: ClipStory) -> list[Panel]:
    """Return the attention to faces over time, and where the main face is; none if there are no faces."""
    if story.shown_faces is None:
        return []
    preset, faces = story.shown_faces
    attention, panels = story.attention_of(FACE, preset), []
    if attention:
        panels.append(Panel(LINES, lambda axes: _lines(axes, attention, story.end, "Attention to faces over seconds")))
    if faces.found:
        panels.append(Panel(LINES, lambda axes: _track(axes, faces, story.end)))
    return panels


def sound_panels(story: ClipStory) -> list[Panel]:
    """Return the attention to sound over time, and the spectrogram; none without sound."""
    if story.shown_sound is None:
        return []
    preset, media = story.shown_sound
    attention, panels = story.attention_of(AUDIO, preset), []
    if attention:
        panels.append(Panel(LINES, lambda axes: _lines(axes, attention, story.end, "Attention to sound over seconds")))
    return [*panels, Panel(LINES, lambda axes: _spectrogram(axes, media, story.end))]


def vote_panels(story: ClipStory) -> list[Panel]:
    """Return what each model predicts; none if no model predicts the clip."""
    if not story.votes:
        return []
    return [Panel(ROW * len(row_names(story)), lambda axes: draw_votes(axes, story), GAP + headings(story.space))]


def _lines(axes: "Axes", attention: Sequence[Attention], end: float, title: str) -> None:
    draw_attention(axes, attention)
    axes.set(title=title, xlim=(0, end or 1))


def _track(axes: "Axes", faces: Track, end: float) -> None:
    draw_track(axes, faces)
    axes.set(title="The main face over seconds", xlim=(0, end or 1))


def _spectrogram(axes: "Axes", media: Media, end: float) -> None:
    draw_spectrogram(axes, media)
    axes.set(title="Sound over seconds (log-Mel spectrogram)", xlim=(0, end or 1))
