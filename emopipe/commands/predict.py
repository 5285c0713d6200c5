"""The command `emopipe predict`."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emopipe.core.errors import ConfigError
from emopipe.core.log import log_to

if TYPE_CHECKING:
    from rich.console import Console

    from emopipe.core.labels import LabelSpace
    from emopipe.inference.predictions import Numbers, Prediction, Predictions, StreamAnswer
    from emopipe.inference.shown import Shown

BAR_WIDTH = 12
"""Characters of a bar for the probability 1, or from the smallest to the largest value of a dimension."""
SHOWN = 3
"""Classes whose probabilities the table of inputs has, unless the answer names more."""
SHOWN_WINDOW, SHOWN_STEP = 2.0, 0.5
"""Seconds of a window and from one to the next, where something over time is to be shown and no window was given."""


def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Videos, images, sound files, folders, patterns, or .csv and .tsv tables with a column path."
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="`shipped`: this project's own networks; the folder of a finished run: results/RUN; or a bundle."
        ),
    ] = "shipped",
    labels: Annotated[
        str | None,
        typer.Option(
            help="With the shipped networks: the classes to answer in, a named set such as ferplus8, or names with "
            "commas between them. Default: the seven."
        ),
    ] = None,
    window: Annotated[float | None, typer.Option(help="Answer over time, for windows of so many seconds.")] = None,
    step: Annotated[
        float | None, typer.Option(help="Seconds from one window to the next. Default: half a window.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each input, and nothing else, to standard output.")
    ] = False,
    csv: Annotated[Path | None, typer.Option(help="Write one row an input to this CSV file.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="The same as a Parquet file.")] = None,
    timeline: Annotated[
        str | None,
        typer.Option(
            help="Write a page (.html) or a figure (.png, .svg) of an input over time: frames, attention, sound, "
            "probabilities. For several inputs, {} in the name stands for the name of each."
        ),
    ] = None,
    video: Annotated[
        str | None,
        typer.Option(help="Write the video again (.mp4), with the main face, the label and probabilities drawn in."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if any input could not be answered.")] = False,
    device: Annotated[str, typer.Option(help="Where the networks run: auto, cpu or cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="The number of CPU threads. Default: all.")] = None,
) -> None:
    """Predict the emotion in new videos, images or sound files.

    The networks that are shipped need no training and no internet. They give acted and posed expressions the names of
    seven classes; how a person feels is another matter. Networks of a run, or of a bundle, answer in the run's labels.

    Exits with 0 if any input could be answered, and what was asked for could be written.
    """
    log_to(None)
    _refuse_suffix("--csv", csv, ".csv")
    _refuse_suffix("--parquet", parquet, ".parquet")
    shown = _shown(inputs, timeline, video)
    window, step = _windows(window, step) if shown else (window, step)
    # torch is slow to import, and the other commands do not need it.
    from emopipe.inference.predictions import Predictions
    from emopipe.inference.predictor import Predictor

    predictor = Predictor(model, labels=labels, device=device, threads=threads)
    if predictor.remark:
        typer.echo(predictor.remark, err=True)
    watch = shown.watch(predictor) if shown else None
    answers = predictor.stream(inputs, window=window, step=step, watch=watch)
    answers = shown.written(answers) if shown else answers
    made = Predictions(_printed(answers) if as_json else list(answers))
    if not as_json:
        _print_table(made)
    for path in filter(None, (csv, parquet)):
        made.write(path)
    for fault in shown.faults if shown else ():
        typer.echo(fault, err=True)
    answered = [one.answered for one in made]
    if not any(answered) or (strict and not all(answered)) or (shown and shown.faults):
        raise typer.Exit(1)


def _windows(window: float | None, step: float | None) -> tuple[float | None, float | None]:
    """Return the windows to show, those that were asked for or the default, which is reported."""
    if window is not None or step is not None:
        return window, step
    typer.echo(
        f"No --window was given, so there are windows of {SHOWN_WINDOW:g} s, one every {SHOWN_STEP:g} s, and the "
        "answer for a file is their mean.",
        err=True,
    )
    return SHOWN_WINDOW, SHOWN_STEP


def _shown(inputs: list[str], timeline: str | None, video: str | None) -> "Shown | None":
    """Return what is to be written of each input; None if nothing is. Wrong names are refused."""
    if timeline is None and video is None:
        return None
    from emopipe.inference.shown import Shown

    return Shown.asked(inputs, timeline, video)


def _refuse_suffix(option: str, path: Path | None, suffix: str) -> None:
    if path is not None and path.suffix != suffix:
        raise ConfigError(f"{option} is {path}. Expected a name that ends in {suffix}.")


def _printed(answers: Iterable["Prediction"]) -> list["Prediction"]:
    """Print each answer as a line of JSON as soon as it is known; return all."""
    made = []
    for one in answers:
        typer.echo(one.to_json())
        made.append(one)
    return made


def _print_table(made: "Predictions") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console, space = Console(), made.space
    is_classes = space.kind != "dimensions"
    table = Table("input", *(["label"] if is_classes else []))
    table.add_column("probabilities" if is_classes else "values", no_wrap=True)
    table.add_column("streams")
    table.add_column("remarks")
    for one in made:
        streams = [
            f"{name}: {escape(stream.label or stream.status)}, {_coverage(stream)}"
            for name, stream in one.streams.items()
        ]
        remarks = one.reason if one.status == "ok" else f"{one.status}: {one.reason}"
        bars = "\n".join(_bars(one.label, one.values, space)) if one.values else ""
        label = [_label(one.label, space)] if is_classes else []
        table.add_row(Path(one.input).name, *label, escape(bars), "\n".join(streams), remarks)
    console.print(table)
    for one in made:
        if one.windows:
            _print_timeline(console, one)


def _print_timeline(console: "Console", one: "Prediction") -> None:
    from rich.markup import escape
    from rich.table import Table

    from emopipe.inference.answer_display import named

    space, title = one.space, Path(one.input).name
    heads = map(escape, space.names) if space.kind == "dimensions" else ("label", "probability")
    table = Table("seconds", *heads, title=title)
    for window in one.windows:
        cells = [f"{window.start:.2f} to {window.end:.2f}"]
        bars = [_bar(window.values[name], space) for name in named(window.label, space)] if window.values else []
        cells += bars if space.kind == "dimensions" else [_label(window.label, space), "\n".join(bars)]
        table.add_row(*cells)
    console.print(table)


def _label(label: str | None, space: "LabelSpace") -> str:
    """Return an answer with a line for each class, for a cell of a table."""
    from rich.markup import escape

    from emopipe.inference.answer_display import named

    return escape("\n".join(named(label, space)) or label or "-")


def _bars(label: str | None, values: "Numbers", space: "LabelSpace") -> list[str]:
    """Return a line with a bar for each of the most probable classes, or for each dimension."""
    from emopipe.inference.answer_display import first_names, short

    width = max(len(short(name)) for name in space.names) + 1
    return [f"{short(name):<{width}}{_bar(values[name], space)}" for name in first_names(label, values, space, SHOWN)]


def _bar(value: float, space: "LabelSpace") -> str:
    """Return a bar and the number; bars of dimensions begin at a line for 0."""
    from emopipe.inference.answer_display import bar, number_text, zero

    begin, end = (round(edge * BAR_WIDTH) for edge in bar(value, space))
    cells = f"{' ' * begin}{'█' * (end - begin)}".ljust(BAR_WIDTH)
    if space.kind != "dimensions":
        return f"{cells} {number_text(value, space):>4}"
    middle = round(zero(space) * BAR_WIDTH)
    return f"{cells[:middle]}│{cells[middle:]} {number_text(value, space):>5}"


def _coverage(stream: "StreamAnswer") -> str:
    if stream.unit == "seconds":
        return f"{stream.found:.1f} s of sound"
    return f"{stream.found:.0f} of {stream.searched:.0f} frames with a face"
