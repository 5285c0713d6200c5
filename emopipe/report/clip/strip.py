"""The contact sheet of a clip: a strip of its faces over time, and under each face the attention that it gets."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from emopipe.faces.alignment import derive
from emopipe.media.decoded import decode_jpeg
from emopipe.report.clip import drawing
from emopipe.report.clip.over_time import EVEN_IN_THE_MIDDLE
from emopipe.report.clip.story import FACE, Attention, ClipStory, Track

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FACES = 8
"""How many faces a strip has at most."""
FACE_UNITS = 145.6
"""Side of a shown face in units of ArcFace's template: 30 % more than ArcFace's own crop."""
SMALL_BARS = 34
"""Height of the attention under a small strip, in pixels."""
LARGE_SIDE = 128
"""Side of a face on a large strip, in pixels."""
TIMES = 14
"""Height of the times under the faces, in pixels."""


def face_of(crop: bytes, side: int) -> np.ndarray:
    """Return the face of a crop as an image (side, side, 3) uint8 BGR, cut as closely as networks do."""
    return derive(decode_jpeg(np.frombuffer(crop, np.uint8)), FACE_UNITS, side)


class Columns:
    """The columns of a strip: frames with a face, in groups of about equal size, in the order of time.

    Each column shows the face of its group that gets the most attention, or the middle one without any attention, and
    the attention that the frames of the group get on average, as a multiple of the mean over all frames. So 1 is even
    attention, however many frames the clip has and however they fall into groups.
    """

    def __init__(self, track: Track, attention: Sequence[Attention], most: int = FACES) -> None:
        """Take a main face with its crops, the attention of models over its frames, and the number of columns."""
        self.models = [f"{one.model}, {one.stream}" for one in attention]
        count = min(most, track.found)
        weights = [_of_frames(one, track.found_time) for one in attention]
        groups = np.array_split(np.arange(track.found), count) if count else []
        mean = np.mean(weights, 0) if weights else None
        self.shown = [int(g[mean[g].argmax()] if mean is not None else g[len(g) // 2]) for g in groups]
        """The number of the crop in each column."""
        self.time = track.found_time[self.shown]
        """(columns,) seconds: when it was seen."""
        self.ratios = np.array([[one[group].mean() / one.mean() for group in groups] for one in weights])
        """(models, columns): the attention in each column; 1 is even attention."""

    @property
    def mean(self) -> np.ndarray:
        """The mean over models, (columns,); empty without any."""
        return self.ratios.mean(0) if len(self.ratios) else np.empty(0)


def strip_image(story: ClipStory, width: int = 480, most: int = FACES) -> bytes | None:
    """Return a small strip as JPEG: faces, times in seconds, and the mean attention of all models as bars.

    Args:
        story: The clip.
        width: In pixels.
        most: How many faces it has at most.

    Returns:
        None if the story has no crops.
    """
    if (columns := _columns(story, most)) is None:
        return None
    side = width // most
    bars = SMALL_BARS if len(columns.mean) else 0
    height = side + TIMES + bars
    with drawing.style():
        figure = drawing.new_figure(width, height)
        share = len(columns.shown) / most  # short clips have smaller strips, not larger faces
        faces = figure.add_axes((0, 1 - side / height, share, side / height))
        _draw_faces(faces, story, columns, side)
        for number, time in enumerate(columns.time):
            middle = (number + 0.5) / most
            figure.text(middle, (bars + TIMES / 2) / height, f"{time:.2f} s", ha="center", va="center", fontsize=7)
        if bars:
            _draw_bars(figure.add_axes((0, 0, share, bars / height)), columns.mean)
        return drawing.to_jpeg(figure)


def draw_strip(axes: "Axes", story: ClipStory, most: int = FACES) -> None:
    """Draw the strip, with times in seconds below the faces.

    Args:
        axes: Where to draw.
        story: A clip with crops.
        most: How many faces the strip has at most.
    """
    columns = _columns(story, most)
    if columns is None or story.shown_faces is None:
        raise ValueError(f"The clip {story.clip} has no crops of faces. Gather it with faces=True.")
    _draw_faces(axes, story, columns, LARGE_SIDE)
    axes.set_xticks(np.arange(len(columns.shown)) + 0.5, [f"{time:.2f} s" for time in columns.time])
    axes.tick_params(length=0)
    axes.set_xlim(0, most)
    found = story.shown_faces[1].found
    axes.set_title(f"The main face: {len(columns.shown)} of the {found} frames in which it was found")


def draw_strip_attention(axes: "Axes", story: ClipStory, most: int = FACES) -> None:
    """Draw each model's attention to the columns of the strip as a heat map; 1 is even attention.

    Args:
        axes: Where to draw, as wide as those of `draw_strip`.
        story: A clip with crops and with attention to faces.
        most: How many faces the strip has at most.
    """
    columns = _columns(story, most)
    if columns is None or not columns.models:
        raise ValueError(f"The clip {story.clip} has no crops, or no attention to faces.")
    top = max(columns.ratios.max(), EVEN_IN_THE_MIDDLE)
    axes.imshow(columns.ratios, cmap="Blues", vmin=0, vmax=top, aspect="auto")
    axes.set_yticks(range(len(columns.models)), [drawing.short(name) for name in columns.models])
    axes.set_xticks([])
    axes.set_xlim(-0.5, most - 0.5)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for (row, column), ratio in np.ndenumerate(columns.ratios):
        colour = "white" if ratio > 0.6 * top else "black"
        axes.text(column, row, f"{ratio:.1f}", ha="center", va="center", color=colour, fontsize=7)
    axes.set_title("Attention to the frames around each face (times the mean weight; 1 is even)")


def _columns(story: ClipStory, most: int) -> Columns | None:
    if story.shown_faces is None or not story.shown_faces[1].crops:
        return None
    preset, track = story.shown_faces
    return Columns(track, story.attention_of(FACE, preset), most)


def _draw_faces(axes: "Axes", story: ClipStory, columns: Columns, side: int) -> None:
    crops = story.shown_faces[1].crops if story.shown_faces else []
    small = [face_of(crops[number], side)[..., ::-1] for number in columns.shown]
    axes.imshow(np.hstack(small), extent=(0, len(small), 0, 1), aspect="auto", interpolation="antialiased")
    drawing.bare(axes)


def _draw_bars(axes: "Axes", ratios: np.ndarray) -> None:
    """Draw attention (columns,) as bars, and even attention as a dotted line."""
    axes.bar(range(len(ratios)), ratios, 0.8, color=drawing.COLOURS[0])
    axes.axhline(1, color=drawing.GREY, linewidth=0.8, linestyle=":")
    axes.set(xlim=(-0.5, len(ratios) - 0.5), ylim=(0, max(EVEN_IN_THE_MIDDLE, 1.05 * ratios.max())))
    drawing.bare(axes)


def _of_frames(one: Attention, times: np.ndarray) -> np.ndarray:
    """Return the weights of frames at `times` (n,): those of the vectors at these times; 0 where there is none."""
    weights = np.zeros(len(times))
    if len(times):
        nearest = np.abs(one.time[:, None] - times[None]).argmin(1)
        np.add.at(weights, nearest, one.weight)
    return weights
