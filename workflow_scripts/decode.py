"""Decode one shard's clips."""

from pathlib import Path

from emopipe.jobs import job_log
from emopipe.stages import decode

with job_log(snakemake.log[0]):
    decode.run(
        snakemake.params.recipe,
        Path(snakemake.config["job"]["root"]),
        Path(snakemake.input.shard[0]),
        Path(snakemake.output.media),
        Path(snakemake.output.fates),
        on_failure=snakemake.config["job"]["on_failure"],
        attempt=snakemake.params.attempt,
    )
