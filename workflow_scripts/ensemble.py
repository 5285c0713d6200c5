"""Combine models."""

from pathlib import Path

from emopipe.workflow.job import by_stem, job_log

with job_log(snakemake.log[0]):
    from emopipe.stages import ensemble

    ensemble.run(
        snakemake.params.recipe,
        by_stem(snakemake.input.predictions),
        by_stem(snakemake.input.oof),
        by_stem(snakemake.input.seeds),
        by_stem(snakemake.output.predictions),
        by_stem(snakemake.output.oof),
        by_stem(snakemake.output.seeds),
        Path(snakemake.output.weights),
    )
