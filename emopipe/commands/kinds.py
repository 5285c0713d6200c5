"""The command `emopipe kinds`."""

from collections.abc import Sequence

import typer

from emopipe import corpora, stills
from emopipe.backbones import registry as backbones
from emopipe.core.errors import EmopipeError
from emopipe.core.registry import Registry, Row
from emopipe.faces import detectors

REGISTRIES: dict[str, Registry] = {
    "Backbones (backbones.<name>.kind)": backbones.REGISTRY,
    "Face detectors (faces.<name>.detector, sources.<name>.detect)": detectors.REGISTRY,
    "Corpora of clips (corpus.kind; sources.<name>.kind for an audio network)": corpora.REGISTRY,
    "Corpora of stills (sources.<name>.kind for a face network)": stills.REGISTRY,
}
"""Title, with the keys of the config -> registry."""


def kinds() -> None:
    """List all kinds of backbones, face detectors, corpora and stills, with their modules; plug-ins are imported.

    The exit code is 1 if a plug-in cannot be used.
    """
    faults = []
    for number, (title, registry) in enumerate(REGISTRIES.items()):
        lines = []
        for kind in registry.names():
            try:
                row = registry.row(kind)
            except EmopipeError as error:
                faults.append(str(error))
                lines.append((kind, "cannot be used, see below"))
            else:
                plugin = registry.plugin(kind)
                lines.append((*_cells(kind, row), row.module, f"package {plugin}" if plugin else ""))
        typer.echo(("\n" if number else "") + title)
        _show(lines)
    for fault in faults:
        typer.echo(f"\n{fault}", err=True)
    if faults:
        raise typer.Exit(1)


def _cells(kind: str, row: Row) -> list[str]:
    """Return the name of a kind and, of a backbone, what it reads and whether it can be trained."""
    if not isinstance(row, backbones.Kind):
        return [kind]
    name = f"{kind}:<{row.named_by}>" if row.named_by else kind
    return [name, row.modality, "trainable" if row.trainable else "not trainable"]


def _show(lines: Sequence[Sequence[str]]) -> None:
    """Print lines of cells in columns."""
    columns = range(max(map(len, lines)))
    widths = [max(len(cells[column]) for cells in lines if len(cells) > column) for column in columns]
    for cells in lines:
        text = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False))
        typer.echo(f"  {text.rstrip()}")
