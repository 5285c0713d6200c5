"""Merge one backbone's shards."""

from pathlib import Path

from emopipe.workflow.job import job_log

with job_log(snakemake.log[0]):
    from emopipe.stages import merge

    merge.run(
        snakemake.params.recipe,
        [Path(path) for path in snakemake.input.shards],
        Path(snakemake.output[0]),
        clips=snakemake.params.clips,
        min_coverage=snakemake.params.min_coverage,
    )
