"""The command `emopipe migrate`: makes a cache of release 0.1.0 usable for this version."""

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from emopipe.core.log import log_to
from emopipe.workflow import launch
from emopipe.workflow.migration import Outcome, assumed_libraries
from emopipe.workflow.migration import migrate as take_over

AT_ONCE = 500
"""Paths that one call of Snakemake is given."""


def migrate(folder: Annotated[Path, typer.Argument(help="A corpus' cache, such as cache/demo.")]) -> None:
    """Reuse the files of a cache that emopipe 0.1.0 made, so that they are not computed again.

    This rewrites what made each file, never its data, and only if this version computes the same numbers. Other files
    are listed; the next run computes them again. Call it in the folder that holds `cache/`, while no run is active.
    """
    log_to(None)
    scripts = launch.files(Path.cwd()) / "workflow_scripts"
    outcomes = list(take_over(folder, scripts))
    if not outcomes:
        typer.echo(f"{folder} holds no files of an earlier release. There is nothing to do.")
        return
    _forget_params([outcome.path for outcome in outcomes if outcome.is_taken])
    typer.echo(f"0.1.0 recorded no versions of libraries. Those that it pinned are assumed: {assumed_libraries()}.")
    for line in _summary(folder, outcomes):
        typer.echo(line)


def _summary(folder: Path, outcomes: list[Outcome]) -> list[str]:
    """Return a line for each kind of outcome in each folder, then the totals."""
    counts = Counter((outcome.path.parent, outcome.is_taken, outcome.why) for outcome in outcomes)
    lines = [
        f"{parent}: {count} {'file' if count == 1 else 'files'} reused."
        if is_taken
        else f"{parent}: {count} {'file' if count == 1 else 'files'} not reused. {why}"
        for (parent, is_taken, why), count in counts.items()
    ]
    taken = sum(outcome.is_taken for outcome in outcomes)
    rest = len(outcomes) - taken
    lines.append(f"{taken} of {len(outcomes)} files in {folder} are reused.")
    if rest:
        lines.append(f"The next run computes the other {rest} again.")
    return lines


def _forget_params(paths: list[Path]) -> None:
    """Delete Snakemake's records of these files: it compares the recipes in them with those of the next run."""
    made = [path.with_suffix(suffix) for path in paths for suffix in (path.suffix, ".csv", ".png")]
    made = [path for path in made if path.is_file()]
    with tempfile.TemporaryDirectory() as folder:
        snakefile = Path(folder, "Snakefile")
        snakefile.write_text("", encoding="utf-8")
        for start in range(0, len(made), AT_ONCE):
            command = [sys.executable, "-m", "snakemake", "--snakefile", snakefile, "--cleanup-metadata"]
            # It fails if it has no record of some of them. That does no harm.
            subprocess.run([*command, *made[start : start + AT_ONCE]], capture_output=True, check=False)
