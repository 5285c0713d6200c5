#!/usr/bin/env python3
"""Measure how often 95 % intervals of macro AP and CCC contain the true value, and how often tests err; prints a table.

    python benchmarks/interval_coverage_kinds.py [--subjects 6,20] [--trials 1000]

Simulated are two models that are equally good, on the same clips: 12 clips a subject. Models answer higher or lower for
all clips of a subject by an amount of its own, half of which both models share. Of several classes, there are two,
which 50 % and 20 % of the clips show. Of dimensions, there are two. The true value is that of 5000 subjects. A test
errs if it calls the models different at 5 %.
"""

from typing import Annotated

import numpy as np
import pandas as pd
import typer

from emopipe.core.labels import LabelSpace
from emopipe.scoring import predictions
from emopipe.scoring.primary import primary_differences, primary_intervals, primary_test, primary_value

CLIPS, OWN = 12, 0.6
SPACES = (LabelSpace(("a", "b"), "multi"), LabelSpace(("valence", "arousal"), "dimensions"))
COLUMNS = ("score", "difference", "test errs")


def main(
    subjects: Annotated[str, typer.Option(help="Numbers of subjects.")] = "5,6,8,10,15,19,20,30,50",
    trials: Annotated[int, typer.Option(help="Number of simulated corpora for a row.")] = 1000,
) -> None:
    """Print how often intervals contain the true value, and how often tests err, in percent."""
    print(f"{'kind':>10} {'G':>3} " + " ".join(f"{name:>10}" for name in COLUMNS))
    for space in SPACES:
        truth = primary_value(simulated(np.random.default_rng(0), space, 5_000)[0], space)
        for n in map(int, subjects.split(",")):
            rng = np.random.default_rng([n, len(space.kind)])
            share = np.mean([_hits(rng, space, n, truth) for _ in range(trials)], axis=0)
            print(f"{space.kind:>10} {n:>3} " + " ".join(f"{100 * value:>10.1f}" for value in share), flush=True)


def _hits(rng: np.random.Generator, space: LabelSpace, n: int, truth: float) -> list[bool]:
    """Return whether the intervals of a corpus with n subjects contain the true values, and whether the test errs."""
    first, second, groups = simulated(rng, space, n)
    score, difference = primary_intervals(first, space, groups), primary_differences(first, second, space, groups)
    p, _ = primary_test(first, second, space, groups, "subject")
    return [score.low[0] <= truth <= score.high[0], difference.low[0] <= 0 <= difference.high[0], p < 0.05]


def simulated(rng: np.random.Generator, space: LabelSpace, n: int) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Return the predictions of two models for n subjects, and the subject of each clip."""
    groups = np.repeat(np.arange(n), CLIPS)
    common, *own = rng.normal(size=(3, n, 2))
    targets = rng.normal(size=(len(groups), 2)) * 0.4
    if space.kind == "multi":
        targets = (rng.random((len(groups), 2)) < [0.5, 0.2]).astype(float)
    clips = pd.DataFrame({"clip": np.arange(len(groups)).astype(str), "split": "val"})
    clips["label"] = [space.label(row) for row in targets]
    tables = []
    for each in own:
        of_subject = OWN * np.sqrt(0.5) * (common + each)[groups]
        if space.kind == "multi":
            values = 1 / (1 + np.exp(-(2 * (targets - 0.5) + of_subject + rng.normal(size=targets.shape))))
        else:
            values = 0.7 * targets + 0.3 * of_subject + 0.3 * rng.normal(size=targets.shape)
        tables.append(predictions.table(clips, values, np.ones(len(groups), bool), space))
    return *tables, groups


if __name__ == "__main__":
    typer.run(main)
