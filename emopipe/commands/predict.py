"""The command `emopipe predict`."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emopipe.core.errors import ConfigError
from emopipe.core.log import log_to

if TYPE_CHECKING:
    from rich.console import Console

    from emopipe.inference.predictions import Prediction, StreamAnswer

BAR_WIDTH = 12
"""Characters of a bar for the probability 1."""


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
    window: Annotated[float | None, typer.Option(help="Answer over time, for windows of so many seconds.")] = None,
    step: Annotated[
        float | None, typer.Option(help="Seconds from one window to the next. Default: half a window.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each input, and nothing else, to standard output.")
    ] = False,
    csv: Annotated[Path | None, typer.Option(help="Write one row an input to this CSV file.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="The same as a Parquet file.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if any input could not be answered.")] = False,
    device: Annotated[str, typer.Option(help="Where the networks run: auto, cpu or cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="The number of CPU threads. Default: all.")] = None,
) -> None:
    """Predict the emotion in new videos, images or sound files.

    The networks that are shipped need no training and no internet. They give acted and posed expressions the names of
    seven classes; how a person feels is another matter.

    Exits with 0 if any input could be answered.
    """
    log_to(None)
    _refuse_suffix("--csv", csv, ".csv")
    _refuse_suffix("--parquet", parquet, ".parquet")
    # torch is slow to import, and the other commands do not need it.
    from emopipe.inference.predictions import Predictions
    from emopipe.inference.predictor import Predictor

    answers = Predictor(model, device=device, threads=threads).stream(inputs, window=window, step=step)
    made = Predictions(_printed(answers) if as_json else list(answers))
    if not as_json:
        _print_table(made)
    for path in filter(None, (csv, parquet)):
        made.write(path)
    answered = [one.answered for one in made]
    if not any(answered) or (strict and not all(answered)):
        raise typer.Exit(1)


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


def _print_table(made: Iterable["Prediction"]) -> None:
    from rich.console import Console
    from rich.table import Table

    from emopipe.core.labels import CLASSES

    console = Console()
    table = Table("input", "label", "probabilities", "streams", "remarks")
    for one in made:
        bars = [f"{name:<9}{_bar(one.probabilities[name])}" for name in CLASSES] if one.probabilities else []
        ranked = sorted(bars, key=lambda line: -one.probabilities[line.split()[0]])
        streams = [
            f"{name}: {stream.label or stream.status}, {_coverage(stream)}" for name, stream in one.streams.items()
        ]
        remarks = one.reason if one.status == "ok" else f"{one.status}: {one.reason}"
        table.add_row(Path(one.input).name, one.label or "-", "\n".join(ranked[:3]), "\n".join(streams), remarks)
    console.print(table)
    for one in made:
        if one.windows:
            _print_timeline(console, one)


def _print_timeline(console: "Console", one: "Prediction") -> None:
    from rich.table import Table

    table = Table("seconds", "label", "probability", title=Path(one.input).name)
    for window in one.windows:
        share = window.probabilities[window.label] if window.label else 0.0
        table.add_row(
            f"{window.start:.2f} to {window.end:.2f}", window.label or "-", _bar(share) if window.label else ""
        )
    console.print(table)


def _bar(share: float) -> str:
    return f"{'█' * round(share * BAR_WIDTH):<{BAR_WIDTH}} {share:4.0%}"


def _coverage(stream: "StreamAnswer") -> str:
    if stream.unit == "seconds":
        return f"{stream.found:.1f} s of sound"
    return f"{stream.found:.0f} of {stream.searched:.0f} frames with a face"
