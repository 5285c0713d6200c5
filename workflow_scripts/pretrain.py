"""Trains a backbone on the corpus' own training clips."""

from pathlib import Path

from emopipe.workflow.job import job_log

with job_log(snakemake.log[0]):
    from emopipe.stages import pretrain

    job, chained = snakemake.config["job"], snakemake.input.get("start")
    pretrain.run(
        snakemake.params.recipe,
        Path(snakemake.input.clips[0]),
        [Path(path) for path in snakemake.input.shards],
        Path(snakemake.output.weights),
        Path(snakemake.output.history),
        start=chained or job["weights"][snakemake.wildcards.backbone],
        device=job["device"],
        threads=snakemake.threads,
        preserve=True,
    )
