"""Metrics, tables, ledger, figures, summary, submission."""

from pathlib import Path

from emopipe.workflow.job import by_stem, job_log

with job_log(snakemake.log[0]):
    from emopipe.stages import report

    report.run(
        snakemake.params.recipe,
        Path(snakemake.input.clips),
        {stage: [Path(path) for path in paths] for stage, paths in snakemake.params.stages.items()},
        by_stem(snakemake.input.predictions),
        by_stem(snakemake.input.oof),
        by_stem(snakemake.input.seeds),
        by_stem(snakemake.input.candidates),
        Path(snakemake.input.weights),
        snakemake.params.met_weights,
        {key: value for key, value in snakemake.config.items() if key != "job"},
        Path(snakemake.output[0]).parent,
    )
