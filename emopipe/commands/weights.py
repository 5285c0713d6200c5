"""List, show, download and verify the weights of the registry."""

from collections.abc import Callable, Iterable
from typing import Annotated

import typer
import yaml
from rich.console import Console
from rich.table import Table

from emopipe.core.errors import EmopipeError
from emopipe.weights import fetching
from emopipe.weights.entries import Entry, Registry, package_registry
from emopipe.weights.naming import named
from emopipe.weights.paths import VARIABLE, folder, path_of

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="Weights by name: list, show, download and verify them.",
)

Names = Annotated[list[str], typer.Argument(help="Names, as `emopipe weights list` shows them.", metavar="NAME...")]


@app.command("list")
def list_() -> None:
    """List all weights that a config can name. Those with classes can be evaluated on their own."""
    registry = package_registry()
    table = Table(box=None, pad_edge=False)
    for column in ("name", "kind", "dim", "classes", "MB", "licence", "available"):
        is_number = column in ("dim", "classes", "MB")
        table.add_column(column, justify="right" if is_number else "left", no_wrap=column != "licence")
    for entry in registry:
        size = f"{entry.bytes / 1e6:.1f}" if entry.bytes else "?"
        licence = f"{entry.licence}, [red]non-commercial[/red]" if entry.noncommercial else entry.licence
        available = "yes" if path_of(entry, registry).is_file() else "no"
        dim, classes = str(entry.dim or ""), str(len(entry.classes) or "")
        table.add_row(entry.name, entry.kind, dim, classes, size, licence, available)
    Console().print(table)
    typer.echo(f"Folder of downloaded weights: {folder()} (set the environment variable {VARIABLE} to use another).")


@app.command()
def show(name: Annotated[str, typer.Argument(help="A name, as `emopipe weights list` shows it.")]) -> None:
    """Show the registry's entry of weights, and their model card if they have one."""
    registry = package_registry()
    entry = _entries([name], registry)[0]
    facts = {**entry.model_dump(exclude_unset=True), "path": str(path_of(entry, registry))}
    typer.echo(yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, default_flow_style=None), nl=False)
    card = registry.files / f"{name}.md"
    if card.is_file():
        typer.echo(f"\n{card.read_text(encoding='utf-8')}", nl=False)


@app.command()
def fetch(names: Names) -> None:
    """Show the licence of weights, download them into their folder, and verify them."""
    registry = package_registry()
    entries = _entries(names, registry)

    def get(entry: Entry) -> None:
        limits = " FOR NON-COMMERCIAL USE ONLY: do not download them for other use." if entry.noncommercial else ""
        note = f"\n  {entry.note}" if entry.note else ""
        typer.echo(f"{entry.name}: licence {entry.licence}.{limits}{note}\n  Cite: {entry.citation}")
        fetching.fetch(entry, registry, downloads, typer.echo)

    with fetching.session() as downloads:
        _each(entries, get)


@app.command()
def verify(names: Names = []) -> None:  # noqa: B006 - typer reads it; nobody changes it
    """Verify the sha256 of weights. Default: all that are available. Exits with 1 if one differs or is missing."""
    registry = package_registry()

    def check(entry: Entry) -> None:
        if names or path_of(entry, registry).is_file():
            typer.echo(f"{entry.name}: {path_of(entry, registry)} ({fetching.check(entry, registry)}).")
        else:
            typer.echo(f"{entry.name}: not available.")

    _each(_entries(names, registry) if names else registry, check)


def _entries(names: Iterable[str], registry: Registry) -> list[Entry]:
    """Return the entries of these names without duplicates.

    Raises:
        ConfigError: A name is unknown.
    """
    return [named(name, registry) for name in dict.fromkeys(names)]


def _each(entries: Iterable[Entry], act: Callable[[Entry], None]) -> None:
    """Call `act` for all entries, and print the message of each failure; exit with 1 if one failed."""
    failed = False
    for entry in entries:
        try:
            act(entry)
        except EmopipeError as error:
            typer.echo(str(error), err=True)
            failed = True
    if failed:
        raise typer.Exit(1)
