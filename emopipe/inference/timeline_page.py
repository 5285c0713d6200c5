"""A page about one file: the figure over time, the answer and the windows as text; one file, without scripts."""

import base64
import io
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from emopipe.core.atomic import write_text
from emopipe.core.notice import NOTICE
from emopipe.core.text import escape_text
from emopipe.inference.predictions import Prediction
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
        ranked=sorted((one.probabilities or {}).items(), key=lambda item: -item[1]),
        windows=one.windows[:MOST_ROWS],
        figures=[(query, _png(one, recording, look)) for query, look in LOOKS.items()],
        alt=alternative(one, recording),
        about_traces=recording.about_traces,
        notice=NOTICE,
    )
    write_text(path, text)


def alternative(one: Prediction, recording: Recording) -> str:
    """Return the text that stands for the figure where it cannot be seen."""
    parts = [f"{escape_text(Path(one.input).name)} over {recording.end:.1f} seconds: frames, sound and probabilities."]
    if one.windows:
        runs: list[list] = []
        for window in one.windows:
            label = window.label or "no answer"
            if runs and runs[-1][0] == label:
                runs[-1][2] = window.end
            else:
                runs.append([label, window.start, window.end])
        said = [f"{label} from {start:.1f} to {end:.1f} s" for label, start, end in runs[:12]]
        parts.append(f"Most probable: {', '.join(said)}{', and so on' if len(runs) > 12 else ''}.")
    return " ".join(parts)


def _png(one: Prediction, recording: Recording, look: Look) -> str:
    """Return the figure as PNG in base64."""
    buffer = io.BytesIO()
    figure = timeline_figure(one, recording, look)
    figure.savefig(buffer, format="png", dpi=130, facecolor=figure.get_facecolor(), metadata=NO_TIME["png"])
    return base64.b64encode(buffer.getvalue()).decode()
