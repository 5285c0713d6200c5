"""One picture with all that is known of a clip: frames, faces, track, sound with attention over time, votes."""

import textwrap
from typing import TYPE_CHECKING

from emopipe.core.notice import NOTICE
from emopipe.core.text import escape_text
from emopipe.report.clip import drawing, words
from emopipe.report.clip.panels import (
    GAP,
    WIDTH,
    draw_panels,
    face_panels,
    sound_panels,
    strip_panels,
    total_height,
    vote_panels,
)
from emopipe.report.clip.story import ClipStory
from emopipe.report.clip.track import FRAMES, chosen_frames, draw_frames

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEAD = 56
"""For the title, in pixels."""
FRAME_HEIGHT = 150
"""Height of the frames, in pixels."""
FOOT = 50
"""For the notice, in pixels."""
NOTICE_CHARACTERS = 165
"""Of a line of the notice."""


def sheet_image(story: ClipStory) -> bytes:
    """Return the picture as PNG; parts of which nothing is known are omitted."""
    with drawing.style():
        panels = [*strip_panels(story), *face_panels(story), *sound_panels(story), *vote_panels(story)]
        frames = FRAME_HEIGHT + GAP // 2 if story.shown_frames else 0
        height = HEAD + frames + total_height(panels) + FOOT
        figure = drawing.new_figure(WIDTH, height)
        figure.text(0.01, 1 - 18 / height, escape_text(story.clip), fontsize=13, va="center")
        figure.text(0.01, 1 - 40 / height, escape_text(words.outcome(story)), fontsize=9, va="center")
        figure.text(0.01, 8 / height, textwrap.fill(NOTICE, NOTICE_CHARACTERS), fontsize=7, color=drawing.GREY)
        if frames:
            _draw_frames(figure, story, 1 - (HEAD + frames) / height, FRAME_HEIGHT / height)
        draw_panels(figure, panels, HEAD + frames)
        return drawing.to_png(figure)


def _draw_frames(figure: "Figure", story: ClipStory, bottom: float, height: float) -> None:
    """Draw frames side by side; places are shares of the figure."""
    numbers = chosen_frames(story.shown_frames[1]) if story.shown_frames else []
    wide = 0.98 / FRAMES
    axes = [figure.add_axes((0.01 + wide * place, bottom, wide - 0.01, height)) for place in range(len(numbers))]
    draw_frames(axes, story, numbers)
