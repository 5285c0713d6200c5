"""Differences between models on the same clips, with intervals: what a claim that one is better rests on."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from emopipe.report.options import BEST_MODALITY, BEST_SINGLE, Comparison
from emopipe.report.results import Results
from emopipe.scoring import statistics

COLUMNS = [
    "model", "against", "split", "difference", "low", "high", "drawn", "mcnemar_p", "seeds_mean", "seeds_sd", "aim",
    "verdict",
]  # fmt: skip


def table(results: Results, asked: Sequence[Comparison]) -> pd.DataFrame:
    """A row a comparison and split, in points of accuracy: those asked for, then, where they are not among them,
    fused models against the best single modality and ensembles against the best single model."""
    rows = []
    for split in results.splits:
        resolved = [_resolved(comparison, results, split) for comparison in asked]
        for comparison in [*resolved, *_usual(results, split, resolved)]:
            there = {comparison.model, comparison.against} <= set(results.models)
            rows.append(_row(results, comparison, split) if there else _not_run(comparison, split, results))
    return pd.DataFrame(rows, columns=COLUMNS)


def _resolved(comparison: Comparison, results: Results, split: str) -> Comparison:
    """With the model that is best on the split in place of BEST_MODALITY or BEST_SINGLE."""
    best = {BEST_MODALITY: results.best(split, "face_", "audio_"), BEST_SINGLE: results.best(split, "")}
    return comparison.model_copy(update={"against": best.get(comparison.against) or comparison.against})


def _usual(results: Results, split: str, asked: Sequence[Comparison]) -> list[Comparison]:
    modality, single = results.best(split, "face_", "audio_"), results.best(split, "")
    pairs = [(name, modality) for name in results.models if name.startswith("fused_") and modality]
    pairs += [(name, single) for name, model in results.models.items() if model.combines and single]
    known = {(comparison.model, comparison.against) for comparison in asked}
    return [Comparison(model=name, against=other) for name, other in pairs if (name, other) not in known]


def _row(results: Results, comparison: Comparison, split: str) -> dict[str, object]:
    first, second = results.models[comparison.model], results.models[comparison.against]
    right, other = first.right(split), second.right(split)
    groups, drawn = results.groups(split)
    low, high = statistics.interval(right.astype(float) - other, groups)
    by_seed, against = first.seeds_right(split), second.seeds_right(split)
    differences = [by_seed[seed] - against[seed] for seed in by_seed if seed in against]
    difference = right.mean() - other.mean()
    return {
        "model": comparison.model,
        "against": comparison.against,
        "split": split,
        "difference": 100 * difference,
        "low": 100 * low,
        "high": 100 * high,
        "drawn": drawn,
        "mcnemar_p": statistics.mcnemar(right, other),
        "seeds_mean": 100 * np.mean(differences) if differences else np.nan,
        "seeds_sd": 100 * np.std(differences, ddof=1) if len(differences) > 1 else np.nan,
        "aim": comparison.aim,
        "verdict": _verdict(100 * difference, low, high, comparison.aim),
    }


def _verdict(points: float, low: float, high: float, aim: float | None) -> str:
    words = "higher" if low > 0 else "lower" if high < 0 else "not told apart: the interval holds zero"
    if aim is None:
        return words
    return f"{words}; the aim of {aim:+.1f} points is {'met' if points >= aim else 'missed'}"


def _not_run(comparison: Comparison, split: str, results: Results) -> dict[str, object]:
    gone = [name for name in (comparison.model, comparison.against) if name not in results.models]
    return {
        "model": comparison.model,
        "against": comparison.against,
        "split": split,
        "aim": comparison.aim,
        "verdict": f"not run: {', '.join(gone)} (see the table of results)",
    }
