"""Differences in accuracy between two models on the same clips, with confidence intervals."""

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


def table(results: Results, requested: Sequence[Comparison]) -> pd.DataFrame:
    """Return one row for each comparison and split; differences are in points of accuracy.

    The rows are the requested comparisons, then the default ones that were not requested: each fused model against the
    best model of one modality, and each ensemble against the best single model.
    """
    rows = []
    for split in results.splits:
        best = {BEST_MODALITY: results.best(split, "face_", "audio_"), BEST_SINGLE: results.best(split, "")}
        pairs = [
            comparison.model_copy(update={"against": best.get(comparison.against) or comparison.against})
            for comparison in requested
        ]
        for comparison in [*pairs, *_default_comparisons(results, best, pairs)]:
            missing = [name for name in (comparison.model, comparison.against) if name not in results.models]
            if missing:
                verdict = f"not run: {', '.join(missing)} (see the table of results)"
                rows.append({**comparison.model_dump(), "split": split, "verdict": verdict})
            else:
                rows.append(_row(results, comparison, split))
    return pd.DataFrame(rows, columns=COLUMNS)


def _default_comparisons(
    results: Results, best: dict[str, str | None], requested: Sequence[Comparison]
) -> list[Comparison]:
    modality, single = best[BEST_MODALITY], best[BEST_SINGLE]
    pairs = [(name, modality) for name in results.models if name.startswith("fused_") and modality]
    pairs += [(name, single) for name, model in results.models.items() if model.combines and single]
    known = {(comparison.model, comparison.against) for comparison in requested}
    return [Comparison(model=name, against=other) for name, other in pairs if (name, other) not in known]


def _row(results: Results, comparison: Comparison, split: str) -> dict[str, object]:
    # 1. The difference on all clips, with a bootstrap interval.
    first, second = results.models[comparison.model], results.models[comparison.against]
    correct, other = first.correct(split), second.correct(split)
    groups, drawn = results.groups(split)
    low, high = statistics.interval(correct.astype(float) - other, groups)
    difference = correct.mean() - other.mean()
    # 2. The differences between equal seeds.
    by_seed, other_by_seed = first.accuracy_by_seed(split), second.accuracy_by_seed(split)
    differences = [by_seed[seed] - other_by_seed[seed] for seed in by_seed if seed in other_by_seed]
    # 3. The verdict in words.
    verdict = "higher" if low > 0 else "lower" if high < 0 else "not significant: the interval contains zero"
    if comparison.aim is not None:
        is_met = 100 * difference >= comparison.aim
        verdict += f"; the aim of {comparison.aim:+.1f} points is {'met' if is_met else 'missed'}"
    return {
        "model": comparison.model,
        "against": comparison.against,
        "split": split,
        "difference": 100 * difference,
        "low": 100 * low,
        "high": 100 * high,
        "drawn": drawn,
        "mcnemar_p": statistics.mcnemar(correct, other),
        "seeds_mean": 100 * np.mean(differences) if differences else np.nan,
        "seeds_sd": 100 * np.std(differences, ddof=1) if len(differences) > 1 else np.nan,
        "aim": comparison.aim,
        "verdict": verdict,
    }
