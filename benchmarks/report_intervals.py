#!/usr/bin/env python3
"""Measure the time of the report's bootstrap intervals for many clips.

The report has two intervals a model: of its accuracy, and of its difference to another model. Each is computed by
emopipe, and by a plain bootstrap that draws all groups of each sample one by one. Both run on the same machine, so
their ratio is the result.

    python benchmarks/report_intervals.py [--clips 100000] [--subjects 1000]
"""

import time
from typing import Annotated

import numpy as np
import typer

from emopipe.scoring.intervals import RESAMPLES, intervals


def main(
    clips: Annotated[int, typer.Option(help="Number of clips.")] = 100_000,
    subjects: Annotated[int, typer.Option(help="Number of subjects.")] = 1000,
) -> None:
    """Print a row for each interval: CPU seconds of both, and the bounds of both in points of accuracy."""
    rng = np.random.default_rng(0)
    correct, other = rng.random(clips) < 0.6, rng.random(clips) < 0.58
    drawn = {"clip": np.arange(clips).astype(str), "subject": rng.integers(subjects, size=clips).astype(str)}
    values = {"accuracy": correct.astype(float), "difference": correct.astype(float) - other}
    print("interval    drawn     plain s  emopipe s   ratio  plain             emopipe")
    for name, value in values.items():
        for unit, groups in drawn.items():
            plain, plain_seconds = timed(plain_interval, value, groups)
            ours, seconds = timed(own_interval, value, groups)
            bounds = [f"[{100 * low:.2f}, {100 * high:.2f}]" for low, high in (plain, ours)]
            print(
                f"{name:12}{unit:8}{plain_seconds:9.2f}{seconds:11.3f}{plain_seconds / seconds:8.0f}  "
                f"{bounds[0]:18}{bounds[1]}",
                flush=True,
            )


def own_interval(values: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Return the interval of a mean that emopipe computes."""
    counts = np.stack([values, np.ones(len(values))], axis=1)
    found = intervals(counts, groups, lambda summed: summed[..., :1] / summed[..., 1:], lowest=-1.0)
    return float(found.low[0]), float(found.high[0])


def plain_interval(values: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of a mean, from samples that are drawn group by group."""
    _, group = np.unique(groups, return_inverse=True)
    count = group.max() + 1
    size, total = np.bincount(group), np.bincount(group, weights=values)
    rng, means = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        drawn = np.bincount(rng.integers(count, size=count), minlength=count)
        means.append(drawn @ total / (drawn @ size))
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def timed(compute, values: np.ndarray, groups: np.ndarray) -> tuple[tuple[float, float], float]:
    """Return what `compute` returns, and the CPU seconds that it took."""
    begin = time.process_time()
    found = compute(values, groups)
    return found, time.process_time() - begin


if __name__ == "__main__":
    typer.run(main)
