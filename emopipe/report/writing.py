"""The tables of a run as Markdown, with notes that explain how each number was computed."""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from emopipe.scoring.statistics import BINS, RESAMPLES

_MARKUP = re.compile(r"[\\|`<*]|\](?=\()")  # characters that have a meaning in Markdown
TITLES = {"results": "Results", "comparisons": "Differences between models", "ensembles": "Members of ensembles"}


def markdown(name: str, table: pd.DataFrame, recipe: Mapping[str, Any]) -> str:
    """Return a table as Markdown.

    Args:
        name: One of the tables in TITLES.
        table: The table as its CSV file holds it.
        recipe: `Plan.report`.
    """
    columns, notes = {
        "results": (_results, _results_notes),
        "comparisons": (_comparisons, _comparisons_notes),
        "ensembles": (_ensembles, _ensembles_notes),
    }[name]
    rows = columns(table)
    lines = [f"# {TITLES[name]}: run {recipe['run']}", ""]
    lines += ["| " + " | ".join(rows.columns) + " |", "|" + "---|" * len(rows.columns)] if len(rows) else ["Nothing."]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in rows.to_numpy()]
    paragraphs = "\n\n".join(notes(table, recipe))
    return "\n".join([*lines, "", paragraphs]) + "\n"


def _cell(text: str) -> str:
    """Escape a text, so that Markdown shows it as it is, in one cell: a name cannot become HTML, a link or code."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.splitlines()))


def _results(table: pd.DataFrame) -> pd.DataFrame:
    counts = zip(table["right"], table["n"], strict=True)
    made = pd.DataFrame(
        {
            "model": table["model"],
            "split": _text(table["split"]),
            "correct": [f"{correct:.0f}/{n:.0f}" if n > 0 else "" for correct, n in counts],
            "accuracy [95 %]": _with_interval(table, "accuracy", 100),
            "UAR": _percent(table["uar"]),
            "macro F1": _percent(table["macro_f1"]),
            "over seeds": _spread(table["seeds_mean"], table["seeds_sd"], 100),
            "coverage": _percent(table["coverage"]),
            "ECE": _percent(table["ece"]),
            "out of fold": _percent(table["oof_accuracy"]),
            "p against the best single model": _number(table["mcnemar_p"], "{:.3g}"),
            "selected on": _text(table["selected_on"]),
            "paper": _text(table["paper"]),
            "note": _text(table["note"]),
        },
        dtype=str,
    )
    return made.loc[
        :, [(made[column] != "").any() or column == "model" for column in made]
    ]  # empty columns are omitted


def _comparisons(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": table["model"],
            "against": table["against"],
            "split": table["split"],
            "points [95 %]": _with_interval(table, "difference", 1, "{:+.1f}"),
            "over seeds": _spread(table["seeds_mean"], table["seeds_sd"], 1, "{:+.1f}"),
            "McNemar p": _number(table["mcnemar_p"], "{:.3g}"),
            "verdict": table["verdict"],
        },
        dtype=str,
    )


def _ensembles(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "ensemble": table["ensemble"],
            "method": table["method"],
            "member": table["member"],
            "weight": _number(table["weight"], "{:.3f}"),
            "temperature": _number(table["temperature"], "{:.2f}"),
            "accuracy out of fold": _percent(table["oof_accuracy"]),
            "loss out of fold": _number(table["oof_loss"], "{:.3f}"),
        },
        dtype=str,
    )


def _results_notes(table: pd.DataFrame, recipe: Mapping[str, Any]) -> list[str]:
    kind, folds = recipe["protocol"]["kind"], recipe["protocol"]["folds"]
    notes = [
        "Accuracy, UAR (unweighted average recall) and macro F1 include all clips of the split, even those without any "
        "features. Coverage is the share of clips for which the model had features. Intervals are from a percentile "
        f"bootstrap with {RESAMPLES} samples, drawn by {_drawn(table)}. A model's probabilities are the mean over its "
        "seeds. The column over seeds has the mean and standard deviation of single seeds. Seeds differ in initial "
        "weights, dropout, modality dropout and mixup, but not in the order of clips. A seed of an ensemble combines "
        "the networks of its members with that seed.",
        f"ECE is the expected calibration error with {BINS} bins. p is from McNemar's exact test against the single "
        "model that is best on the same split. Out of fold is the accuracy on the clips that models were trained on: "
        f"networks that were trained without a clip's fold predict it (protocol {kind}, {folds} folds).",
    ]
    if recipe["absent_classes"]:
        notes.append(recipe["absent_classes"])
    if recipe["selected_on_val"]:
        names = ", ".join(recipe["selected_on_val"])
        notes.append(f"Selected on val, the split reported here, so their results are optimistic: {names}.")
    else:
        notes.append(
            "No reported split was used for selection: epochs, candidates, members and weights were selected on "
            "training clips."
        )
    if recipe["learned_here"]:
        notes.append(
            "These backbones were trained out of fold on the training clips of this corpus: "
            f"{', '.join(recipe['learned_here'])}. If speakers are unknown, one speaker may be in several folds, and "
            "the out-of-fold accuracies are then optimistic."
        )
        if kind == "kfold":
            notes.append("In a cross-validation, these backbones were also trained on clips of the reported fold.")
    notes += recipe.get("remarks", [])
    if recipe["paper"]:
        notes.append(
            "Paper: accuracies of Zhou et al. (arXiv 2012.13912) on the val split of AFEW 7.0, with IR50 as the face "
            "network."
        )
    return notes


def _comparisons_notes(table: pd.DataFrame, recipe: Mapping[str, Any]) -> list[str]:
    return [
        "Differences are in points of accuracy on the same clips, with the 95 % interval of a paired bootstrap "
        f"({RESAMPLES} samples, drawn by {_drawn(table)}). The column over seeds has the mean and standard deviation "
        "of the differences between equal seeds. Fused models are compared with the best model of one modality, and "
        "ensembles with the best single model. The best model is selected on the reported split itself, so it is the "
        "hardest one to beat."
    ]


def _ensembles_notes(table: pd.DataFrame, recipe: Mapping[str, Any]) -> list[str]:
    return [
        "Weights and temperatures are fitted on out-of-fold predictions of the clips that models were trained on. A "
        "member with weight zero was not chosen. For stacking, a weight is the member's share of the absolute "
        "coefficients. In a cross-validation, the weights for a fold are fitted without its clips; only the "
        "temperature of the ensemble's prediction depends on them, through the combinations of the other folds."
    ]


def _drawn(table: pd.DataFrame) -> str:
    """Return what the bootstrap of a table resamples: `clip` or `subject`."""
    return ", ".join(sorted(set(table["drawn"].dropna()))) or "clip"


def _text(column: pd.Series) -> pd.Series:
    """Return a column of names as text; pandas reads an empty column as numbers."""
    return column.astype(object).fillna("")


def _with_interval(table: pd.DataFrame, column: str, scale: float, shape: str = "{:.1f}") -> list[str]:
    return [
        "" if pd.isna(value) else f"{shape} [{shape}, {shape}]".format(scale * value, scale * low, scale * high)
        for value, low, high in zip(table[column], table["low"], table["high"], strict=True)
    ]


def _percent(values: pd.Series) -> list[str]:
    return _number(100 * values, "{:.1f}")


def _number(values: pd.Series, shape: str) -> list[str]:
    return ["" if pd.isna(value) else shape.format(value) for value in values]


def _spread(mean: pd.Series, sd: pd.Series, scale: float, shape: str = "{:.1f}") -> list[str]:
    return [
        "" if pd.isna(m) else shape.format(scale * m) + ("" if pd.isna(s) else f" ± {scale * s:.1f}")
        for m, s in zip(mean, sd, strict=True)
    ]
