"""`python -m tests.faults [--short]`: inject faults and print what became of each."""

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tests.faults import breakages, kills
from tests.faults.runs import Killable, Outcome, finished
from tests.workflow.test_chain_runs import draw_stills

SHORT: list[tuple[str, kills.Victim]] = [
    ("decode", "job"),
    ("faces", "snakemake"),
    ("features face", "group"),
    ("pretrain audio", "job"),
    ("pretrain face", "snakemake"),
    ("fusion", "group"),
]
VICTIMS: tuple[kills.Victim, ...] = ("job", "snakemake", "group")
THOROUGHLY = ("decode", "features face", "chain", "pretrain face", "fusion")
LONG = [(name, victim) for name in kills.STAGES for victim in (VICTIMS if name in THOROUGHLY else VICTIMS[-1:])]
AT_ONCE = 2
"""Runs that go on at the same time: most of each is spent on one processor, as programs start."""


def outcomes(whole: Killable, *, short: bool, seed: int) -> Iterator[Outcome]:
    """What became of each fault, in their order."""
    faults = [partial(_killed, whole, *where, seed) for where in (SHORT if short else LONG)]
    faults += [partial(fault, whole) for fault in (breakages.SHORT if short else breakages.ALL)]
    if not short:
        faults.insert(0, partial(kills.killed_again_and_again, whole, random.Random(seed), times=6))
    with ThreadPoolExecutor(1 if short else AT_ONCE) as pool:
        yield from pool.map(lambda fault: fault(), faults)


def _killed(whole: Killable, name: str, victim: kills.Victim, seed: int) -> Outcome:
    return kills.killed(whole, name, victim, random.Random(f"{name} {victim} {seed}"))


def main(
    short: Annotated[bool, typer.Option("--short", help="A few of the faults.")] = False,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
) -> None:
    """Inject faults into real runs; fails where one is not survived."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="emopipe-faults-") as folder:
        whole = finished(Path(folder), draw_stills)
        print(f"The undisturbed run: {time.monotonic() - begun:.0f} s.\n", flush=True)
        print("| injected | survived | clips lost | clips computed twice | note |\n|---|---|---|---|---|", flush=True)
        bad = 0
        for outcome in outcomes(whole, short=short, seed=seed):
            survived = "skipped" if outcome.note.startswith("skipped") else "yes" if outcome.survived else "NO"
            cells = (outcome.injected, survived, outcome.lost, outcome.twice, outcome.note)
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
            bad += not outcome.survived or outcome.lost > 0
    print(f"\n{time.monotonic() - begun:.0f} s in all.")
    sys.exit(bool(bad))


if __name__ == "__main__":
    typer.run(main)
