"""Runs the smoke config on a Slurm cluster and on this machine: `one_node.sh python -m tests.slurm`.

One job is cancelled while it runs, so that Snakemake has to submit it again.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd

from tests.slurm.records import Asked, Job, asked_for, slurm_jobs
from tests.slurm.results import same_results

REPOSITORY = Path(__file__).parents[2]
ON_SLURM = ("--workflow-profile", "profiles/slurm", "--slurm-status-command", "squeue")
QUICKLY = ("--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "10")
# As many as a job on the node sees: with another number of threads, training rounds otherwise.
HERE = ("--workflow-profile", "profiles/default", "--cores", str(len(os.sched_getaffinity(0))))
GPU_RULES = {"faces", "pretrain", "features", "fusion"}
CANCELLED_RULE = "faces"


class Run:
    """A run of the smoke config in a folder of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        folder.mkdir()
        self._log = folder / "output.log"
        command = [sys.executable, "-m", "snakemake", "--configfile", "configs/smoke.yaml", "--directory", folder]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, *arguments],
                cwd=REPOSITORY,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"EMOPIPE_DEBUG": "1"},  # what Snakemake says of jobs is read
            )

    def finish(self) -> str:
        """What Snakemake printed; exits where it failed."""
        code, output = self.process.wait(), self._log.read_text()
        if code:
            sys.exit(f"{output[-6000:]}\nSnakemake ended with {code}.")
        return output


def cancel_first(rule: str, run: Run) -> str:
    """Cancel a rule's first job as soon as it runs; Slurm's id of it."""
    while run.process.poll() is None:
        command = ["squeue", "--noheader", "--states=RUNNING", "--format=%i %k"]
        queue = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for number, comment in (line.split() for line in queue.splitlines()):
            if comment.startswith(f"rule_{rule}_"):
                subprocess.run(["scancel", number], check=True)
                return number
        time.sleep(0.2)
    sys.exit(f"{run.finish()}\nNo job of {rule} was seen running.")


def check_jobs(jobs: dict[str, Job], asked: dict[str, Asked], cancelled: str) -> None:
    """Slurm ran what Snakemake submitted, each job with what its rule asks for."""
    assert set(jobs) == set(asked), f"Slurm has the jobs {sorted(jobs)}, Snakemake submitted {sorted(asked)}"
    for number, job in jobs.items():
        assert (job.rule, job.resources) == (asked[number].rule, asked[number].resources), (job, asked[number])
        assert job.resources.gpus == (job.rule in GPU_RULES), job
        assert job.state == ("CANCELLED" if number == cancelled else "COMPLETED"), job
    first = jobs[cancelled]
    second = [job for number, job in jobs.items() if job.comment == first.comment and number != cancelled]
    assert len(second) == 1, second
    for name in ("megabytes", "minutes"):
        assert getattr(second[0].resources, name) == 2 * getattr(first.resources, name), (first, second)


def table(jobs: dict[str, Job], asked: dict[str, Asked], folder: Path) -> str:
    """Markdown: what the jobs of each rule asked Slurm for, and the most that one used."""
    rows = []
    for number, job in jobs.items():
        used = pd.read_csv(folder / asked[number].benchmark, sep="\t").iloc[0]
        rows.append({"rule": job.rule, **vars(job.resources), "peak": used["max_rss"], "seconds": used["s"]})
    by_rule = pd.DataFrame(rows).groupby("rule", sort=False)
    lines = ["| rule | jobs | GPUs | CPUs | memory, MB | peak, MB | limit, min | took, s |", "|---|" + "---:|" * 7]
    for rule, of_rule in by_rule:
        several = [" and ".join(map(str, sorted(set(of_rule[n])))) for n in ("gpus", "cpus", "megabytes", "minutes")]
        peak, seconds = pd.to_numeric(of_rule["peak"], errors="coerce").max(), of_rule["seconds"].max()
        cells = [rule, len(of_rule), *several[:3], f"{peak:.0f}", several[3], f"{seconds:.0f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    """Both runs, and what has to hold."""
    with tempfile.TemporaryDirectory() as folder:
        on_slurm = Run(Path(folder, "slurm"), *ON_SLURM, *QUICKLY)
        cancelled = cancel_first(CANCELLED_RULE, on_slurm)
        asked = asked_for(on_slurm.finish())
        jobs = slurm_jobs()
        check_jobs(jobs, asked, cancelled)
        here = Run(Path(folder, "here"), *HERE)
        here.finish()
        completed = Counter(job.rule for job in jobs.values() if job.state == "COMPLETED")
        print(table(jobs, asked, on_slurm.folder))
        files = same_results(on_slurm.folder, here.folder, "smoke", "smoke")
    print(f"\n{completed.total()} jobs ran on Slurm; one was cancelled and ran again with twice the memory and time.")
    print(f"{files} files of results are as a run on this machine makes them.\nok")


if __name__ == "__main__":
    main()
