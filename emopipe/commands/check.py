"""The command `emopipe check`."""

from pathlib import Path
from typing import Annotated

import typer

from emopipe.core.errors import DeviceError
from emopipe.core.log import log_to
from emopipe.corpora import times
from emopipe.workflow import config as configs
from emopipe.workflow import heads, preconditions, resources, scan


def check(
    config: Annotated[Path, typer.Argument(help="A config file.")],
    corpus_root: Annotated[
        str | None, typer.Option(help="The folder of the corpus, for a config that does not set corpus_root.")
    ] = None,
) -> None:
    """Check a config file, and whether its corpus has the clips that it needs.

    Of the corpus, the names of files are read, or the table, and the content of files of one size; of the weights, the
    names and, where a model reads answers of a network, its classes.
    """
    log_to(None)
    raw = configs.read(config)
    checked = configs.parse({**raw, **({"corpus_root": corpus_root} if corpus_root else {})})
    heads.check_heads_of_files(checked)
    table = scan.without_duplicates(checked, scan.clips(checked))
    preconditions.check_clips(checked, table)
    preconditions.report_absent_classes(checked, table)
    try:
        preconditions.check_device(checked.device, gpu_here=resources.has_gpu())
    except DeviceError as error:  # it may be the login node of a cluster
        typer.echo(f"{error} A run on a cluster, whose nodes have GPUs, is not refused.", err=True)
    counts = ", ".join(f"{count} {split}" for split, count in table["split"].value_counts().items())
    parts = int(times.is_part(table).sum())
    counts += f" ({parts} of them are parts of files)" if parts else ""
    typer.echo(f"{config} is valid: run {checked.run}, models {', '.join(checked.models) or 'none'}, clips {counts}.")
