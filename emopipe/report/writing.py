"""Tables as Markdown, as a paper would print them, with notes that say how each figure was made."""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from emopipe.scoring.statistics import BINS, RESAMPLES

_MARKUP = re.compile(r"[\\|`<*]|\](?=\()")  # what Markdown would read as more than text
TITLES = {"results": "Results", "comparisons": "Differences between models", "ensembles": "Members of ensembles"}


def markdown(name: str, table: pd.DataFrame, recipe: Mapping[str, Any]) -> str:
    """One of the tables named in TITLES."""
    shape, notes = {
        "results": (_results, _results_notes),
        "comparisons": (_comparisons, _comparisons_notes),
        "ensembles": (_ensembles, _ensembles_notes),
    }[name]
    rows = shape(table)
    lines = [f"# {TITLES[name]}: run {recipe['run']}", ""]
    lines += ["| " + " | ".join(rows.columns) + " |", "|" + "---|" * len(rows.columns)] if len(rows) else ["Nothing."]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in rows.to_numpy()]
    return "\n".join([*lines, "", *notes(table, recipe)]) + "\n"


def _cell(text: str) -> str:
    """Text that stays within its cell and is shown as it is: no HTML, link, picture or code comes out of a name."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.splitlines()))


def _results(table: pd.DataFrame) -> pd.DataFrame:
    made = pd.DataFrame(
        {
            "model": table["model"],
            "split": _text(table["split"]),
            "right": [
                f"{right:.0f}/{n:.0f}" if n > 0 else "" for right, n in zip(table["right"], table["n"], strict=True)
            ],
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
    return made.loc[:, [(made[column] != "").any() or column == "model" for column in made]]


def _text(column: pd.Series) -> pd.Series:
    """A column of names, which pandas reads as numbers where none is given."""
    return column.astype(object).fillna("")


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
        "Accuracy, UAR and macro F1 are over all clips of the split, those without any vector included; coverage is "
        "the share of clips that the model had anything to go by. Intervals: percentile bootstrap, "
        f"{RESAMPLES} samples, drawn by {_drawn(table)}. A model is the mean of its seeds' probabilities; over seeds: "
        "mean and standard deviation of the single seeds, which vary initial weights, dropout, hidden modalities and "
        "mixup, not the order of clips. An ensemble's seed combines its members' networks of that seed.",
        f"ECE: expected calibration error, {BINS} bins. p: McNemar's exact test against the model (no ensemble) that "
        "is best on the same split. Out of fold: accuracy on the clips learned from, each predicted by networks that "
        f"left out its fold (protocol {kind}, {folds} folds).",
    ]
    if recipe["selected_on_val"]:
        names = ", ".join(recipe["selected_on_val"])
        notes.append(f"Selected on val, the split reported here, and therefore flattered: {names}.")
    else:
        notes.append("No reported split chose anything: epochs, candidates, members and weights are of training clips.")
    if recipe["learned_here"]:
        notes.append(
            f"The backbones {', '.join(recipe['learned_here'])} were trained on this corpus' training clips, out of "
            "fold. Where speakers are unknown, one may be in several folds, which flatters the figures out of fold."
        )
        if kind == "kfold":
            notes.append("In a cross-validation these backbones have seen clips of the fold that is reported.")
    if recipe["paper"]:
        notes.append("Paper: Zhou et al. (arXiv 2012.13912) on AFEW 7.0's val split, with IR50 as the face network.")
    return _paragraphs(notes)


def _comparisons_notes(table: pd.DataFrame, recipe: Mapping[str, Any]) -> list[str]:
    return _paragraphs(
        [
            "Points of accuracy on the same clips, with the 95 % interval of a paired bootstrap "
            f"({RESAMPLES} samples, drawn by {_drawn(table)}); over seeds: mean and standard deviation of the "
            "differences of equal seeds. Fused models stand against the single modality, ensembles against the single "
            "model, that is best on the reported split itself: the hardest one to beat."
        ]
    )


def _drawn(table: pd.DataFrame) -> str:
    """What the bootstrap of a table drew: clips or subjects."""
    return ", ".join(sorted(set(table["drawn"].dropna()))) or "clip"


def _ensembles_notes(table: pd.DataFrame, recipe: Mapping[str, Any]) -> list[str]:
    return _paragraphs(
        [
            "Weights and temperatures are fitted on out-of-fold predictions of the clips learned from. A weight of "
            "zero: not chosen. For stacking, weights are the shares of the coefficients' magnitudes. In a "
            "cross-validation, what is fitted for a fold leaves its clips out; only the answer's temperature has seen "
            "them, through the combinations of the other folds."
        ]
    )


def _paragraphs(notes: list[str]) -> list[str]:
    return [line for note in notes for line in (note, "")][:-1]


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
