"""Train one model and predict."""

from pathlib import Path

from emopipe.stages import fusion
from emopipe.workflow.job import by_stem, job_log

with job_log(snakemake.log[0]):
    # Features are told apart by their backbones and views, whose names their files bear.
    fusion.run(
        snakemake.params.recipe,
        Path(snakemake.input.clips),
        by_stem(snakemake.input.features),
        {name: Path(path) for name, path in snakemake.output.items()},
        device=snakemake.config["job"]["device"],
        threads=snakemake.threads,
        preserve=True,
    )
