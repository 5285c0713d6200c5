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
from emopipe.core.labels import LabelSpace
from emopipe.core.notice import NOTICE
from emopipe.core.text import escape_text
from emopipe.inference.answer_display import answer_text, limits, named, number_text, share, short, threshold
from emopipe.inference.lines import lines_of
from emopipe.inference.predictions import Prediction
from emopipe.inference.recording import Recording
from emopipe.inference.sound_picture import OPTIONS
from emopipe.media.mel import mel_frequencies

LONGEST_FILE = 60
"""Characters of a file's name in the title."""
LONGEST_ANSWER = 70
"""Characters of an answer in the title; it may name many classes."""
BOX_COLOUR = "#F0E442"
FEW_WINDOWS = 20
"""Up to so many windows are marked by points on their lines."""
SHOWN_DB = 70.0
"""The spectrogram shows so many dB below its loudest cell."""
TICKS_KHZ = (0.25, 1, 4)
LINES_INCHES, NAME_INCHES = 2.0, 0.17
"""Height of the panel of lines, and of a name beside it; with many names, the panel is higher."""
MANY_LINES = 10
"""Of more lines, the names are not joined to the ends of the lines: these joints would cross each other."""
BARS_INCHES, MANY_BARS, BAR_INCHES = 1.4, 7, 0.2
"""Height of the panel of bars; with more than so many bars, each further one has so many inches more."""
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
    name = name if len(name) <= LONGEST_FILE else f"{name[: LONGEST_FILE - 3]}..."
    said = answer_text(one.label, one.values, one.space) if one.label else one.status
    return f"{name}: {textwrap.shorten(said, LONGEST_ANSWER, placeholder=' ...')}"


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
            if one.streams[stream].unit == unit and _has_trace(stream, one, recording):
                found.append((trace_height, lambda axes, s=stream: _draw_trace(axes, s, one, recording, look), True))

    if len(recording.thumbnails):
        height = 0.6 if look.is_narrow else 1.0
        found.append((height, lambda axes: _draw_thumbnails(axes, recording, look.width / height), True))
    traces("frames")
    picture = recording.sound.picture()
    if picture.shape[1]:
        found.append((0.9, lambda axes: _draw_sound(axes, picture, recording), True))
    traces("seconds")
    count = len(one.space)
    if len(one.windows) > 1:
        tall = max(LINES_INCHES, count * NAME_INCHES)
        found.append((tall, lambda axes: _draw_lines(axes, one, NAME_INCHES / tall, look), True))
    else:
        tall = BARS_INCHES + BAR_INCHES * max(0, count - MANY_BARS)
        found.append((tall, lambda axes: _draw_bars(axes, one, look), False))
    return found


def _traced_class(one: Prediction) -> str | None:
    """Return the class whose probability the traces of heads show: the most probable one that the answer names."""
    names = named(one.label, one.space) if one.space.kind != "dimensions" else []
    return max(names, key=lambda name: one.values[name]) if names else None


def _has_trace(stream: str, one: Prediction, recording: Recording) -> bool:
    """Return whether there is attention, or the probability of a class that the stream's head knows."""
    if recording.is_attention(stream):
        return True
    name = _traced_class(one)
    return name is not None and bool(np.isfinite(recording.trace(stream, one.space.names.index(name))[1]).all())


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
    name = _traced_class(one)
    times, values, width = recording.trace(stream, one.space.names.index(name) if name else 0)
    if recording.is_attention(stream):
        axes.axhline(1, color=look.ink, linewidth=0.8, linestyle=":")
        axes.set_ylim(0, max(2.0, 1.1 * values.max()))
        _head(axes, f"{stream}: attention (1: equal share)")
    else:
        axes.set_ylim(0, 1)
        _head(axes, f"{stream} alone: probability of {name}")
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


def _draw_lines(axes: Axes, one: Prediction, gap: float, look: Look) -> None:
    """Draw the numbers of windows at their middles; lines differ in colour and style, and have their names.

    `gap` is the height of a name as a share of the panel's.
    """
    times, space = [(window.start + window.end) / 2 for window in one.windows], one.space
    axes.set_ylim(*limits(space))
    _draw_level(axes.axhline, space, look)
    marker = "o" if len(times) <= FEW_WINDOWS else ""
    styles, strong = lines_of(space.names), named(one.label, space) if space.kind != "dimensions" else []
    ends: dict[str, float] = {}
    for name, (colour, style) in styles.items():
        values = np.array([(w.values or {}).get(name, np.nan) for w in one.windows])
        width = 2.4 if name in strong else 1.3
        axes.plot(times, values, color=colour, linestyle=style, linewidth=width, marker=marker, markersize=3)
        if np.isfinite(values).any():
            ends[name] = share(float(values[np.isfinite(values)][-1]), space)
    for name, height in _spread(ends, gap).items() if ends else ():
        colour, style = styles[name]
        arrow = {"arrowstyle": "-", "color": colour, "linestyle": style, "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 0}
        weight = "bold" if name in strong else "normal"
        end = ends[name] if len(ends) <= MANY_LINES else height
        axes.annotate(
            short(name), (1.0, end), (1.04, height), xycoords="axes fraction", fontsize=7.5, weight=weight,
            va="center", arrowprops=arrow, annotation_clip=False, parse_math=False,
        )  # fmt: skip
    lengths = sorted({round(window.end - window.start, 2) for window in one.windows})
    _head(axes, f"{_numbers(space)}, in windows of {lengths[-1]:g} s, at their middles")


def _draw_bars(axes: Axes, one: Prediction, look: Look) -> None:
    space, styles = one.space, lines_of(one.space.names)
    values = [(one.values or {}).get(name, 0.0) for name in space.names]
    places = range(len(space))
    axes.barh(places, values, color=[styles[name][0] for name in space.names])
    axes.set_yticks(places, [short(name) for name in space.names], parse_math=False)
    low, high = limits(space)
    axes.set_xlim(low - 0.08 * (high - low) * (low < 0), high + 0.08 * (high - low))
    axes.invert_yaxis()
    _draw_level(axes.axvline, space, look)
    for place, value in enumerate(values):
        side = {"ha": "right"} if value < 0 else {}
        beside = value + (-0.01 if value < 0 else 0.01) * (high - low)
        axes.text(beside, place, number_text(value, space), va="center", fontsize=7, color=look.ink, **side)
    _head(axes, f"{_numbers(space)}, of the whole file" if one.answered else f"no answer: {one.status}")


def _draw_level(draw: Callable[..., object], space: LabelSpace, look: Look) -> None:
    """Draw the zero of dimensions, or the probability from which on a class is named."""
    level = 0.0 if space.kind == "dimensions" and space.low < 0 < space.high else threshold(space)
    if level is not None:
        draw(level, color=look.ink, linewidth=0.8, linestyle=":")


def _numbers(space: LabelSpace) -> str:
    if space.kind == "dimensions":
        return "values"
    return "probabilities" + (f", each by itself; named from {threshold(space):.0%} on" if threshold(space) else "")


def _head(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=7.5, pad=3, parse_math=False)


def _spread(heights: dict[str, float], gap: float = NAME_INCHES / LINES_INCHES) -> dict[str, float]:
    """Return the heights in 0..1 nearest to these that keep their order and are at least `gap` apart, for texts."""
    order = sorted(heights, key=lambda name: heights[name])
    least = gap * np.arange(len(order))
    moved = isotonic_regression([heights[name] - low for name, low in zip(order, least, strict=True)]).x
    placed = np.clip(moved, 0, 1 - gap * (len(order) - 1)) + least
    return dict(zip(order, placed.tolist(), strict=True))


def _colours(look: Look) -> dict[str, str]:
    names = ("text.color", "axes.labelcolor", "axes.titlecolor", "axes.edgecolor", "xtick.color", "ytick.color")
    return dict.fromkeys(names, look.ink) | {"axes.facecolor": look.paper}
