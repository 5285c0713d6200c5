"""What a reader must know before the numbers: clips, people, the split, what is in-sample, chance, and the headline."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from emopipe.core.text import abbreviate
from emopipe.fusion.protocol import KFOLD
from emopipe.report import transductive
from emopipe.report.comparisons import PRIMARY
from emopipe.report.results import Results
from emopipe.report.summary import baselines
from emopipe.scoring.intervals import FEWEST_GROUPS

FEW_CLIPS = 30
"""A split with fewer clips is called small: one clip is more than 3 points."""


def sentences(table: pd.DataFrame, results: Results, compared: pd.DataFrame, recipe: Mapping[str, Any]) -> list[str]:
    """Return the sentences, the headline last.

    Args:
        table: The clip table.
        results: The models of the run.
        compared: The table of comparisons.
        recipe: `Plan.report`.
    """
    return [
        *_clips(table),
        *_people(table, recipe),
        *_groups(results),
        *_in_sample(recipe),
        *transductive.sentences(recipe),
        *_chance(table, results),
        *_headline(results, compared),
    ]


def _clips(table: pd.DataFrame) -> list[str]:
    parts, warnings = [], []
    for split in [name for name in ("train", "val", "test") if (table["split"] == name).any()]:
        rows = table[table["split"] == split]
        labelled = rows[rows["label"] != ""]
        n_classes = labelled["label"].nunique()
        unlabelled = "" if len(labelled) == len(rows) else f", {len(rows) - len(labelled)} without a label"
        parts.append(f"{split} {len(rows)} ({n_classes} classes{unlabelled})")
        if split != "train" and 0 < len(labelled) < FEW_CLIPS:
            warnings.append(
                f"{split} has only {len(labelled)} labelled clips: one clip is {100 / len(labelled):.0f} points of "
                "accuracy."
            )
    return [f"Clips: {', '.join(parts)}.", *warnings]


def _people(table: pd.DataFrame, recipe: Mapping[str, Any]) -> list[str]:
    made = [recipe["split_rule"]] if recipe.get("split_rule") else ["The splits are those of the corpus."]
    known = table[table["subject"] != ""]
    if known.empty:
        return [*made, "The people in the clips are not known: the same person may be in several splits."]
    people = known["subject"].nunique()
    unknown = "" if len(known) == len(table) else f"; {len(table) - len(known)} clips have no known person"
    splits_of = known.groupby("subject")["split"].nunique()
    shared = sorted(splits_of[splits_of > 1].index)
    several = (
        f"{len(shared)} of {people} people are in several splits ({abbreviate(shared)}): scores are of people that the "
        f"models have seen{unknown}."
    )
    apart = f"{people} people, each in one split{unknown}."
    return [*made, several if shared else apart]


def _groups(results: Results) -> list[str]:
    made = []
    for split in results.splits:
        groups, drawn = results.groups(split)
        n = len(set(groups))
        if drawn == "subject" and n < FEWEST_GROUPS:
            made.append(
                f"{split} has {n} {'person' if n == 1 else 'people'}: too few for an interval, so nothing can be said "
                "of other people."
            )
        else:
            unit = "people" if drawn == "subject" else "clips, as if they were independent"
            made.append(f"Intervals and tests of {split} are over G = {n} {unit}.")
    return made


def _in_sample(recipe: Mapping[str, Any]) -> list[str]:
    made = []
    if recipe["selected_on_val"]:
        names = ", ".join(recipe["selected_on_val"])
        made.append(f"Selected on val, so their scores on val are in-sample and optimistic: {names}.")
    if recipe["learned_here"] and recipe["protocol"]["kind"] == KFOLD:
        made.append(
            f"The backbones {', '.join(recipe['learned_here'])} were also trained on clips of the reported fold, so "
            "the scores of their models are in-sample."
        )
    return made


def _chance(table: pd.DataFrame, results: Results) -> list[str]:
    made = []
    for split in results.splits:
        labels = next(iter(results.models.values())).on(split)["label"]
        (_, (chance, _)), (majority, (share, _)) = baselines(labels).items()
        name = majority.partition("(")[2].rstrip(")")
        made.append(f"On {split}, a guess is right on {chance:.1%}, and always answering {name} on {share:.1%}.")
    return made


def _headline(results: Results, compared: pd.DataFrame) -> list[str]:
    if compared.empty:
        return []
    split = "val" if "val" in results.splits else results.splits[0]
    rows = compared[(compared["split"] == split) & compared["difference"].notna()]
    chosen = _chosen(rows)
    if chosen is None:
        return []
    by = f"{chosen.difference:+.1f} points on {split}"
    if not pd.isna(chosen.low):
        by += f", 95 % interval {chosen.low:+.1f} to {chosen.high:+.1f}"
    shown = {
        "higher": f"{chosen.model} is better than {chosen.against}",
        "lower": f"{chosen.model} is worse than {chosen.against}",
    }.get(str(chosen.verdict).partition(";")[0], f"{chosen.model} is not shown to differ from {chosen.against}")
    return [f"In short: {shown} ({by})."]


def _chosen(rows: pd.DataFrame) -> Any | None:
    """Return the comparison that stands for the run: the primary one, else the ensemble's, else the first."""
    for wanted in (rows[rows["kind"] == PRIMARY], rows[rows["model"] == "ensemble"], rows):
        if len(wanted):
            return next(wanted.itertuples())
    return None


def markdown(lines: Sequence[str]) -> str:
    """Return the sentences as a Markdown section."""
    return "\n".join(["## Read this first", "", *(f"- {line}" for line in lines), ""])
