"""The main face in the frames: boxes over some frames, and its centre and size over time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from emopipe.media.decoded import decode_jpeg
from emopipe.report.clip import drawing
from emopipe.report.clip.story import ClipStory, Media, Track

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FRAMES = 4
"""How many frames are shown at most."""
MAIN, OTHER = drawing.COLOURS[4], drawing.COLOURS[5]
"""Colours of the main face and of other faces."""


def chosen_frames(media: Media, most: int = FRAMES) -> list[int]:
    """Return the numbers of the frames that are shown, evenly spaced."""
    count = min(most, len(media.frames))
    return [int((number + 0.5) * len(media.frames) / count) for number in range(count)]


def draw_frames(axes: Sequence["Axes"], story: ClipStory, numbers: Sequence[int]) -> None:
    """Draw frames with the box and the landmarks of the main face, and the boxes of other faces.

    Args:
        axes: One for each frame.
        story: A clip with frames.
        numbers: The numbers of the frames.
    """
    if story.shown_frames is None:
        raise ValueError(f"The clip {story.clip} has no frames. Gather it with faces=True.")
    media = story.shown_frames[1]
    track = story.shown_faces[1] if story.shown_faces else None
    if track is not None and not np.array_equal(track.time, media.time):  # faces of another preset of decode
        track = None
    for each, number in zip(axes, numbers, strict=True):
        each.imshow(decode_jpeg(np.frombuffer(media.frames[number], np.uint8))[..., ::-1])
        drawing.bare(each)
        found = ""
        if track is not None:
            _draw_boxes(each, track, number)
            found = "" if track.mask[number] else ", no face"
        each.set_title(f"{media.time[number]:.2f} s{found}", fontsize=8)


def frame_image(story: ClipStory, number: int, width: int = 320) -> bytes:
    """Return one frame with the boxes of its faces as JPEG, without any text.

    Args:
        story: A clip with frames.
        number: The number of the frame.
        width: In pixels.
    """
    if story.shown_frames is None:
        raise ValueError(f"The clip {story.clip} has no frames. Gather it with faces=True.")
    rows, columns = decode_jpeg(np.frombuffer(story.shown_frames[1].frames[number], np.uint8)).shape[:2]
    with drawing.style():
        figure = drawing.new_figure(width, max(1, round(width * rows / columns)))
        axes = figure.add_axes((0, 0, 1, 1))
        draw_frames([axes], story, [number])
        axes.set_title("")
        return drawing.to_jpeg(figure)


def draw_track(axes: "Axes", track: Track) -> None:
    """Draw the centre of the main face and its height over time, in pixels of the stored frames.

    Args:
        axes: Where to draw.
        track: A main face that was found at least once.
    """
    x, y = (track.box[:, :2] + track.box[:, 2:]).T / 2
    lines = {"centre, from the left": x, "centre, from the top": y, "height": track.box[:, 3] - track.box[:, 1]}
    for (name, values), colour, marker in zip(lines.items(), drawing.COLOURS, "os^", strict=False):
        size = 3 if len(track.time) <= 100 else 1
        axes.plot(track.time, values, color=colour, marker=marker, markersize=size, label=name)
    if not track.mask.all():
        missing = track.time[~track.mask]
        axes.plot(missing, np.zeros(len(missing)), "x", color=drawing.GREY, label="no face found", clip_on=False)
    axes.set_ylim(bottom=0)
    axes.margins(y=0.1)
    axes.set_ylabel("pixels")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=7, borderaxespad=0.2)


def _draw_boxes(axes: "Axes", track: Track, number: int) -> None:
    """Draw all faces of a frame; the main one is drawn last."""
    for box in track.all_box[track.all_frame == number]:
        if not np.allclose(box, track.box[number]):
            _draw_box(axes, box, OTHER, "--")
    if track.mask[number]:
        _draw_box(axes, track.box[number], MAIN, "-")
        axes.scatter(*track.landmarks[number].T, s=5, color=MAIN, linewidths=0)


def _draw_box(axes: "Axes", box: np.ndarray, colour: str, line: str) -> None:
    from matplotlib.patches import Rectangle

    left, top, right, bottom = box
    axes.add_patch(
        Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, linestyle=line, linewidth=1.6)
    )
