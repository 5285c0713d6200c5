"""Differences between two models on the same clips, with confidence intervals and paired tests.

They are in the score that models are compared by: points of accuracy, points of macro AP, or CCC.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from emopipe.fusion.checks import BASELINES
from emopipe.report.options import BEST_IN_HINDSIGHT, BEST_MODALITY, BEST_SINGLE, Comparison
from emopipe.report.results import Results
from emopipe.scoring.intervals import Intervals
from emopipe.scoring.measures import Measure, primary
from emopipe.scoring.paired_tests import holm
from emopipe.scoring.primary import primary_detectable, primary_differences, primary_test

SIGNIFICANT = 0.05
"""Differences with a smaller corrected p are called higher or lower."""
COLUMNS = [
    "kind", "model", "against", "split", "difference", "low", "high", "uar_difference", "uar_low", "uar_high", "drawn",
    "groups", "interval", "p", "test", "p_holm", "detectable", "seeds_mean", "seeds_sd", "aim", "verdict",
]  # fmt: skip
PRODUCT = next(iter(BASELINES))
"""The baseline that fused models and ensembles are compared with: the fitted product of heads."""
PRIMARY, SECONDARY, HINDSIGHT = "primary", "", "in hindsight"
"""Kinds of comparisons: the declared one, the others, and those with a model that the reported split selected."""


def table(results: Results, requested: Sequence[Comparison]) -> pd.DataFrame:
    """Return one row for each comparison and split.

    Differences are in points, if the primary score is a share, else in its own unit. Those of UAR are empty unless an
    answer is one class.

    The rows are the requested comparisons, the primary one first, then the default ones that were not requested: each
    fused model against the best model of one modality, and each ensemble against the best single model, both selected
    out of fold; each fused model and ensemble against the product of heads; and each ensemble against the single model
    that is best in hindsight. The p of the primary comparison is not corrected; those of all others are, for each split
    by Holm's method.
    """
    rows = []
    for split in results.splits:
        best = {
            BEST_MODALITY: results.best_out_of_fold("face_", "audio_"),
            BEST_SINGLE: results.best_out_of_fold(""),
            BEST_IN_HINDSIGHT: results.best_in_hindsight(split),
        }
        asked = sorted(requested, key=lambda comparison: not comparison.primary)
        of_split = []
        for comparison in [*asked, *_default_comparisons(results, best, asked)]:
            named = comparison.model_copy(update={"against": best.get(comparison.against) or comparison.against})
            if named.model != named.against:
                of_split.append({"kind": _kind(comparison), **_row_or_reason(results, named, split)})
        rows += _judged(of_split, primary(results.space))
    return pd.DataFrame(rows, columns=COLUMNS)


def _default_comparisons(
    results: Results, best: dict[str, str | None], requested: Sequence[Comparison]
) -> list[Comparison]:
    pairs = [(name, BEST_MODALITY) for name in results.models if name.startswith("fused_") and best[BEST_MODALITY]]
    if PRODUCT in results.models:
        pairs += [(n, PRODUCT) for n, model in results.models.items() if n.startswith("fused_") or model.combines]
    ensembles = [name for name, model in results.models.items() if model.combines and best[BEST_SINGLE]]
    pairs += [(name, against) for against in (BEST_SINGLE, BEST_IN_HINDSIGHT) for name in ensembles]
    known = {(comparison.model, best.get(comparison.against) or comparison.against) for comparison in requested}
    made = []
    for name, against in pairs:
        other = best.get(against) or against
        if (name, other) not in known:
            known.add((name, other))
            made.append(Comparison(model=name, against=against))
    return made


def _kind(comparison: Comparison) -> str:
    in_hindsight = HINDSIGHT if comparison.against == BEST_IN_HINDSIGHT else SECONDARY
    return PRIMARY if comparison.primary else in_hindsight


def _row_or_reason(results: Results, comparison: Comparison, split: str) -> dict[str, object]:
    missing = [name for name in (comparison.model, comparison.against) if name not in results.models]
    if not missing:
        return _row(results, comparison, split)
    names = {"model": comparison.model, "against": comparison.against, "split": split, "aim": comparison.aim}
    return {**names, "p": np.nan, "verdict": f"not run: {', '.join(missing)} (see the table of results)"}


def _row(results: Results, comparison: Comparison, split: str) -> dict[str, object]:
    # 1. The differences on all clips, with intervals over groups, and the test.
    first, second = results.models[comparison.model], results.models[comparison.against]
    space, points, (groups, drawn) = results.space, primary(results.space).points, results.groups(split)
    part, other = first.on(split), second.on(split)
    found = primary_differences(part, other, space, groups)
    p, test = primary_test(part, other, space, groups, drawn)
    # 2. The differences between equal seeds.
    by_seed, other_by_seed = first.score_by_seed(split), second.score_by_seed(split)
    differences = [by_seed[seed] - other_by_seed[seed] for seed in by_seed if seed in other_by_seed]
    return {
        "model": comparison.model,
        "against": comparison.against,
        "split": split,
        "difference": points * found.value[0],
        "low": points * found.low[0],
        "high": points * found.high[0],
        **(_of_uar(found) if space.has_one_class else {}),
        "drawn": drawn,
        "groups": found.groups,
        "interval": found.method,
        "p": p,
        "test": test,
        "detectable": points * primary_detectable(part, other, space, groups, drawn, found),
        "seeds_mean": points * np.mean(differences) if differences else np.nan,
        "seeds_sd": points * np.std(differences, ddof=1) if len(differences) > 1 else np.nan,
        "aim": comparison.aim,
    }


def _of_uar(found: Intervals) -> dict[str, float]:
    return {
        "uar_difference": 100 * found.value[1],
        "uar_low": 100 * found.low[1],
        "uar_high": 100 * found.high[1],
    }


def _judged(rows: list[dict[str, object]], measure: Measure) -> list[dict[str, object]]:
    """Return the rows of a split with corrected p values and verdicts."""
    corrected = holm([np.nan if row["kind"] == PRIMARY else row["p"] for row in rows])
    judged = []
    for row, p_holm in zip(rows, corrected, strict=True):
        p_holm = row["p"] if row["kind"] == PRIMARY else p_holm
        judged.append({"verdict": _verdict(row, p_holm, measure), **row, "p_holm": p_holm})
    return judged


def _verdict(row: dict[str, object], p: float, measure: Measure) -> str:
    """Return in words whether the models differ, and whether the aim is met."""
    if "difference" not in row:
        return ""
    verdict = "not shown to differ" if not p < SIGNIFICANT else "higher" if row["difference"] > 0 else "lower"
    aim = row["aim"]
    if aim is None:
        return verdict
    wanted = f"{aim:+.1f} points" if measure.is_share else f"{aim:+.2f}"
    if row["low"] >= aim:
        return f"{verdict}; the aim of {wanted} is met"
    reached = ", though the difference itself reaches it" if row["difference"] >= aim else ""
    return f"{verdict}; the aim of {wanted} is not shown to be met{reached}"
