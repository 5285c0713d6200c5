#!/usr/bin/env python3
"""Measure how often the 95 % intervals of reports contain the true value, by number of subjects; prints a table.

    python benchmarks/interval_coverage.py [--correlation 0.2] [--subjects 20,25] [--trials 2000]

Simulated are two models of accuracy 0.6 on the same clips: 20 clips a subject, of seven classes that are equally
frequent. Subjects have accuracies of their own (beta distribution), such that two clips of a subject correlate by 0.05
or 0.2. Both models share half of that: what makes one subject hard makes it hard for both. A wrong answer is any other
class. Then accuracy, UAR and macro F1 are 0.6 in the population, and all differences are 0.
"""

from typing import Annotated

import numpy as np
import typer

from emopipe.core.labels import CLASSES
from emopipe.scoring.intervals import Intervals
from emopipe.scoring.scores import difference_intervals, score_intervals

ACCURACY, CLIPS = 0.6, 20
COLUMNS = ("accuracy", "UAR", "macro F1", "difference", "of UAR", "of F1")


def main(
    correlation: Annotated[str, typer.Option(help="Correlations of two clips of a subject.")] = "0.05,0.2",
    subjects: Annotated[str, typer.Option(help="Numbers of subjects.")] = "5,6,8,10,15,19,20,25,30,50",
    trials: Annotated[int, typer.Option(help="Number of simulated corpora for a row.")] = 2000,
) -> None:
    """Print the coverage in percent."""
    print(f"{'correlation':>11} {'G':>3} " + " ".join(f"{name:>10}" for name in COLUMNS))
    for rho in map(float, correlation.split(",")):
        for n in map(int, subjects.split(",")):
            rng = np.random.default_rng([round(1000 * rho), n])
            share = np.mean([_hits(rng, rho, n) for _ in range(trials)], axis=0)
            print(f"{rho:>11} {n:>3} " + " ".join(f"{100 * value:>10.1f}" for value in share), flush=True)


def _hits(rng: np.random.Generator, rho: float, n: int) -> list[bool]:
    """Return which intervals of a simulated corpus with n subjects contain the true value, in the order of COLUMNS."""
    groups = np.repeat(np.arange(n), CLIPS)
    label = rng.integers(len(CLASSES), size=n * CLIPS)
    first, second = (_answers(rng, label, own) for own in _accuracies(rng, rho, n))
    names = np.array(CLASSES)
    of_scores = score_intervals(names[label], names[first], groups)
    of_differences = difference_intervals(names[label], names[first], names[second], groups)
    return [*_contain(of_scores, ACCURACY), *_contain(of_differences, 0)]


def _accuracies(rng: np.random.Generator, rho: float, n: int) -> np.ndarray:
    """Return the accuracies (2, n) of two models for each subject."""
    spread = 1 / rho - 1  # of the beta distribution: a + b
    common, *own = rng.beta(ACCURACY * spread, (1 - ACCURACY) * spread, size=(3, n))
    shared = rng.random((2, n)) < np.sqrt(0.5)  # a pair of accuracies is then equal for half of the subjects
    return np.where(shared, common, own)


def _answers(rng: np.random.Generator, label: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return answers (N,) to clips with these labels (N,), correct with the accuracy of their subject (n,)."""
    wrong = (label + rng.integers(1, len(CLASSES), size=len(label))) % len(CLASSES)
    return np.where(rng.random(len(label)) < np.repeat(own, CLIPS), label, wrong)


def _contain(found: Intervals, truth: float) -> list[bool]:
    return ((found.low <= truth) & (truth <= found.high)).tolist()


if __name__ == "__main__":
    typer.run(main)
