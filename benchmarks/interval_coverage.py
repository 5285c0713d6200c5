"""How often the 95 % intervals of reports contain the true accuracy, by number of subjects; prints a table.

    python benchmarks/interval_coverage.py

Simulated: accuracy 0.6, 20 clips a subject, subjects whose own accuracies vary (beta distribution) such that two clips
of a subject correlate by 0.05 or 0.2. The last column is the plain percentile bootstrap over clips, which ignores
subjects.
"""

import numpy as np

from emopipe.scoring.intervals import FEWEST_GROUPS, intervals

ACCURACY, CLIPS = 0.6, 20
SUBJECTS = (5, 6, 8, 10, 15, 19, 20, 25, 30, 50)
CORRELATIONS = (0.05, 0.2)
TRIALS = 2000


def accuracy(summed: np.ndarray) -> np.ndarray:
    """Return the accuracy (..., 1) of correct and all clips (..., 2)."""
    return summed[..., :1] / summed[..., 1:]


def covers(correct: np.ndarray, groups: np.ndarray) -> bool:
    """Return whether the interval of correct clips (N,) contains the true accuracy."""
    counts = np.stack([correct, np.ones(len(correct))], axis=1)
    found = intervals(counts, groups, accuracy)
    return bool(found.low[0] <= ACCURACY <= found.high[0])


def main() -> None:
    """Print the coverage in percent."""
    print(f"Accuracy {ACCURACY}, {CLIPS} clips a subject, {TRIALS} trials; at least {FEWEST_GROUPS} subjects")
    print(f"{'correlation':>11} {'subjects':>8} {'coverage %':>10} {'by clip %':>9}")
    rng = np.random.default_rng(0)
    for correlation in CORRELATIONS:
        spread = 1 / correlation - 1  # of the beta distribution: a + b
        for n in SUBJECTS:
            groups = np.repeat(np.arange(n), CLIPS)
            hits = np.zeros(2)
            for _ in range(TRIALS):
                own = rng.beta(ACCURACY * spread, (1 - ACCURACY) * spread, size=n)
                correct = rng.random(n * CLIPS) < np.repeat(own, CLIPS)
                hits += covers(correct, groups), covers(correct, np.arange(n * CLIPS))
            by_subject, by_clip = 100 * hits / TRIALS
            print(f"{correlation:>11} {n:>8} {by_subject:>10.1f} {by_clip:>9.1f}", flush=True)


if __name__ == "__main__":
    main()
