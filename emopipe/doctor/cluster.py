"""The cluster: Slurm's commands, and Snakemake's executor plug-in for it."""

import importlib.util
import shutil
from collections.abc import Callable, Iterator

from emopipe.doctor.check import Check

PLUGIN = "snakemake_executor_plugin_slurm"


def checks(
    which: Callable[[str], str | None] = shutil.which,
    find: Callable[[str], object | None] = importlib.util.find_spec,
) -> Iterator[Check]:
    """Yield one check for Slurm.

    Args:
        which: Returns the path of a command, None if it does not exist.
        find: Returns None if a module is not installed.
    """
    sbatch, squeue, plugin = which("sbatch"), which("squeue"), find(PLUGIN) is not None
    if not sbatch:
        found = "sbatch does not exist here, so jobs run on this machine alone."
        yield Check("cluster", "slurm", "ok", found)
        return
    if not squeue:
        todo = "Put squeue on the PATH: the status of jobs, and `emopipe resume`, need it."
        yield Check("cluster", "slurm", "warning", f"{sbatch} exists, but squeue does not.", todo)
    if not plugin:
        todo = "To submit jobs, `pip install snakemake-executor-plugin-slurm`."
        yield Check("cluster", "slurm", "warning", f"{sbatch} exists, but Snakemake's plug-in is not installed.", todo)
    if squeue and plugin:
        yield Check("cluster", "slurm", "ok", "sbatch, squeue and Snakemake's plug-in exist: --workflow-profile slurm.")
