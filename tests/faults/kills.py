"""SIGKILL to a job, to Snakemake, or to all of it, in every stage."""

import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import Literal

from tests.faults.runs import Killable, Outcome, alive_in, copy_without, differing, job_of, kill_group, wait_for

Victim = Literal["job", "snakemake", "group"]

ROWS = {"decode": "/media/", "faces": "/faces/", "features": "/features/"}
"""Stages that compute clip by clip, and what the folder of their parts has in its name."""


@dataclass(frozen=True)
class Stage:
    """A stage to kill in: what is taken from the finished run, and what to ask for and compare."""

    rule: str
    gone: tuple[str, ...]
    targets: tuple[str, ...]
    checkpoint: str = ""
    """A file whose appearance is the moment, where the stage has such."""


CACHE, RESULTS = "cache/small", "results/first"
SHARDS = ("00.h5", "01.h5")


def _stage(rule: str, *files: str, checkpoint: str = "", also: tuple[str, ...] = ()) -> Stage:
    return Stage(rule, (*files, *also), files, checkpoint)


def _shards(rule: str, folder: str, also: tuple[str, ...] = ()) -> Stage:
    return _stage(rule, *(f"{CACHE}/{folder}/{shard}" for shard in SHARDS), also=also)


def _pretrain(backbone: str) -> Stage:
    weights = f"{CACHE}/weights/{backbone}.safetensors"
    return _stage("pretrain", weights, checkpoint=f"{CACHE}/weights/.{backbone}.parts/[!.]*.pt")


GOES_ON = ("resumes after", "were trained before", "and is reused")
"""What training says that does not begin anew; the last, where its job outlived its Snakemake and came to its end."""
STAGES = {
    "corpus": _stage("corpus", f"{CACHE}/clips.csv", also=(f"{CACHE}/shards",)),
    "decode": _shards("decode", "media/few", also=(f"{CACHE}/media/few/*.status.h5",)),
    "faces": _shards("faces", "faces/main"),
    "chain": _stage(
        "chain",
        f"{CACHE}/weights/learned.step0.safetensors",
        checkpoint=f"{CACHE}/weights/*.work/*/checkpoint.pt",
    ),
    "pretrain face": _pretrain("learned"),
    "pretrain audio": _pretrain("voice"),
    "features face": _shards("features", "features/learned"),
    "features audio": _shards("features", "features/voice"),
    "merge": _stage("merge", f"{CACHE}/features/given.h5"),
    "fusion": _stage(
        "fusion",
        f"{RESULTS}/models/fused_two.safetensors",
        f"{RESULTS}/predictions/fused_two.csv",
        checkpoint=f"{RESULTS}/models/.fused_two.parts/[!.]*.safetensors",
    ),
    "ensemble": _stage("ensemble", f"{RESULTS}/models/ensembles.csv", f"{RESULTS}/predictions/ensemble.csv"),
    "report": _stage("report", f"{RESULTS}/metrics.csv", f"{RESULTS}/ledger.csv"),
}


def killed(whole: Killable, name: str, victim: Victim, rng: random.Random) -> Outcome:
    """Kill in a stage, resume, and compare with the undisturbed run."""
    stage = STAGES[name]
    run = copy_without(whole, f"{name} {victim}".replace(" ", "_"), *stage.gone)
    main = run.begin(*stage.targets)
    moment = _moment(run, main, stage, rng)
    if main.poll() is not None:
        return Outcome(f"SIGKILL of {victim} in {name}", False, 0, 0, "the run was over before it could be killed")
    note = _kill(run, main, stage.rule, victim)
    said = run.finish(*stage.targets)
    lost, wrong = differing(whole, run, stage.targets)
    again = run.flushed_again()
    if stage.checkpoint and not any(words in said for words in GOES_ON):
        wrong.append("training began anew")
    if again:
        wrong.append(f"{again} clips computed again though they had been flushed")
    fault = f"SIGKILL of {victim} in {name}, {moment}"
    return Outcome(fault, not wrong, lost, run.twice(), "; ".join([*filter(None, [note]), *wrong]))


def killed_again_and_again(whole: Killable, rng: random.Random, *, times: int) -> Outcome:
    """A run from nothing, killed whole at random moments, until it is let alone."""
    run = copy_without(whole, "again_and_again", "cache", "results", ".snakemake")
    seconds = []
    main = run.begin()
    for _ in range(times):
        seconds.append(round(rng.uniform(6, 20), 1))
        try:
            main.wait(seconds[-1])
            break
        except subprocess.TimeoutExpired:
            kill_group(main)
        main = run.begin(resume=True)
    if main.wait(300):
        return Outcome("SIGKILL of group, again and again", False, 0, 0, (run.work / "output.txt").read_text()[-300:])
    lost, wrong = differing(
        whole,
        run,
        ("cache/small/features/*.h5", "results/first/ledger.csv", "results/first/predictions/*.csv"),
    )
    if again := run.flushed_again():
        wrong.append(f"{again} clips computed again though they had been flushed")
    fault = f"SIGKILL of group from the first stage on, after {', '.join(map(str, seconds))} s each"
    return Outcome(fault, not wrong, lost, run.twice(), "; ".join(wrong))


def _moment(run: Killable, main: subprocess.Popen, stage: Stage, rng: random.Random) -> str:
    """Wait for a moment in the stage's job; what it was."""
    wait_for(lambda: job_of(main, stage.rule), main)
    if stage.rule in ROWS:
        clips = rng.randint(1, 6)
        wait_for(lambda: len(run.lines("computed", ROWS[stage.rule])) >= clips, main)
        return f"after {clips} clips"
    if stage.checkpoint:
        wait_for(lambda: any(run.work.glob(stage.checkpoint)), main)
        return "after a checkpoint"
    delay = rng.uniform(0, 1)
    time.sleep(delay)
    return f"{delay:.1f} s after its start"


def _kill(run: Killable, main: subprocess.Popen, rule: str, victim: Victim) -> str:
    """Kill; where jobs outlive their Snakemake, `resume` has to refuse until they are over."""
    if victim == "group":
        kill_group(main)
    elif victim == "job":
        job = job_of(main, rule)
        if job:
            job.send_signal(signal.SIGKILL)
        main.wait(300)
    else:
        os.kill(main.pid, signal.SIGKILL)
        main.wait()
        if alive_in(run.work):
            code, said = run.run(resume=True)
            if code != 1 or "still alive" not in said:
                raise AssertionError(f"resume did not refuse while jobs were alive:\n{said[-2000:]}")
            while alive_in(run.work):
                time.sleep(0.1)
            return "resume refused while a job was alive"
    return ""
