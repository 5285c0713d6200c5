"""Combine models."""

from pathlib import Path

from emopipe.progress import job_log
from emopipe.stages import ensemble


def by_name(paths):
    """Model or ensemble -> its file."""
    return {Path(path).stem: Path(path) for path in paths}


with job_log(snakemake.log[0]):
    ensemble.run(
        snakemake.params.recipe,
        by_name(snakemake.input.predictions),
        by_name(snakemake.input.oof),
        by_name(snakemake.output.predictions),
        by_name(snakemake.output.oof),
        Path(snakemake.output.weights),
    )
