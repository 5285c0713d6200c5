"""The summary of a run: its metrics as Markdown, the clips' statuses, and the table of results for the terminal."""

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from emopipe.core.label_block import space_of
from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.report.measure_words import by_chance, shown
from emopipe.scoring import predictions
from emopipe.scoring.measures import Measure, measures, primary
from emopipe.scoring.metrics import scored as scored_clips

SCORES = {
    "single": (
        "Accuracy, UAR (unweighted average recall) and macro F1 include all clips of the split. Coverage is the share",
        "of clips for which the model had features. tables/results.md has confidence intervals and significance tests.",
    ),
    "votes": (
        "Accuracy, UAR (unweighted average recall) and macro F1 include all clips of the split whose label is one",
        "class; the loss on votes includes ties as well. Coverage is the share of clips for which the model had",
        "features. tables/results.md has confidence intervals and significance tests.",
    ),
    "multi": (
        "Macro AP (the mean average precision of the classes), macro F1 and exact match include all labelled clips of",
        "the split. Coverage is the share of clips for which the model had features. tables/results.md has confidence",
        "intervals and significance tests.",
    ),
    "dimensions": (
        "CCC (concordance correlation coefficient: first the mean of the dimensions) and RMSE include all clips of the",
        "split. Coverage is the share of clips for which the model had features. tables/results.md has confidence",
        "intervals and significance tests.",
    ),
}
"""Kind of label space -> lines on the scores of the summary."""
COVERAGE = Measure("coverage", "coverage")
PIPE_COLUMNS = 120
"""Width of tables that no terminal shows."""
HEADING = "## Read this first"
"""The heading of what to read first in Markdown."""
BY_CHANCE = "By chance,"
"""How the sentences on chance and the majority class begin."""


def markdown(
    metrics: pd.DataFrame, run: str, first: str, remarks: Sequence[str] = (), space: LabelSpace = BASIC7
) -> str:
    """Return what to read first (Markdown), the metrics as a table, and remarks.

    Args:
        metrics: Scores of all models, as `metrics.score` returns them.
        run: The name of the run.
        first: What to read first (Markdown).
        remarks: Further sentences.
        space: The label space.
    """
    headings = [measure.name for measure in (*measures(space), COVERAGE)]
    clips = "correct" if space.has_one_class else "clips"
    lines = [
        f"# Run {run}",
        "",
        first,
        f"| model | split | {clips} | " + " | ".join(headings) + " |",
        "|---|---|---|" + "---|" * len(headings),
        *("| " + " | ".join(cells) + " |" for cells in _cells(metrics, space)),
        "",
        *SCORES[space.kind],
        *(line for remark in remarks for line in ("", remark)),
    ]
    return "\n".join(lines) + "\n"


def statuses(ledger_counts: pd.DataFrame) -> str:
    """Return the number of clips by stage and status as plain text."""
    table = Table("stage", *ledger_counts.columns, title="Clips by stage and status", box=box.SIMPLE)
    for stage, row in ledger_counts.iterrows():
        table.add_row(str(stage), *map(str, row))
    buffer = io.StringIO()
    Console(file=buffer, width=PIPE_COLUMNS).print(table)
    return buffer.getvalue().rstrip()


def show(folder: Path) -> None:
    """Print the results of a finished run: what to read first, then all models, the best of each split marked.

    Chance and the majority class stand in the table of models, so the sentences on them are omitted.

    Args:
        folder: The folder of the run, with tables/results.csv, summary.md and predictions/.
    """
    results, space = pd.read_csv(folder / "tables/results.csv"), _space(folder)
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False)
    console.print(HEADING.strip("# "), style="bold")
    for line in read_first(folder / "summary.md"):
        if not line.startswith(BY_CHANCE):
            console.print(Text(f"- {line}"), soft_wrap=True)
    scored = results[results["n"].notna()]
    if scored.empty:
        console.print("No clip outside the training split has a label, so there is nothing to score.")
    else:
        labels = _labels(folder, space)
        console.print(_results_table(scored, labels, f"Run {folder.name}", space))
        console.print(headline(scored, labels, space), markup=False, soft_wrap=True)
    for row in results[results["note"].notna() & results["n"].isna()].itertuples():
        console.print(f"{row.model}: {row.note}", markup=False)
    if (faces := folder / "figures/faces.png").is_file():
        console.print(
            f"A few of the faces: {faces}. They are drawn, so the scores say nothing about people.",
            markup=False,
            soft_wrap=True,
        )
    page = folder / "report.html"
    look = f". To look at them, open {page} in a browser." if page.is_file() else ""
    console.print(f"All results are in {folder}/{look}", markup=False, soft_wrap=True)


def read_first(file: Path) -> list[str]:
    """Return what a run's summary says under HEADING, sentence by sentence."""
    listed = file.read_text(encoding="utf-8").partition(f"{HEADING}\n\n")[2].partition("\n\n")[0]
    return [line.removeprefix("- ") for line in listed.splitlines()]


def headline(scored: pd.DataFrame, labels: pd.DataFrame, space: LabelSpace = BASIC7) -> str:
    """Return the result in a sentence: the best model on val, or on another split, and what chance would give.

    Args:
        scored: Rows of tables/results.csv with scores.
        labels: Split and label of the scored clips.
        space: The label space.
    """
    first = primary(space)
    split = "val" if "val" in set(scored["split"]) else min(scored["split"])
    best = scored[scored["split"] == split].sort_values(first.key, ascending=False, kind="stable").iloc[0]
    of_split = labels.loc[labels["split"] == split, "label"]
    if not space.has_one_class:
        guess = "a constant answer" if space.kind == "dimensions" else "a guess"
        has = f"{best.model} has a {first.name} of {shown(first, best[first.key])} on {best.n:.0f} {split} clips"
        return f"{has}; {guess} would have {shown(first, by_chance(of_split, space))}."
    (chance, (share, _)), _ = baselines(of_split).items()
    return (
        f"{best.model} names the emotion of {best.right:.0f} of {best.n:.0f} {split} clips ({best.accuracy:.0%}); a "
        f"guess among {chance.partition('(')[2].rstrip(')')} would name {share:.0%}."
    )


def baselines(labels: pd.Series) -> dict[str, tuple[float, float]]:
    """Return what needs no model, for the labels of a split's clips: name -> accuracy and UAR.

    Chance is a guess among the classes that occur. Majority is the answer of one who knows which class is the most
    frequent one in this split, and always gives it.
    """
    counts = labels.value_counts()
    largest, chance = counts.sort_index().idxmax(), 1 / len(counts)
    return {
        f"chance ({len(counts)} classes)": (chance, chance),
        f"majority ({largest})": (counts[largest] / counts.sum(), chance),
    }


def without_a_model(labels: pd.Series, space: LabelSpace) -> dict[str, list[float]]:
    """Return what needs no model, for the labels of a split's scored clips: name -> the first measures' values.

    Of one class, these are accuracy and UAR of chance and of the majority class; else the primary score by chance.
    """
    if space.has_one_class:
        return {name: list(values) for name, values in baselines(labels).items()}
    return {"constant" if space.kind == "dimensions" else "chance": [by_chance(labels, space)]}


def _results_table(scored: pd.DataFrame, labels: pd.DataFrame, title: str, space: LabelSpace) -> Table:
    """Return the table of the models' scores (rows of tables/results.csv) and the baselines of the splits."""
    table = Table("model", "split", title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    first, *others = measures(space)
    primary_heading = f"{first.name} [95 %]" if scored["low"].notna().any() else first.name
    headings = ["correct" if space.has_one_class else "clips", primary_heading, *(other.name for other in others)]
    for heading in (*headings, "coverage"):
        table.add_column(heading.replace("[", r"\["), justify="right", no_wrap=True)
    table.add_column("")
    for split, rows in scored.groupby("split"):
        best = rows[first.key].max()
        for _, row in rows.iterrows():
            is_best = row[first.key] == best
            interval = "" if pd.isna(row.low) else rf" \[{shown(first, row.low)}, {shown(first, row.high)}]"
            table.add_row(
                row.model,
                split,
                f"{row.right:.0f}/{row.n:.0f}" if space.has_one_class else f"{row.n:.0f}",
                shown(first, row[first.key]) + interval,
                *(shown(other, row[other.key]) for other in others),
                shown(COVERAGE, row.coverage),
                "<- best" if is_best else "",
                style="bold" if is_best else "",
            )
        for name, values in without_a_model(labels.loc[labels["split"] == split, "label"], space).items():
            cells = [shown(measure, value) for measure, value in zip(measures(space), values, strict=False)]
            table.add_row(name, split, "", *cells, style="dim")
        table.add_section()
    return table


def _space(folder: Path) -> LabelSpace:
    """Return the label space of a finished run."""
    config = folder / "config.yaml"
    return space_of(yaml.safe_load(config.read_text(encoding="utf-8")) or {}) if config.is_file() else BASIC7


def _labels(folder: Path, space: LabelSpace) -> pd.DataFrame:
    """Return split and label of the scored clips that a run reports; all models predict the same clips."""
    table = predictions.read(min((folder / "predictions").glob("*.csv")))
    return scored_clips(table, space)[["split", "label"]]


def _cells(metrics: pd.DataFrame, space: LabelSpace) -> list[list[str]]:
    made = []
    for _, row in metrics.iterrows():
        clips = f"{round(row.accuracy * row.n)}/{row.n}" if space.has_one_class and row.n else f"{row.n}"
        scores = [shown(measure, row[measure.key]) for measure in (*measures(space), COVERAGE)]
        made.append([row.model, row.split, clips, *scores])
    return made
