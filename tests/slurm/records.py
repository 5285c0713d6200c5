"""What Slurm remembers of its jobs, and what Snakemake said that it asked for."""

import re
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class Resources:
    """What a job asked for, and got."""

    gpus: int
    cpus: int
    megabytes: int
    minutes: int


@dataclass(frozen=True)
class Job:
    """A job in Slurm's list. `comment` tells its rule and wildcards."""

    rule: str
    comment: str
    state: str
    resources: Resources


@dataclass(frozen=True)
class Asked:
    """A job as Snakemake submitted it."""

    rule: str
    benchmark: str
    resources: Resources


def slurm_jobs() -> dict[str, Job]:
    """Slurm's id -> job, of all jobs since its start."""
    command = ["scontrol", "--details", "--oneliner", "show", "job"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    fields = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in text.splitlines()]
    return {of_job["JobId"]: _job(of_job) for of_job in fields if "JobId" in of_job}


def _job(fields: dict[str, str]) -> Job:
    resources = Resources(
        gpus=int(fields.get("JOB_GRES", "").removeprefix("gpu:").replace("(null)", "") or 0),
        cpus=int(fields["CPUs/Task"]),
        megabytes=_megabytes(fields["MinMemoryNode"]),
        minutes=_minutes(fields["TimeLimit"]),
    )
    rule = re.match(r"rule_([a-z]+)", fields["Comment"])
    return Job(rule[1], fields["Comment"], fields["JobState"], resources)


def _megabytes(text: str) -> int:
    """
    >>> _megabytes("4000M"), _megabytes("4G")
    (4000, 4096)
    """
    return round(float(text[:-1]) * {"M": 1, "G": 1024}[text[-1]])


def _minutes(text: str) -> int:
    """
    >>> _minutes("00:31:00"), _minutes("1-02:00:00")
    (31, 1560)
    """
    days, _, clock = text.rpartition("-")
    hours, minutes, _ = map(int, clock.split(":"))
    return (int(days or 0) * 24 + hours) * 60 + minutes


def asked_for(output: str) -> dict[str, Asked]:
    """Slurm's id -> what Snakemake printed of the job when it submitted it."""
    printed: dict[str, Asked] = {}  # Snakemake's own id -> its last attempt
    submitted = {}
    for rule, block, job, slurm in re.findall(
        r"^rule (\w+):\n((?: {4}.*\n)+)|^Job (\d+) has been submitted with SLURM jobid (\d+)", output, re.M
    ):
        if slurm:
            submitted[slurm] = printed[job]
        else:
            lines = dict(line.strip().split(": ", 1) for line in block.splitlines() if ": " in line)
            printed[lines["jobid"]] = _asked(rule, lines)
    return submitted


def _asked(rule: str, lines: dict[str, str]) -> Asked:
    said = dict(pair.split("=") for pair in lines["resources"].split(", "))
    resources = Resources(
        gpus=int(said.get("gpu", 0)),
        cpus=int(lines.get("threads", 1)),
        megabytes=int(said["mem_mb"]),
        minutes=int(said["runtime"]),
    )
    return Asked(rule, lines["benchmark"], resources)
