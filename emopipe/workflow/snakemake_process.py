"""Snakemake, as `emopipe run` and `emopipe resume` start it: `python -m emopipe.workflow.snakemake_process OPTIONS`.

Snakemake handles Ctrl-C once it has read the Snakefile. Before that, during seconds of imports, it would end in a
traceback.
"""

import sys

from emopipe.core.log import INTERRUPTED

if __name__ == "__main__":
    try:
        from snakemake.cli import main

        main()
    except KeyboardInterrupt:
        sys.stderr.write(f"{INTERRUPTED}\n")
        raise SystemExit(130) from None
