"""Decode one shard's clips."""

from pathlib import Path

from emopipe.workflow.job import job_log

with job_log(snakemake.log[0]):
    from emopipe.stages import decode

    decode.run(
        snakemake.params.recipe,
        Path(snakemake.config["job"]["root"]),
        Path(snakemake.input.shard[0]),
        Path(snakemake.output.media),
        Path(snakemake.output.status),
        on_failure=snakemake.config["job"]["on_failure"],
        retries=snakemake.params.retries,
    )
