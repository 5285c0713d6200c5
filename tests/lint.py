"""`python -m tests.lint`: Snakemake's own linter, without the one lint that this project does not follow."""

from snakemake.cli import main
from snakemake.linting.rules import RuleLinter

if __name__ == "__main__":
    # "Specify a conda environment or container for each rule". All rules run in the environment that runs Snakemake
    # (constraints.txt, or the Dockerfile's image). An environment for each rule would have to be solved and tested.
    del RuleLinter.lint_missing_software_definition
    main(["--lint"])
