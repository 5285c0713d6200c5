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
from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.inference.answer_display import answer_text, bar, limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from emopipe.inference.recording import Recording

TEXT_COLUMNS = ("input", "status", "reason", "label")
"""Columns of the frame that hold text; all others hold numbers."""

Numbers = dict[str, float]
"""Class -> probability, or dimension -> value."""


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
    probabilities: Numbers | None = None
    """By this stream alone; None if the model has no head for it."""


class _Answered:
    """What inputs and windows have in common."""

    values: Numbers | None
    space: LabelSpace

    @property
    def probabilities(self) -> Numbers | None:
        """The probability of each class; None if there is no answer, or if the label space has dimensions."""
        return None if self.space.kind == "dimensions" else self.values


@dataclass(frozen=True)
class WindowAnswer(_Answered):
    """The answer for a part of an input."""

    start: float
    """Seconds since the start of the file."""
    end: float
    """Seconds since the start of the file."""
    label: str | None
    """As in a table of predictions: the most probable class, for example. None if the window has neither a face nor
    sound."""
    values: Numbers | None
    """The number of each class or dimension; None if the window has neither a face nor sound."""
    space: LabelSpace = BASIC7
    """The label space of the model."""


@dataclass(frozen=True)
class Prediction(_Answered):
    """The answer for one input."""

    input: str
    """The input's path, as it was given."""
    status: str
    """ok, no_audio, no_video, no_face, undecodable, unreadable or failed; as in the ledger of a run."""
    reason: str
    """The reason for the status in plain English, or ""."""
    label: str | None = None
    """As in a table of predictions: the most probable class, for example. None if the input was not answered."""
    values: Numbers | None = None
    """The number of each class or dimension; None if the input was not answered."""
    streams: dict[str, StreamAnswer] = field(default_factory=dict)
    """Stream -> what it says."""
    models: dict[str, Numbers] = field(default_factory=dict)
    """Model of a run -> its numbers; empty for the shipped model."""
    windows: list[WindowAnswer] = field(default_factory=list)
    """The answers over time; empty unless windows were asked for."""
    space: LabelSpace = BASIC7
    """The label space of the model."""

    @property
    def answered(self) -> bool:
        """Whether there is an answer."""
        return self.label is not None

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain values; `labels` is there if the label space is not that of the seven classes.

        The numbers of answers are called `probabilities`, or `values` if they are those of dimensions.
        """
        numbers = "values" if self.space.kind == "dimensions" else "probabilities"
        about = {name: getattr(self, name) for name in TEXT_COLUMNS} | {numbers: self.values}
        about["streams"] = {name: asdict(stream) for name, stream in self.streams.items()}
        about["models"] = self.models
        about["windows"] = [
            {"start": each.start, "end": each.end, "label": each.label, numbers: each.values} for each in self.windows
        ]
        return about if self.space == BASIC7 else {**about, "labels": self.space.to_dict()}

    def to_json(self) -> str:
        """Return all fields as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)


class Predictions(Sequence[Prediction]):
    """The answers for all inputs, in their order.

    >>> made = Predictions([Prediction("a.mp4", "ok", "", "Happy", dict.fromkeys(BASIC7.names, 1 / 7))])
    >>> made["a.mp4"].label, made.frame["label"].tolist()
    ('Happy', ['Happy'])
    """

    def __init__(self, predictions: Sequence[Prediction], recordings: "Mapping[str, Recording] | None" = None) -> None:
        """Take the answers of one model, and input -> what was kept of it for a figure, if that was asked for."""
        self._predictions, self._recordings = list(predictions), recordings or {}
        self.space: LabelSpace = self._predictions[0].space if self._predictions else BASIC7
        """The label space of the model."""

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
        """One row an input: input, status, reason, label, a number of each class or dimension (`p_<class>` or
        `y_<dimension>`), and found and searched of each stream."""
        return pd.DataFrame([_row(one) for one in self], columns=self._columns())

    def _columns(self) -> list[str]:
        streams = dict.fromkeys(name for one in self for name in one.streams)
        counts = [f"{name}_{part}" for name in streams for part in ("found", "searched")]
        return ["input", "status", "reason", "label", *self.space.columns, *counts]

    def timeline(self, key: str | int | Path = 0) -> pd.DataFrame:
        """Return the windows of an input: start, end, label, and `p_<class>` or `y_<dimension>`.

        Raises:
            ConfigError: No windows were asked for.
        """
        one = self[key]
        if not one.windows:
            raise ConfigError(
                f"{one.input} has no windows. Ask for them: predict(..., window=2, step=0.5), in seconds."
            )
        rows = [{"start": w.start, "end": w.end, "label": w.label, **_in_columns(w)} for w in one.windows]
        return pd.DataFrame(rows, columns=["start", "end", "label", *self.space.columns])

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
        """Draw an input's probabilities, or values of dimensions: over time if it has windows, else as bars.

        Args:
            key: The input, or its position.
            axes: Where to draw; default: a new figure.
        """
        import matplotlib.pyplot as plt

        one, numbers = self[key], "value" if self.space.kind == "dimensions" else "probability"
        axes = axes or plt.subplots(figsize=(7, max(3, 0.27 * len(self.space))), layout="constrained")[1]
        if one.windows:
            frame = self.timeline(key)
            middle = (frame["start"] + frame["end"]) / 2
            for number, (name, column) in enumerate(zip(self.space.names, self.space.columns, strict=True)):
                style = _STYLES[number // _COLOURS % len(_STYLES)]
                axes.plot(middle, frame[column], label=name, color=f"C{number % _COLOURS}", linestyle=style)
            axes.set(xlabel="seconds", ylabel=numbers, ylim=limits(self.space), title=Path(one.input).name)
            axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        else:
            values = [(one.values or {}).get(name, 0.0) for name in self.space.names]
            axes.barh(self.space.names[::-1], values[::-1])
            said = one.label or one.status
            if self.space.kind == "dimensions" and one.values:
                said = answer_text(said, one.values, self.space)
            axes.set(xlabel=numbers, xlim=limits(self.space), title=f"{Path(one.input).name}: {said}")
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
        """Return a table for notebooks: label, and numbers as bars."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in ("input", "label", *self.space.names, "status"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(map(_html_row, self))}</tbody></table>"

    def __repr__(self) -> str:
        answered = sum(one.answered for one in self)
        return f"Predictions of {len(self)} inputs, {answered} answered\n{self.frame}"


_COLOURS, _STYLES = 10, ("-", "--", ":", "-.")
"""Number of matplotlib's colours, and styles of lines, which differ where colours come again."""


def _in_columns(one: _Answered) -> dict[str, float]:
    """Return the numbers of an answer by the names of columns; missing ones are NaN."""
    values = one.values or {}
    pairs = zip(one.space.columns, one.space.names, strict=True)
    return {column: values.get(name, float("nan")) for column, name in pairs}


def _row(one: Prediction) -> dict[str, Any]:
    counts = {f"{name}_{part}": getattr(s, part) for name, s in one.streams.items() for part in ("found", "searched")}
    about = {"input": one.input, "status": one.status, "reason": one.reason, "label": one.label}
    return about | _in_columns(one) | counts


def _html_row(one: Prediction) -> str:
    cells = [f"<td>{html.escape(Path(one.input).name)}</td>", f"<td><b>{html.escape(one.label or '')}</b></td>"]
    for name in one.space.names:
        value = (one.values or {}).get(name)
        style = "" if value is None else f"background:linear-gradient(90deg,{_gradient(*bar(value, one.space))})"
        cells.append(f'<td style="{style}">{"" if value is None else f"{value:.2f}"}</td>')
    cells.append(f'<td title="{html.escape(one.reason)}">{html.escape(one.status)}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def _gradient(begin: float, end: float) -> str:
    """Return the colours of a cell with a bar, whose ends are shares of its width."""
    shown = f"transparent {begin:.0%},#9ecae1 {begin:.0%} {end:.0%}" if begin else f"#9ecae1 {end:.0%}"
    return f"{shown},transparent {end:.0%}"
