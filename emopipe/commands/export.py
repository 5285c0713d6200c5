"""The command `emopipe export`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from emopipe.core.errors import ConfigError
from emopipe.core.log import log_to
from emopipe.export import formats

Models = Annotated[
    list[str] | None,
    typer.Option(help="A model or ensemble whose predictions to write; `all` for all. May be repeated."),
]
Features = Annotated[bool, typer.Option("--features", help="Write the vectors of all backbones, too.")]
Media = Annotated[
    str | None, typer.Option(help="The folder or address of the clips, as the other tool sees it. Default: the corpus.")
]


def export(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run: results/RUN.")],
    to: Annotated[str, typer.Option(help=f"The format: {', '.join(formats.FORMATS)}.")],
    out: Annotated[Path, typer.Option(help="The file or folder to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace what an earlier export wrote there.")] = False,
    model: Models = None,
    features: Features = False,
    media: Media = None,
) -> None:
    """Write a finished run for use elsewhere: as a bundle that predicts by itself, or in a format of other tools."""
    log_to(None)
    writer = formats.load(to)
    given = {name: value for name, value in (("model", model), ("features", features), ("media", media)) if value}
    _refuse_unused(to, given, getattr(writer, "OPTIONS", ()))
    formats.refuse_taken(out, force=force)
    for remark in writer.write(run, out, **given):
        typer.echo(remark)
    typer.echo(f"{out} is written.")


def _refuse_unused(to: str, given: dict[str, Any], taken: tuple[str, ...]) -> None:
    """Refuse an option that has no effect on the format.

    Raises:
        ConfigError: There is one.
    """
    for name in given:
        if name not in taken:
            takes = (
                f"Its options are {', '.join(f'--{each}' for each in taken)}." if taken else "It has no such options."
            )
            raise ConfigError(f"--{name} has no effect with --to {to}. {takes} Remove it.")
