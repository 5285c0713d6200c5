"""Metrics, tables, ledger, figures, summary, submission."""

from pathlib import Path

from emopipe.progress import job_log
from emopipe.stages import report


def by_name(paths):
    """Model or ensemble -> its file."""
    return {Path(path).stem: Path(path) for path in paths}


with job_log(snakemake.log[0]):
    report.run(
        snakemake.params.recipe,
        Path(snakemake.input.clips),
        {stage: [Path(path) for path in paths] for stage, paths in snakemake.params.stages.items()},
        by_name(snakemake.input.predictions),
        by_name(snakemake.input.oof),
        by_name(snakemake.input.seeds),
        Path(snakemake.input.weights),
        Path(snakemake.output[0]).parent,
    )
