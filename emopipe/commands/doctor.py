"""The command `emopipe doctor`."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from emopipe.doctor.check import Check
from emopipe.workflow import config as configs
from emopipe.workflow.config import Config

COLOURS = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def doctor(
    config: Annotated[Path | None, typer.Argument(help="A config file: weights and space are checked for it.")] = None,
    corpus_root: Annotated[
        str | None, typer.Option(help="The folder of the corpus, for a config that does not set corpus_root.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects.")] = False,
) -> None:
    """Check this machine: packages, codecs, GPU, weights, disk, memory and the cluster; say what to do for each.

    With CONFIG, also what that run needs. The exit code is 1 if something would stop a run.
    """
    checked = _read(config, corpus_root) if config else None
    found = list(all_checks(checked))
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(check) for check in found], indent=1))
    else:
        _show(found)
    raise typer.Exit(any(check.state == "problem" for check in found))


def all_checks(config: Config | None) -> Iterator[Check]:
    """Yield the checks of all groups. A group that cannot even be imported is one problem."""
    # Each group imports the libraries that it checks: one that is broken must not hide the others.
    from emopipe.doctor import cluster, packages

    yield from packages.checks(config)
    try:
        from emopipe.doctor import codecs

        yield from codecs.checks()
    except ImportError as error:
        yield _broken("codecs", error)
    try:
        from emopipe.doctor import devices

        yield from devices.checks(config)
    except ImportError as error:
        yield _broken("devices", error)
    try:
        from emopipe.doctor import space, weights

        yield from weights.checks(config)
        yield from space.checks(config)
    except ImportError as error:
        yield _broken("weights and space", error)
    yield from cluster.checks()


def _broken(group: str, error: ImportError) -> Check:
    todo = "Install the package again, as `make setup` does; see docs/install.md."
    return Check(group, "import", "problem", f"A package cannot be imported ({error}).", todo)


def _read(config: Path, corpus_root: str | None) -> Config:
    raw = configs.read(config)
    return configs.parse({**raw, **({"corpus_root": corpus_root} if corpus_root else {})})


def _show(found: list[Check]) -> None:
    """Print a table on a terminal, plain lines when piped, and the counts last."""
    console = Console()
    if console.is_terminal:
        table = Table(box=None, pad_edge=False)
        for column in ("group", "check", "state", "found, and what to do"):
            table.add_column(column, no_wrap=not column.startswith("found"))
        for check in found:
            state = f"[{COLOURS[check.state]}]{check.state}[/]"
            table.add_row(check.group, check.name, state, " ".join(filter(None, (check.found, check.todo))))
        console.print(table)
    else:
        for check in found:
            typer.echo(
                " ".join(filter(None, (f"{check.state}: {check.group}: {check.name}:", check.found, check.todo)))
            )
    counts = Counter(check.state for check in found)
    typer.echo(f"{counts['ok']} ok, {counts['warning']} warnings, {counts['problem']} problems.")
