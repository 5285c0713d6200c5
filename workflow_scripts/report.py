"""Metrics, ledger, figures, summary, submission."""

from pathlib import Path

from emopipe.progress import job_log
from emopipe.stages import report

with job_log(snakemake.log[0]):
    report.run(
        Path(snakemake.input.clips),
        {stage: [Path(path) for path in paths] for stage, paths in snakemake.params.stages.items()},
        {Path(path).stem: Path(path) for path in snakemake.input.predictions},
        Path(snakemake.output[0]).parent,
    )
