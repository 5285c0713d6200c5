"""`emopipe weights`: which weights there are, what is known of them, fetch them, check them."""

from collections.abc import Callable, Iterable
from typing import Annotated, NoReturn

import typer
import yaml
from rich.console import Console
from rich.table import Table

from emopipe.core.errors import EmopipeError
from emopipe.weights import fetching
from emopipe.weights.entries import Entry, Registry, package_registry
from emopipe.weights.naming import named
from emopipe.weights.paths import VARIABLE, folder, path_of

app = typer.Typer(no_args_is_help=True, help="Weights by name: list, show, fetch and verify them.")

Names = Annotated[list[str], typer.Argument(help="Names, as `emopipe weights list` shows them.", metavar="NAME...")]


@app.command("list")
def list_() -> None:
    """All weights that a config can name; those that tell classes can be evaluated by themselves."""
    registry = package_registry()
    table = Table(box=None, pad_edge=False)
    for column in ("name", "kind", "dim", "classes", "MB", "licence", "here"):
        is_number = column in ("dim", "classes", "MB")
        table.add_column(column, justify="right" if is_number else "left", no_wrap=column != "licence")
    for entry in registry:
        size = f"{entry.bytes / 1e6:.1f}" if entry.bytes else "?"
        licence = f"{entry.licence}, [red]non-commercial[/red]" if entry.noncommercial else entry.licence
        here = "yes" if path_of(entry, registry).is_file() else "no"
        dim, classes = str(entry.dim or ""), str(len(entry.classes) or "")
        table.add_row(entry.name, entry.kind, dim, classes, size, licence, here)
    Console().print(table)
    typer.echo(f"Folder of fetched weights: {folder()} (the environment variable {VARIABLE} names another).")


@app.command()
def show(name: Annotated[str, typer.Argument(help="A name, as `emopipe weights list` shows it.")]) -> None:
    """All that is known of weights, and their model card where they have one."""
    registry = package_registry()
    entry = _entries([name], registry)[0]
    known = {**entry.model_dump(exclude_unset=True), "path": str(path_of(entry, registry))}
    typer.echo(yaml.safe_dump(known, sort_keys=False, allow_unicode=True, default_flow_style=None), nl=False)
    card = registry.files / f"{name}.md"
    if card.is_file():
        typer.echo(f"\n{card.read_text(encoding='utf-8')}", nl=False)


@app.command()
def fetch(names: Names) -> None:
    """Fetch weights into their folder, tell their licence, and check them."""
    registry = package_registry()
    entries = _entries(names, registry)

    def get(entry: Entry) -> None:
        typer.echo(_terms(entry))
        fetching.fetch(entry, registry, downloads, typer.echo)

    try:
        with fetching.session() as downloads:
            _each(entries, get)
    except EmopipeError as error:
        _leave(error)


@app.command()
def verify(names: Names = []) -> None:  # noqa: B006 - typer reads it; nobody changes it
    """Check weights that are here, or those named, against their sums; exit 1 where one is another file, or missing."""
    registry = package_registry()

    def check(entry: Entry) -> None:
        if names or path_of(entry, registry).is_file():
            typer.echo(f"{entry.name}: {path_of(entry, registry)}, {fetching.check(entry, registry)}.")
        else:
            typer.echo(f"{entry.name}: not here.")

    _each(_entries(names, registry) if names else registry, check)


def _entries(names: Iterable[str], registry: Registry) -> list[Entry]:
    """The entries of these names, each once; leaves with a sentence where there is no such name."""
    try:
        return [named(name, registry) for name in dict.fromkeys(names)]
    except EmopipeError as error:
        _leave(error)


def _leave(error: EmopipeError) -> NoReturn:
    """End the command with the error's sentence."""
    typer.echo(str(error), err=True)
    raise typer.Exit(1) from None


def _each(entries: Iterable[Entry], act: Callable[[Entry], None]) -> None:
    """Act on all entries; leave with 1 where one failed, after a sentence for each."""
    failed = False
    for entry in entries:
        try:
            act(entry)
        except EmopipeError as error:
            typer.echo(str(error), err=True)
            failed = True
    if failed:
        raise typer.Exit(1)


def _terms(entry: Entry) -> str:
    """Licence, note and citation, in lines; plainly where commercial use is ruled out."""
    commerce = " FOR NON-COMMERCIAL USE ONLY: do not fetch them for anything else." if entry.noncommercial else ""
    note = f"\n  {entry.note}" if entry.note else ""
    return f"{entry.name}: licence {entry.licence}.{commerce}{note}\n  Cite: {entry.citation}"
