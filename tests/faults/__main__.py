"""`python -m tests.faults [--short]`: inject faults and print what became of each."""

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tests.faults import breakages, kills
from tests.faults.runs import Killable, Outcome, finished
from tests.workflow.test_chain_runs import draw_stills

SHORT: list[tuple[str, kills.Victim]] = [("decode", "job"), ("fusion", "group")]
VICTIMS: tuple[kills.Victim, ...] = ("job", "snakemake", "group")
THOROUGHLY = ("decode", "features face", "chain", "pretrain face", "fusion")
LONG = [(name, victim) for name in kills.STAGES for victim in (VICTIMS if name in THOROUGHLY else VICTIMS[-1:])]
AT_ONCE = 2
"""Runs that go on at the same time: most of each is spent on one processor, as programs start."""


def faults(*, short: bool, seed: int) -> list[Callable[[Killable], Outcome]]:
    """All faults, or a few: each is done to a finished run, and returns what became of it."""
    found = [partial(_killed, name, victim, seed) for name, victim in (SHORT if short else LONG)]
    found += breakages.SHORT if short else breakages.ALL
    if not short:
        found.insert(0, partial(kills.killed_again_and_again, rng=random.Random(seed), times=6))
    return found


def _killed(name: str, victim: kills.Victim, seed: int, whole: Killable) -> Outcome:
    return kills.killed(whole, name, victim, random.Random(f"{name} {victim} {seed}"))


def outcomes(whole: Killable, *, short: bool, seed: int) -> Iterator[Outcome]:
    """What became of each fault, in their order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(lambda fault: fault(whole), faults(short=short, seed=seed))


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
