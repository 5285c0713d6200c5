"""Trains a backbone on labelled stills or speech of other corpora: one phase of its schedule."""

from pathlib import Path

from emopipe.workflow.job import job_log

with job_log(snakemake.log[0]):
    from emopipe.stages import chain

    job, start = snakemake.config["job"], snakemake.input.get("start")
    given = job["weights"][snakemake.wildcards.backbone] if snakemake.wildcards.step == "0" else None
    chain.run(
        snakemake.params.recipe,
        job["sources"],
        Path(snakemake.output.weights),
        Path(snakemake.output.history),
        Path(snakemake.output.curve),
        Path(snakemake.params.events),
        start=start or given,
        device=job["device"],
        threads=snakemake.threads,
        preserve=True,
    )
