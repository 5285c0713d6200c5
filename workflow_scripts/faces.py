"""Find and align the faces of one shard's clips."""

from pathlib import Path

from emopipe.workflow.job import job_log

with job_log(snakemake.log[0]):
    from emopipe.stages import faces

    faces.run(
        snakemake.params.recipe,
        Path(snakemake.input[0]),
        Path(snakemake.output[0]),
        weights=snakemake.config["job"]["detectors"][snakemake.wildcards.detector],
        device=snakemake.config["job"]["device"],
        threads=snakemake.threads,
        on_failure=snakemake.config["job"]["on_failure"],
    )
