"""Train one model and predict."""

from pathlib import Path

from emopipe.workflow.job import by_stem, job_log

with job_log(snakemake.log[0]):
    from emopipe.stages import fusion

    # The names of the files of features are those of their backbones and views.
    fusion.run(
        snakemake.params.recipe,
        Path(snakemake.input.clips),
        by_stem(snakemake.input.features),
        {name: Path(path) for name, path in snakemake.output.items()},
        device=snakemake.config["job"]["device"],
        threads=snakemake.threads,
        preserve=True,
    )
