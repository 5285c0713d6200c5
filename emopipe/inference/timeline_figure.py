"""A figure of one file over time: frames, what counts in face and sound, the spectrogram, and the probabilities."""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.optimize import isotonic_regression

from emopipe.core.atomic import replacing
from emopipe.core.labels import CLASSES
from emopipe.core.notice import NOTICE
from emopipe.core.text import escape_text
from emopipe.inference.predictions import Prediction
from emopipe.inference.recording import Recording
from emopipe.inference.sound_picture import OPTIONS
from emopipe.media.mel import mel_frequencies

LINES = {
    "Angry": ("#D55E00", "-"),
    "Disgust": ("#009E73", "--"),
    "Fear": ("#CC79A7", "-."),
    "Happy": ("#E69F00", "-"),
    "Neutral": ("#808080", ":"),
    "Sad": ("#0072B2", "-"),
    "Surprise": ("#56B4E9", "--"),
}
"""Class -> colour (Okabe and Ito's, which people with any colour vision distinguish) and style of its line."""
LONGEST_NAME = 60
"""Characters of a file's name in the title."""
BOX_COLOUR = "#F0E442"
FEW_WINDOWS = 20
"""Up to so many windows are marked by points on their lines."""
SHOWN_DB = 70.0
"""The spectrogram shows so many dB below its loudest cell."""
TICKS_KHZ = (0.25, 1, 4)
NO_TIME = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
"""Metadata with which equal figures have equal bytes."""


@dataclass(frozen=True)
class Look:
    """How a figure looks."""

    is_dark: bool = False
    is_narrow: bool = False
    """Whether it is for a phone."""
    has_notes: bool = True
    """Whether the title, what the traces are, and the notice are part of it; a page has them as text."""

    @property
    def width(self) -> float:
        """The width of the figure in inches."""
        return 4.2 if self.is_narrow else 9.5

    @property
    def ink(self) -> str:
        """The colour of text and axes."""
        return "#e8e8e8" if self.is_dark else "#1a1a1a"

    @property
    def paper(self) -> str:
        """The colour behind the figure."""
        return "#161616" if self.is_dark else "#ffffff"


Panel = tuple[float, Callable[[Axes], None], bool]
"""The height in inches, what draws it, and whether its x axis is the time of the file."""


def timeline_figure(one: Prediction, recording: Recording, look: Look | None = None) -> Figure:
    """Return the figure of a file.

    Args:
        one: The answer. With several windows, the probabilities are lines over time, else bars.
        recording: What was kept of the file.
        look: Colours and width; default: for paper.
    """
    look = look or Look()
    panels = _panels(one, recording, look)
    notes = textwrap.fill(f"{recording.about_traces} {NOTICE}", 75 if look.is_narrow else 235) if look.has_notes else ""
    height = sum(size for size, *_ in panels) + 0.35 * len(panels) + 0.7 + 0.13 * notes.count("\n")
    with matplotlib.rc_context(_colours(look)):
        figure = Figure(figsize=(look.width, height), layout="constrained", facecolor=look.paper)
        rows = figure.subplots(len(panels), squeeze=False, height_ratios=[size for size, *_ in panels])[:, 0]
        for axes, (_, draw, _) in zip(rows, panels, strict=True):
            draw(axes)
            axes.tick_params(labelsize=7)
            axes.spines[["top", "right"]].set_visible(False)
        _share_time([axes for axes, (*_, is_timed) in zip(rows, panels, strict=True) if is_timed], recording.end)
        if notes:
            figure.suptitle(title(one), fontsize=9 if look.is_narrow else 11, parse_math=False)
            figure.supxlabel(notes, fontsize=5.5, x=0.02, ha="left", parse_math=False)
    return figure


def _share_time(rows: list[Axes], end: float) -> None:
    """Give panels over time the same x axis, from 0 to `end` seconds, with numbers below the last one."""
    for axes in rows:
        axes.set_xlim(0, end or 1)
        axes.tick_params(labelbottom=axes is rows[-1])
    if rows:
        rows[-1].set_xlabel("seconds", fontsize=8)


def title(one: Prediction) -> str:
    """Return the name of a file, its label and probability; or its status."""
    name = escape_text(Path(one.input).name)
    name = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."
    return f"{name}: {one.label} {one.probabilities[one.label]:.0%}" if one.label else f"{name}: {one.status}"


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG or SVG, by the name; equal figures give equal bytes."""
    with matplotlib.rc_context({"svg.hashsalt": "emopipe"}), replacing(path) as temporary:
        kind = path.suffix.lower()[1:]
        figure.savefig(temporary, format=kind, dpi=130, facecolor=figure.get_facecolor(), metadata=NO_TIME[kind])


def _panels(one: Prediction, recording: Recording, look: Look) -> list[Panel]:
    """Return the panels from top to bottom: pictures and the face's traces, sound and its traces, probabilities."""
    trace_height, found = 0.55, []

    def traces(unit: str) -> None:
        for stream in recording.streams:
            is_shown = recording.is_attention(stream) or one.label is not None
            if one.streams[stream].unit == unit and is_shown:
                found.append((trace_height, lambda axes, s=stream: _draw_trace(axes, s, one, recording, look), True))

    if len(recording.thumbnails):
        height = 0.6 if look.is_narrow else 1.0
        found.append((height, lambda axes: _draw_thumbnails(axes, recording, look.width / height), True))
    traces("frames")
    picture = recording.sound.picture()
    if picture.shape[1]:
        found.append((0.9, lambda axes: _draw_sound(axes, picture, recording), True))
    traces("seconds")
    if len(one.windows) > 1:
        found.append((2.0, lambda axes: _draw_lines(axes, one), True))
    else:
        found.append((1.4, lambda axes: _draw_bars(axes, one, look), False))
    return found


def _draw_thumbnails(axes: Axes, recording: Recording, ratio: float) -> None:
    """Draw frames at their times, as many as do not overlap; `ratio` is the width of the panel over its height."""
    end, free, shown = recording.end or 1.0, 0.0, recording.thumbnails.pictures
    share = shown[0][1].shape[1] / shown[0][1].shape[0] / ratio  # of the panel's width that a picture takes
    axes.set(ylim=(1, 0), yticks=[])
    axes.spines["left"].set_visible(False)
    for time, image in shown:
        left = min(max(time - share * end / 2, 0.0), max(0.0, end * (1 - share)))
        if left < free:
            continue
        free = left + share * end
        axes.imshow(image, extent=(left, free, 1, 0), aspect="auto", interpolation="antialiased")
        if (box := recording.boxes.at(time)) is not None:
            x1, y1, x2, y2 = np.clip(box, 0, 1)
            place = (left + x1 * share * end, y1), (x2 - x1) * share * end, y2 - y1
            axes.add_patch(Rectangle(*place, fill=False, color="black", linewidth=2.2))
            axes.add_patch(Rectangle(*place, fill=False, color=BOX_COLOUR, linewidth=1.2))
    _head(axes, "frames; box: the main face")


def _draw_trace(axes: Axes, stream: str, one: Prediction, recording: Recording, look: Look) -> None:
    times, values, width = recording.trace(stream, CLASSES.index(one.label) if one.label else 0)
    if recording.is_attention(stream):
        axes.axhline(1, color=look.ink, linewidth=0.8, linestyle=":")
        axes.set_ylim(0, max(2.0, 1.1 * values.max()))
        _head(axes, f"{stream}: attention (1: equal share)")
    else:
        axes.set_ylim(0, 1)
        _head(axes, f"{stream} alone: probability of {one.label}")
    axes.bar(times, values, 0.9 * width, color="#0072B2" if not look.is_dark else "#56B4E9")


def _draw_sound(axes: Axes, picture: np.ndarray, recording: Recording) -> None:
    """Draw a spectrogram (n_mels, n) in dB."""
    start, top = recording.sound.start, float(np.nanmax(picture))
    extent = start, start + picture.shape[1] * recording.sound.seconds, 0, len(picture)
    shown = {"vmin": top - SHOWN_DB, "vmax": top, "cmap": "magma"}
    axes.imshow(picture, origin="lower", aspect="auto", extent=extent, interpolation="antialiased", **shown)
    middles = mel_frequencies(OPTIONS.n_mels + 2, OPTIONS.low_hz, OPTIONS.high_hz)[1:-1]
    places = [float(np.interp(1000 * khz, middles, np.arange(len(middles)) + 0.5)) for khz in TICKS_KHZ]
    axes.set_yticks(places, [f"{khz:g} kHz" for khz in TICKS_KHZ])
    _head(axes, f"sound, log-Mel, {SHOWN_DB:g} dB from black to light")


def _draw_lines(axes: Axes, one: Prediction) -> None:
    """Draw the probabilities of windows at their middles; lines differ in colour and style, and have their names."""
    times = [(window.start + window.end) / 2 for window in one.windows]
    axes.set_ylim(0, 1)
    marker = "o" if len(times) <= FEW_WINDOWS else ""
    ends: dict[str, float] = {}
    for name, (colour, style) in LINES.items():
        values = np.array([(w.probabilities or {}).get(name, np.nan) for w in one.windows])
        width = 2.4 if name == one.label else 1.3
        axes.plot(times, values, color=colour, linestyle=style, linewidth=width, marker=marker, markersize=3)
        if np.isfinite(values).any():
            ends[name] = float(values[np.isfinite(values)][-1])
    for name, height in _spread(ends).items() if ends else ():
        colour, style = LINES[name]
        arrow = {"arrowstyle": "-", "color": colour, "linestyle": style, "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 0}
        weight = "bold" if name == one.label else "normal"
        axes.annotate(
            name, (1.0, ends[name]), (1.04, height), xycoords="axes fraction", fontsize=7.5, weight=weight, va="center",
            arrowprops=arrow, annotation_clip=False,
        )  # fmt: skip
    lengths = sorted({round(window.end - window.start, 2) for window in one.windows})
    _head(axes, f"probabilities, in windows of {lengths[-1]:g} s, at their middles")


def _draw_bars(axes: Axes, one: Prediction, look: Look) -> None:
    values = [(one.probabilities or {}).get(name, 0.0) for name in CLASSES]
    axes.barh(CLASSES, values, color=[LINES[name][0] for name in CLASSES])
    axes.set_xlim(0, 1.08)
    axes.invert_yaxis()
    for place, value in enumerate(values):
        axes.text(value + 0.01, place, f"{value:.0%}", va="center", fontsize=7, color=look.ink)
    _head(axes, "probabilities, of the whole file" if one.answered else f"no answer: {one.status}")


def _head(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=7.5, pad=3, parse_math=False)


def _spread(heights: dict[str, float], gap: float = 0.085) -> dict[str, float]:
    """Return the heights in 0..1 nearest to these that keep their order and are at least `gap` apart, for texts."""
    order = sorted(heights, key=lambda name: heights[name])
    least = gap * np.arange(len(order))
    moved = isotonic_regression([heights[name] - low for name, low in zip(order, least, strict=True)]).x
    placed = np.clip(moved, 0, 1 - gap * (len(order) - 1)) + least
    return dict(zip(order, placed.tolist(), strict=True))


def _colours(look: Look) -> dict[str, str]:
    names = ("text.color", "axes.labelcolor", "axes.titlecolor", "axes.edgecolor", "xtick.color", "ytick.color")
    return dict.fromkeys(names, look.ink) | {"axes.facecolor": look.paper}
