"""The command `emopipe compare`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from emopipe.core.atomic import write_text
from emopipe.core.errors import ConfigError


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Folders of two or more finished runs, such as results/demo.", metavar="RUN"),
    ],
    clips: Annotated[int, typer.Option(min=0, help="The most clip ids to show of each kind; --json has all.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object to standard output.")] = False,
    csv: Annotated[
        Path | None, typer.Option(help="Write the scores to this CSV file: one row a run, model and split.")
    ] = None,
) -> None:
    """Compare finished runs: what differs, and what that did to the scores.

    Each further run is compared with the first: the keys of the config, code, libraries, weights, clips and statuses;
    then scores on the clips that both predict, with paired intervals and tests, and the clips that became correct or
    wrong. Scores are accuracy and UAR, or macro AP or CCC; runs with different labels are refused. What cannot be known
    any more, such as of a cache that another run changed, is listed.
    """
    if csv and csv.suffix != ".csv":
        raise ConfigError(f"--csv is {csv}, but the file is a CSV. Give a name that ends in .csv.")
    # These import pandas and h5py, which `emopipe --help` does not need.
    from emopipe.report.between_runs.compared import compare as compare_runs
    from emopipe.workflow.defaults import with_defaults

    found = compare_runs(runs, with_defaults)
    if csv:
        write_text(csv, found.table().to_csv(index=False, float_format="%.6f", lineterminator="\n"))
    if as_json:
        typer.echo(json.dumps(found.to_dict(), ensure_ascii=False))
        return
    from rich.console import Console

    from emopipe.report.between_runs.shown import show
    from emopipe.report.summary import PIPE_COLUMNS

    show(found, Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False), clips)
