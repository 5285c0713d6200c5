"""A page about one file: the figure over time, the answer and the windows as text; one file, without scripts."""

import base64
import io
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from emopipe.core.atomic import write_text
from emopipe.core.notice import NOTICE
from emopipe.core.text import escape_text
from emopipe.inference.answer_display import answer_text, bar, named, number_text, ranked, zero
from emopipe.inference.predictions import Prediction, WindowAnswer
from emopipe.inference.recording import Recording
from emopipe.inference.timeline_figure import NO_TIME, Look, timeline_figure

LOOKS = {
    "(prefers-color-scheme: dark) and (max-width: 700px)": Look(is_dark=True, is_narrow=True, has_notes=False),
    "(prefers-color-scheme: dark)": Look(is_dark=True, has_notes=False),
    "(max-width: 700px)": Look(is_narrow=True, has_notes=False),
    "": Look(has_notes=False),
}
"""Media query -> the look of the figure; the first that holds is shown."""
MOST_ROWS = 2000
"""The table of windows has at most so many rows."""


def write_page(one: Prediction, recording: Recording, path: Path) -> None:
    """Write the page of a file as HTML, self-contained."""
    environment = Environment(
        loader=PackageLoader("emopipe.inference", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    text = environment.get_template("timeline.html.j2").render(
        one=one,
        name=escape_text(Path(one.input).name),
        said=_said(one),
        is_of_dimensions=one.space.kind == "dimensions",
        zero=100 * zero(one.space),
        ranked=_ranked(one),
        windows=one.windows[:MOST_ROWS],
        numbers=_numbers,
        number_text=number_text,
        figures=[(query, _png(one, recording, look)) for query, look in LOOKS.items()],
        alt=alternative(one, recording),
        about_traces=recording.about_traces,
        notice=NOTICE,
    )
    write_text(path, text)


def _said(one: Prediction) -> tuple[str, str, str]:
    """Return what an answer is called, the answer, and what follows it."""
    if not one.label:
        return "", "", ""
    if one.space.has_one_class:
        return "Most probable", one.label, f", {100 * one.values[one.label]:.0f} %"
    called = "Values" if one.space.kind == "dimensions" else "Classes with a probability of at least one half"
    return called, answer_text(one.label, one.values, one.space), ""


def _ranked(one: Prediction) -> list[tuple[str, str, float, float]]:
    """Return the rows of the table of all numbers: name, text, and begin and length of its bar in percent."""
    rows = []
    for name in ranked(one.values, one.space) if one.values else ():
        value, (begin, end) = one.values[name], bar(one.values[name], one.space)
        text = number_text(value, one.space) if one.space.kind == "dimensions" else f"{100 * value:.1f} %"
        rows.append((name, text, 100 * begin, 100 * (end - begin)))
    return rows


def _numbers(window: WindowAnswer) -> str:
    """Return the probabilities of the classes that the answer for a window names."""
    return ", ".join(f"{100 * window.values[name]:.0f} %" for name in named(window.label, window.space))


def alternative(one: Prediction, recording: Recording) -> str:
    """Return the text that stands for the figure where it cannot be seen."""
    numbers = "values" if one.space.kind == "dimensions" else "probabilities"
    parts = [f"{escape_text(Path(one.input).name)} over {recording.end:.1f} seconds: frames, sound and {numbers}."]
    if one.windows and one.space.kind == "dimensions":
        parts += _ranges(one)
    elif one.windows:
        runs: list[list] = []
        for window in one.windows:
            label = window.label or "no answer"
            if runs and runs[-1][0] == label:
                runs[-1][2] = window.end
            else:
                runs.append([label, window.start, window.end])
        said = [f"{label} from {start:.1f} to {end:.1f} s" for label, start, end in runs[:12]]
        called = "Most probable" if one.space.has_one_class else "Answers"
        parts.append(f"{called}: {', '.join(said)}{', and so on' if len(runs) > 12 else ''}.")
    return " ".join(parts)


def _ranges(one: Prediction) -> list[str]:
    """Return a sentence about the smallest and the largest value of each dimension in all windows."""
    answered = [window.values for window in one.windows if window.values]
    ends = [(name, [values[name] for values in answered]) for name in one.space.names]
    said = [f"{name} from {min(found):.2f} to {max(found):.2f}" for name, found in ends if found]
    return [f"Values: {', '.join(said)}."] if said else []


def _png(one: Prediction, recording: Recording, look: Look) -> str:
    """Return the figure as PNG in base64."""
    buffer = io.BytesIO()
    figure = timeline_figure(one, recording, look)
    figure.savefig(buffer, format="png", dpi=130, facecolor=figure.get_facecolor(), metadata=NO_TIME["png"])
    return base64.b64encode(buffer.getvalue()).decode()
