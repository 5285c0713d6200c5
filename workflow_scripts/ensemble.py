"""Average the members' probabilities."""

from pathlib import Path

from emopipe.progress import job_log
from emopipe.stages import ensemble

with job_log(snakemake.log[0]):
    ensemble.run([Path(path) for path in snakemake.input], Path(snakemake.output[0]))
