"""What a prediction says about each input, and its forms: a pandas frame, JSON, a plot, HTML for notebooks."""

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from emopipe.core.atomic import replacing, write_text
from emopipe.core.errors import ConfigError
from emopipe.core.labels import CLASSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from emopipe.inference.recording import Recording

TEXT_COLUMNS = ("input", "status", "reason", "label")
"""Columns of the frame that hold text; all others hold numbers."""

Probabilities = dict[str, float]
"""Class -> probability; they sum to 1."""


@dataclass(frozen=True)
class StreamAnswer:
    """What one stream says about an input."""

    status: str
    """ok, or why the stream has no answer."""
    reason: str
    """The reason in plain English, or ""."""
    found: float
    """How much of the input the stream used: frames with a face, or seconds of sound."""
    searched: float
    """Of how many frames, or of how many seconds."""
    unit: str
    """frames or seconds."""
    label: str | None = None
    """The most probable class by this stream alone; None if the model has no head for it."""
    probabilities: Probabilities | None = None
    """By this stream alone; None if the model has no head for it."""


@dataclass(frozen=True)
class WindowAnswer:
    """The answer for a part of an input."""

    start: float
    """Seconds since the start of the file."""
    end: float
    """Seconds since the start of the file."""
    label: str | None
    """The most probable class; None if the window has neither a face nor sound."""
    probabilities: Probabilities | None
    """None if the window has neither a face nor sound."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one input."""

    input: str
    """The input's path, as it was given."""
    status: str
    """ok, no_audio, no_video, no_face, undecodable, unreadable or failed; as in the ledger of a run."""
    reason: str
    """The reason for the status in plain English, or ""."""
    label: str | None = None
    """The most probable class; None if the input was not answered."""
    probabilities: Probabilities | None = None
    """None if the input was not answered."""
    streams: dict[str, StreamAnswer] = field(default_factory=dict)
    """Stream -> what it says."""
    models: dict[str, Probabilities] = field(default_factory=dict)
    """Model of a run -> its probabilities; empty for the shipped model."""
    windows: list[WindowAnswer] = field(default_factory=list)
    """The answers over time; empty unless windows were asked for."""

    @property
    def answered(self) -> bool:
        """Whether there is an answer."""
        return self.label is not None

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain values."""
        return asdict(self)

    def to_json(self) -> str:
        """Return all fields as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)


class Predictions(Sequence[Prediction]):
    """The answers for all inputs, in their order.

    >>> made = Predictions([Prediction("a.mp4", "ok", "", "Happy", dict.fromkeys(CLASSES, 1 / 7))])
    >>> made["a.mp4"].label, made.frame["label"].tolist()
    ('Happy', ['Happy'])
    """

    def __init__(self, predictions: Sequence[Prediction], recordings: "Mapping[str, Recording] | None" = None) -> None:
        """Take the answers, and input -> what was kept of it for a figure, if that was asked for."""
        self._predictions, self._recordings = list(predictions), recordings or {}

    def __len__(self) -> int:
        return len(self._predictions)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self._predictions)

    def __getitem__(self, key: Any) -> Any:
        """Return the answer at a position, or for an input.

        Raises:
            KeyError: There is no such input.
        """
        if isinstance(key, str | Path):
            found = [one for one in self._predictions if one.input == str(key)]
            if not found:
                raise KeyError(f"{key} is not among the {len(self)} inputs: {', '.join(p.input for p in self)[:200]}")
            return found[0]
        return self._predictions[key]

    @property
    def frame(self) -> pd.DataFrame:
        """One row an input: input, status, reason, label, p_<class>, and found and searched of each stream."""
        return pd.DataFrame([_row(one) for one in self], columns=self._columns())

    def _columns(self) -> list[str]:
        streams = dict.fromkeys(name for one in self for name in one.streams)
        counts = [f"{name}_{part}" for name in streams for part in ("found", "searched")]
        return ["input", "status", "reason", "label", *(f"p_{name}" for name in CLASSES), *counts]

    def timeline(self, key: str | int | Path = 0) -> pd.DataFrame:
        """Return the windows of an input: start, end, label, p_<class>.

        Raises:
            ConfigError: No windows were asked for.
        """
        one = self[key]
        if not one.windows:
            raise ConfigError(
                f"{one.input} has no windows. Ask for them: predict(..., window=2, step=0.5), in seconds."
            )
        rows = [{"start": w.start, "end": w.end, "label": w.label, **_named(w.probabilities)} for w in one.windows]
        return pd.DataFrame(rows, columns=["start", "end", "label", *(f"p_{name}" for name in CLASSES)])

    def timeline_figure(self, key: str | int | Path = 0) -> "Figure":
        """Return a figure of an input over time: frames, attention, spectrogram, probabilities.

        Raises:
            ConfigError: The pictures were not kept.
        """
        from emopipe.inference.timeline_figure import timeline_figure

        one = self[key]
        if one.input not in self._recordings:
            raise ConfigError(f"Of {one.input}, no pictures were kept. Ask for them: predict(..., record=True).")
        return timeline_figure(one, self._recordings[one.input])

    def plot(self, key: str | int | Path = 0, axes: "Axes | None" = None) -> "Axes":
        """Draw an input's probabilities: over time if it has windows, else as bars.

        Args:
            key: The input, or its position.
            axes: Where to draw; default: a new figure.
        """
        import matplotlib.pyplot as plt

        one = self[key]
        axes = axes or plt.subplots(figsize=(7, 3), layout="constrained")[1]
        if one.windows:
            frame = self.timeline(key)
            middle = (frame["start"] + frame["end"]) / 2
            for number, name in enumerate(CLASSES):
                axes.plot(middle, frame[f"p_{name}"], label=name, color=f"C{number}")
            axes.set(xlabel="seconds", ylabel="probability", ylim=(0, 1), title=Path(one.input).name)
            axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        else:
            values = [(one.probabilities or {}).get(name, 0.0) for name in CLASSES]
            axes.barh(CLASSES[::-1], values[::-1])
            axes.set(xlabel="probability", xlim=(0, 1), title=f"{Path(one.input).name}: {one.label or one.status}")
        return axes

    def write(self, path: Path) -> None:
        """Write the frame as Parquet if the name ends in .parquet, else as CSV."""
        if path.suffix != ".parquet":
            write_text(path, self.frame.to_csv(index=False, lineterminator="\n"))
            return
        # Not pandas' own writer: it needs pyarrow, and pandas would import that whenever it is imported itself.
        import polars

        frame = self.frame.astype(object).where(self.frame.notna(), None)
        schema = {name: polars.String if name in TEXT_COLUMNS else polars.Float64 for name in frame}
        with replacing(path) as unfinished:
            polars.DataFrame({name: frame[name].tolist() for name in frame}, schema).write_parquet(unfinished)

    def _repr_html_(self) -> str:
        """Return a table for notebooks: label and probabilities as bars."""
        head = "".join(f"<th>{name}</th>" for name in ("input", "label", *CLASSES, "status"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(map(_html_row, self))}</tbody></table>"

    def __repr__(self) -> str:
        answered = sum(one.answered for one in self)
        return f"Predictions of {len(self)} inputs, {answered} answered\n{self.frame}"


def _named(probabilities: Mapping[str, float] | None) -> dict[str, float]:
    """Return probabilities by the names of columns; missing ones are NaN."""
    return {f"p_{name}": (probabilities or {}).get(name, float("nan")) for name in CLASSES}


def _row(one: Prediction) -> dict[str, Any]:
    counts = {f"{name}_{part}": getattr(s, part) for name, s in one.streams.items() for part in ("found", "searched")}
    about = {"input": one.input, "status": one.status, "reason": one.reason, "label": one.label}
    return about | _named(one.probabilities) | counts


def _html_row(one: Prediction) -> str:
    cells = [f"<td>{html.escape(Path(one.input).name)}</td>", f"<td><b>{one.label or ''}</b></td>"]
    for name in CLASSES:
        share = (one.probabilities or {}).get(name)
        bar = "" if share is None else f"background:linear-gradient(90deg,#9ecae1 {share:.0%},transparent {share:.0%})"
        cells.append(f'<td style="{bar}">{"" if share is None else f"{share:.2f}"}</td>')
    cells.append(f'<td title="{html.escape(one.reason)}">{html.escape(one.status)}</td>')
    return f"<tr>{''.join(cells)}</tr>"
