"""Extract one backbone's vectors of one shard."""

from pathlib import Path

from emopipe.workflow.job import job_log

with job_log(snakemake.log[0]):
    from emopipe.stages import features

    job = snakemake.config["job"]
    learned, chained = (snakemake.input.get(name) for name in ("pretrained", "chained"))
    features.run(
        snakemake.params.recipe,
        Path(snakemake.input.source[0]),
        Path(snakemake.output[0]),
        weights=chained or job["weights"][snakemake.wildcards.backbone.partition("@")[0]],
        pretrained=Path(learned) if learned else None,
        device=job["device"],
        threads=snakemake.threads,
        on_failure=job["on_failure"],
    )
