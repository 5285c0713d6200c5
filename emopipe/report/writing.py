"""The tables of a run as Markdown, with notes that explain how each number was computed."""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from emopipe.core.labels import BASIC7, LabelSpace, of_recipe
from emopipe.corpora.groups import CLIP_UNIT, GROUP_UNIT
from emopipe.report import streams, transductive
from emopipe.report.ceiling import HAD
from emopipe.report.measure_words import EXPLAINED, difference, of_p, shape
from emopipe.scoring.calibration import BINS
from emopipe.scoring.intervals import FEWEST_FOR_BOOTSTRAP, FEWEST_GROUPS, RESAMPLES
from emopipe.scoring.measures import Measure, measures, primary
from emopipe.scoring.paired_tests import FEWEST_TO_FLIP, MCNEMAR, POWER, SIGN_FLIP
from emopipe.scoring.primary import BY_CLIP, BY_GROUP

_MARKUP = re.compile(r"[\\|`<*]|\](?=\()")  # characters that have a meaning in Markdown
_OF_CLIPS = "Subjects are not all known, so clips count as independent; if they are not, intervals are too narrow."
TITLES = {
    "results": "Results",
    "comparisons": "Differences between models",
    "ensembles": "Members of ensembles",
    "streams": "Streams by their own heads",
    "ceiling": "The label ceiling: what raters reach",
    "against_labels": "Accuracy against intended and perceived labels",
    "subgroups": "Groups of people",
}


def markdown(name: str, table: pd.DataFrame, recipe: Mapping[str, Any], first: str = "") -> str:
    """Return a table as Markdown.

    Args:
        name: One of the tables in TITLES.
        table: The table as its CSV file holds it.
        recipe: `Plan.report`.
        first: What to read first (Markdown).
    """
    rows = columns(name, table, of_recipe(recipe))
    lines = [f"# {TITLES[name]}: run {recipe['run']}", "", *([first] if first else [])]
    lines += ["| " + " | ".join(rows.columns) + " |", "|" + "---|" * len(rows.columns)] if len(rows) else ["Nothing."]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in rows.to_numpy()]
    paragraphs = "\n\n".join(notes(name, table, recipe))
    return "\n".join([*lines, "", paragraphs]) + "\n"


def columns(name: str, table: pd.DataFrame, space: LabelSpace = BASIC7) -> pd.DataFrame:
    """Return the columns that are shown of a table in TITLES, as texts; `table` is as its CSV file holds it."""
    made = {
        "results": _results,
        "comparisons": _comparisons,
        "ensembles": _ensembles,
        "streams": _streams,
        "ceiling": _ceiling,
        "against_labels": _against_labels,
        "subgroups": _subgroups,
    }
    return made[name](table, space)


def notes(name: str, table: pd.DataFrame, recipe: Mapping[str, Any]) -> list[str]:
    """Return paragraphs on how the numbers of a table in TITLES were computed; `recipe` is `Plan.report`."""
    made = {
        "results": _results_notes,
        "comparisons": _comparisons_notes,
        "ensembles": _ensembles_notes,
        "streams": _streams_notes,
        "ceiling": _ceiling_notes,
        "against_labels": _against_labels_notes,
        "subgroups": _subgroups_notes,
    }
    return made[name](table, recipe)


def _cell(text: str) -> str:
    """Escape a text, so that Markdown shows it as it is, in one cell: a name cannot become HTML, a link or code."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.splitlines()))


def _results(table: pd.DataFrame, space: LabelSpace) -> pd.DataFrame:
    first = primary(space)
    made = pd.DataFrame(
        {
            "model": table["model"],
            "split": _text(table["split"]),
            **_scores(table, space),
            "unseen clips": _number(table["unseen"], "{:.0f}"),
            f"{first.name} on them [95 %]": _score(table, first, f"unseen_{first.key}", "unseen_"),
            "UAR on them": _percent(table["unseen_uar"]) if "unseen_uar" in table else "",
            "over seeds": _spread(table["seeds_mean"], table["seeds_sd"], first),
            "coverage": _percent(table["coverage"]),
            "ECE": _percent(table["ece"]),
            "out of fold": _number(first.points * table[f"oof_{first.key}"], shape(first)),
            "p against the best single model (Holm)": _p(table["p_holm"]),
            "selected on": _text(table["selected_on"]),
            "paper": _text(table["paper"]),
            "note": _text(table["note"]),
        },
        dtype=str,
    )
    return made.loc[
        :, [(made[column] != "").any() or column == "model" for column in made]
    ]  # empty columns are omitted


def _scores(table: pd.DataFrame, space: LabelSpace) -> dict[str, list[str]]:
    """Return the columns with scores; those of shares are percentages."""
    first, *others = measures(space)
    if not space.has_one_class:
        rest = {measure.name: _number(measure.points * table[measure.key], shape(measure)) for measure in others}
        return {"clips": _number(table["n"], "{:.0f}"), f"{first.name} [95 %]": _score(table, first), **rest}
    counts = zip(table["right"], table["n"], strict=True)
    of_votes = {"loss on votes": _number(table["vote_loss"], "{:.3f}")} if space.kind == "votes" else {}
    return {
        "correct": [f"{correct:.0f}/{n:.0f}" if n > 0 else "" for correct, n in counts],
        "accuracy [95 %]": _with_interval(table, "accuracy", 100),
        "label ceiling": _percent(table["ceiling"]) if "ceiling" in table else "",
        "UAR [95 %]": _with_interval(table, "uar", 100),
        "macro F1 [95 %]": _with_interval(table, "macro_f1", 100),
        "WAF": _percent(table["waf"]),
        **of_votes,
    }


def _score(table: pd.DataFrame, measure: Measure, column: str = "", bounds: str = "") -> list[str]:
    return _with_interval(table, column or measure.key, measure.points, shape(measure), bounds)


def _comparisons(table: pd.DataFrame, space: LabelSpace) -> pd.DataFrame:
    first = primary(space)
    signed = shape(first, "+")
    uar = {"points of UAR [95 %]": _with_interval(table, "uar_difference", 1, signed, "uar_")}
    return pd.DataFrame(
        {
            "": _text(table["kind"]),
            "model": table["model"],
            "against": table["against"],
            "split": table["split"],
            f"{difference(first)} [95 %]": _with_interval(table, "difference", 1, signed),
            **(uar if space.has_one_class else {}),
            "over seeds": _spread(table["seeds_mean"], table["seeds_sd"], first, "+", scaled=True),
            "p": _p(table["p"]),
            "p (Holm)": _p(table["p_holm"]),
            "verdict": _text(table["verdict"]),
        },
        dtype=str,
    )


def _ensembles(table: pd.DataFrame, space: LabelSpace) -> pd.DataFrame:
    first = primary(space)
    return pd.DataFrame(
        {
            "ensemble": table["ensemble"],
            "method": table["method"],
            "member": table["member"],
            "weight": _number(table["weight"], "{:.3f}"),
            "temperature": _number(table["temperature"], "{:.2f}"),
            f"{first.name} out of fold": _number(first.points * table[f"oof_{first.key}"], shape(first)),
            "loss out of fold": _number(table["oof_loss"], "{:.3f}"),
        },
        dtype=str,
    )


def _streams(table: pd.DataFrame, space: LabelSpace) -> pd.DataFrame:
    counts = zip(table["right"], table["n"], strict=True)
    return pd.DataFrame(
        {
            "stream": table["stream"],
            "split": table["split"],
            "correct": [f"{correct:.0f}/{n:.0f}" for correct, n in counts],
            "accuracy [95 %]": _with_interval(table, "accuracy", 100),
            "train higher by, points": _number(100 * table["difference"].astype(float), "{:+.1f}"),
            "p": _p(table["p"]),
            "test": _text(table["test"]),
            "fusion over-trusts it": ["yes" if value == 1 else "" for value in table["over_trusted"]],
        },
        dtype=str,
    )


def _streams_notes(table: pd.DataFrame, recipe: Mapping[str, Any]) -> list[str]:
    return [
        "The accuracy of each network's own emotion head, without any fusion, on the labelled clips that it has "
        f"vectors of. {_intervals_note(table)} Training clips of a backbone that was trained on this corpus (pretrain) "
        "are answered by the networks that were trained without their fold.",
        *streams.sentences(table),
        "Where a stream is better on training clips than on others, models that are fitted on the training clips rely "
        "on it too much. This includes the product of heads: its penalty keeps the exponent of such a stream finite, "
        "but does not undo this. The untrained product and the mean of heads fit nothing on these clips.",
    ]


def _results_notes(table: pd.DataFrame, recipe: Mapping[str, Any]) -> list[str]:
    kind, folds, space = recipe["protocol"]["kind"], recipe["protocol"]["folds"], of_recipe(recipe)
    first = primary(space).name
    mean_of = "numbers" if space.kind == "dimensions" else "probabilities"
    calibration = f"ECE is the expected calibration error with {BINS} bins. " if space.has_one_class else ""
    notes = [
        f"{EXPLAINED[space.kind]} Coverage is the share of clips for which the model had "
        f"features. {_intervals_note(table)} A model's {mean_of} are the mean over its seeds. The column over "
        "seeds has the mean and standard deviation of single seeds. Seeds differ in initial weights, the order of "
        "clips, the sampled views and vectors, dropout, modality dropout and mixup; backbones are the same for all "
        "seeds, unless they have several seeds themselves. A seed of an ensemble combines the networks of its members "
        "with that seed.",
        f"{calibration}{_tests_note(table)} They compare a model with the "
        f"single model that has the best out-of-fold {first}, and are corrected for all tests of the table by Holm's "
        f"method. Out of fold is the {first} on the clips that models were trained on: networks that were trained "
        f"without a clip's fold predict it (protocol {kind}, {folds} folds).",
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
            notes.append(
                "In a cross-validation, a clip's vectors are from a network that was trained without the clip, but "
                "fusion was fitted on vectors of networks that saw it."
            )
    if "ceiling" in table:
        notes.append(
            "The label ceiling is how often raters agree with the majority of the other raters (tables/ceiling.md): "
            "those who only heard the clip for models of sound, and those who only saw it for models of faces, where "
            "the corpus has such votes; else those who did both. It is not a bound for models. It is against what "
            "raters perceive: where labels are what actors were asked to show, the column `one rater gives the label` "
            "of tables/ceiling.md is what compares with the accuracy."
        )
    if table["unseen"].notna().any():
        notes.append(
            "Unseen clips are those that the weights of the model were not trained on before this run, neither on the "
            "clip or a copy of it nor on another clip of the person, as far as the files of weights say. Models "
            "without a number met none of the clips."
        )
    notes += transductive.sentences(recipe)
    notes += recipe.get("remarks", [])
    if recipe["paper"]:
        notes.append(
            "Paper: accuracies of Zhou et al. (arXiv 2012.13912) on the val split of AFEW 7.0, with IR50 as the face "
            "network."
        )
    return notes


def _comparisons_notes(table: pd.DataFrame, recipe: Mapping[str, Any]) -> list[str]:
    first = primary(of_recipe(recipe))
    unit = "in points" if first.is_share else f"in {first.name},"
    notes = [
        f"Differences are {unit} on the same clips. " + _intervals_note(table) + " The column over seeds has the "
        f"mean and standard deviation of the differences in {first.name} between equal seeds.",
        _tests_note(table) + " The p of the primary comparison, which the config declares, needs no correction. All "
        "others are corrected for the tests of the same split by Holm's method. A model is called higher or lower "
        "only if its corrected p is below 0.05, and an aim is met only if the whole interval meets it.",
        "Fused models are compared with the best model of one modality, and ensembles with the best single model, both "
        f"selected by out-of-fold {first.name}. In hindsight: the other model is the best one on the reported split "
        "itself. It was selected by what is reported here, so it is the hardest one to beat.",
    ]
    found = table["detectable"].dropna() if len(table) else pd.Series(dtype=float)
    if len(found):
        unit = f" points of {first.name}" if first.is_share else f" in {first.name}"
        plain = shape(first).format
        notes.append(
            f"With these clips, a difference of {plain(found.median())}{unit} is detected with a probability "
            f"of {POWER:.0%} (median of the rows; {plain(found.min())} to {plain(found.max())}). Smaller ones are "
            'mostly missed, so "not shown to differ" does not mean that models are equal.'
        )
    return notes + transductive.sentences(recipe)


def _intervals_note(table: pd.DataFrame) -> str:
    """Return how the intervals of a table were made, by its numbers of groups G."""
    known = table[table["groups"].notna()] if "groups" in table else table[:0]
    parts = []
    for (drawn, n, method), _ in known.groupby(["drawn", "groups", "interval"], sort=True):
        made = {
            "none": f"there are no intervals: fewer than {FEWEST_GROUPS} {drawn}s do not show how much {drawn}s differ",
            "t": f"intervals are from the t distribution over {drawn}s",
            "bootstrap": f"intervals are from a bootstrap of {drawn}s ({RESAMPLES} samples, expanded percentiles)",
        }[method]
        parts.append(f"G = {n:.0f} {drawn}s: {made}.")
    if known["drawn"].eq(GROUP_UNIT).any():
        parts.append(
            "A group holds the clips that share a person, an utterance, a still or a file, directly or by other clips."
        )
    if known["drawn"].eq(CLIP_UNIT).any():
        parts.append(_OF_CLIPS)
    return " ".join(parts) or f"Intervals need at least {FEWEST_GROUPS} groups, and a bootstrap {FEWEST_FOR_BOOTSTRAP}."


def _tests_note(table: pd.DataFrame) -> str:
    """Return which tests the p values of a table are from."""
    tests = set(table["test"].dropna()) if "test" in table else set()
    notes = {
        SIGN_FLIP: "p values are from exact sign flips of the groups' differences.",
        MCNEMAR: "p values are from McNemar's mid-p test of clips, which ignores that clips of one person depend on "
        f"each other (sign flips by group need {FEWEST_TO_FLIP} groups).",
        BY_GROUP: "p values are from the t distribution, by the jackknife over groups of the difference.",
        BY_CLIP: "p values are from the t distribution, by the jackknife over clips of the difference, which ignores "
        f"that clips of one person depend on each other (a jackknife over groups needs {FEWEST_TO_FLIP} groups).",
    }
    return " ".join(text for test, text in notes.items() if test in tests) or "There are no tests."


def _ensembles_notes(table: pd.DataFrame, recipe: Mapping[str, Any]) -> list[str]:
    return [
        "Weights and temperatures are fitted on out-of-fold predictions of the clips that models were trained on. A "
        "member with weight zero was not chosen. For geometric means, a weight is an exponent. For stacking, a weight "
        "is the member's share of the absolute coefficients. In a cross-validation, the weights for a fold are fitted "
        "without its clips; only the temperature of the ensemble's prediction depends on them, through the "
        "combinations of the other folds."
    ]


def _ceiling(table: pd.DataFrame, space: LabelSpace) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "split": table["split"],
            "raters who": table["raters_had"].map(HAD),
            "clips": _number(table["n"], "{:.0f}"),
            "raters of a clip": _number(table["raters"], "{:.1f}"),
            "ceiling [95 %]": _with_interval(table, "ceiling", 100),
            "UAR of raters [95 %]": _with_interval(table, "uar", 100),
            "one rater gives the label": _percent(table["one_with_label"]),
            "best against one rater": _percent(table["best_against_one"]),
        },
        dtype=str,
    )


def _ceiling_notes(table: pd.DataFrame, recipe: Mapping[str, Any]) -> list[str]:
    return [
        "The ceiling is computed leave-one-rater-out: it is the probability that a rater of a clip gives the answer of "
        "most of the other raters of this clip, as a mean over clips. Where the others are tied, each of their answers "
        "counts an equal share. UAR is the same as a mean over the classes of these majorities. "
        + _intervals_note(table),
        "One rater gives the label: how probable it is that one rater gives the label that models are scored with. "
        "Best against one rater: the best accuracy that any classifier can have against the answer of one rater, which "
        "is the mean of the largest share of votes.",
        "Neither is a bound for models. A label averages over many raters, so a model that gives the answer of most "
        "people is above what one of them reaches. Clips count whose label is a class and that have at least two "
        "votes, in whole numbers. Votes for classes outside the label space are answers, too, unless `labels` drops "
        "them. A rater who chose several classes, as some of IEMOCAP did, counts as several.",
    ]


def _against_labels(table: pd.DataFrame, space: LabelSpace) -> pd.DataFrame:
    counts = zip(table["right"], table["n"], strict=True)
    return pd.DataFrame(
        {
            "model": table["model"],
            "split": table["split"],
            "labels": table["labels"],
            "correct": [f"{correct:.0f}/{n:.0f}" if n > 0 else "" for correct, n in counts],
            "accuracy [95 %]": _with_interval(table, "accuracy", 100),
            "UAR [95 %]": _with_interval(table, "uar", 100),
            "tied clips omitted": _number(table["ties"], "{:.0f}"),
        },
        dtype=str,
    )


def _against_labels_notes(table: pd.DataFrame, recipe: Mapping[str, Any]) -> list[str]:
    return [
        "Intended is the class that the actor was asked to show. Perceived is the class that most raters of the clip "
        "gave. Clips of which several classes have most votes have no perceived class; they are omitted and counted. "
        "Clips whose most votes are for a class outside the label space are omitted. "
        f"{_intervals_note(table)}",
        "Where the clip table has no column of intended classes, its label is taken as the intended class if "
        "no rater gave the label of some clip. Models are usually better against the labels that they "
        "were trained on.",
    ]


def _subgroups(table: pd.DataFrame, space: LabelSpace) -> pd.DataFrame:
    measure = primary(space)
    signed = shape(measure, "+")
    less = _with_interval(table, "difference", measure.points, signed, "difference_")
    unit = "points" if measure.is_share else measure.name
    largest = table.groupby(["model", "split", "column"], sort=False)["n"].idxmax()
    remarks = {"few people": table["few"] == 1, "largest group": table.index.isin(largest)}
    return pd.DataFrame(
        {
            "model": table["model"],
            "split": table["split"],
            "by": table["column"],
            "group": table["value"],
            "clips": _number(table["n"], "{:.0f}"),
            "people": _number(table["people"], "{:.0f}"),
            f"{measure.name} [95 %]": _score(table, measure),
            f"difference from the largest group, {unit} [95 %]": less,
            "remark": [
                ", ".join(name for name, applies in zip(remarks, row, strict=True) if applies)
                for row in zip(*remarks.values(), strict=True)
            ],
        },
        dtype=str,
    )


def _subgroups_notes(table: pd.DataFrame, recipe: Mapping[str, Any]) -> list[str]:
    return [
        "The groups are those that the clip table names; ages in years are put into bands. Clips whose group is "
        "unknown are in none. People are counted where all of a group are known. Groups with fewer than "
        f"{FEWEST_GROUPS} people are marked: they have no interval, and their score says more about these people than "
        "about others. Intervals of scores are made as those of tables/results.md, from the people of the group alone.",
        "Each group is compared with the one that has most clips. Intervals of differences are Welch's, from the "
        "errors over people; they are not corrected for the number of groups, so one of twenty excludes 0 by chance. "
        "There is none where a person is in both groups. A "
        "difference describes the clips and people of this corpus. Groups may also differ in what they were recorded "
        "with, in their classes and in how they were labelled, so it does not show that the sex or the age is the "
        "cause.",
        *([_OF_CLIPS] if table["drawn"].eq(CLIP_UNIT).any() else []),
    ]


def _text(column: pd.Series) -> pd.Series:
    """Return a column of names as text; pandas reads an empty column as numbers."""
    return column.astype(object).fillna("")


def _with_interval(
    table: pd.DataFrame, column: str, scale: float, shape: str = "{:.1f}", bounds: str | None = None
) -> list[str]:
    """Return values with their intervals; the bounds are in the columns `<bounds>low` and `<bounds>high`."""
    prefix = bounds if bounds is not None else {"uar": "uar_", "macro_f1": "macro_f1_"}.get(column, "")
    return [
        "" if pd.isna(value)
        else shape.format(scale * value) if pd.isna(low)
        else f"{shape} [{shape}, {shape}]".format(scale * value, scale * low, scale * high)
        for value, low, high in zip(table[column], table[f"{prefix}low"], table[f"{prefix}high"], strict=True)
    ]  # fmt: skip


def _percent(values: pd.Series) -> list[str]:
    return _number(100 * values, "{:.1f}")


def _number(values: pd.Series, shape: str) -> list[str]:
    return ["" if pd.isna(value) else shape.format(value) for value in values]


def _p(values: pd.Series) -> list[str]:
    return ["" if pd.isna(value) else of_p(value) for value in values.astype(float)]


def _spread(mean: pd.Series, sd: pd.Series, measure: Measure, sign: str = "", *, scaled: bool = False) -> list[str]:
    """Return means with standard deviations; `scaled` says whether shares are in points already."""
    scale, of_mean, of_sd = 1 if scaled else measure.points, shape(measure, sign).format, shape(measure).format
    return [
        "" if pd.isna(m) else of_mean(scale * m) + ("" if pd.isna(s) else f" ± {of_sd(scale * s)}")
        for m, s in zip(mean, sd, strict=True)
    ]
