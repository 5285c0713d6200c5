"""The page of the run."""

from pathlib import Path

from emopipe.workflow.job import job_log

with job_log(snakemake.log[0]):
    from emopipe.stages import page

    stages, media, faces = (
        {name: [Path(path) for path in paths] for name, paths in part.items()}
        for part in (snakemake.params.stages, snakemake.params.media, snakemake.params.faces)
    )
    page.run(
        snakemake.params.recipe,
        Path(snakemake.output[0]).parent,
        Path(snakemake.input.clips),
        stages,
        media,
        faces,
        snakemake.params.presets,
        {name: Path(path) for name, path in snakemake.params.histories.items()},
        Path(snakemake.output[0]),
    )
