"""Merge one backbone's shards."""

from pathlib import Path

from emopipe.jobs import job_log
from emopipe.stages import merge

with job_log(snakemake.log[0]):
    merge.run(
        snakemake.params.recipe,
        [Path(path) for path in snakemake.input],
        Path(snakemake.output[0]),
        clips=snakemake.params.clips,
        min_coverage=snakemake.params.min_coverage,
    )
