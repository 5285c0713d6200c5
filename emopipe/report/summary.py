"""The summary of a run: its metrics as Markdown, the clips' statuses, and the table of results for the terminal."""

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from emopipe.scoring import predictions

SHOWN = {"accuracy": "accuracy", "uar": "UAR", "macro_f1": "macro F1", "coverage": "coverage"}
"""Metric -> its heading."""
PIPE_COLUMNS = 120
"""Width of tables that no terminal shows."""
HEADING = "## Read this first"
"""The heading of what to read first in Markdown."""
BY_CHANCE = "By chance,"
"""How the sentences on chance and the majority class begin."""


def markdown(metrics: pd.DataFrame, run: str, first: str, remarks: Sequence[str] = ()) -> str:
    """Return what to read first (Markdown), the metrics as a table (correct clips and percentages), and remarks."""
    lines = [
        f"# Run {run}",
        "",
        first,
        "| model | split | correct | " + " | ".join(SHOWN.values()) + " |",
        "|---|---|---|" + "---|" * 4,
        *("| " + " | ".join(cells) + " |" for cells in _cells(metrics)),
        "",
        "Accuracy, UAR (unweighted average recall) and macro F1 include all clips of the split. Coverage is the share",
        "of clips for which the model had features. tables/results.md has confidence intervals and significance tests.",
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
    results = pd.read_csv(folder / "tables/results.csv")
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False)
    console.print(HEADING.strip("# "), style="bold")
    for line in read_first(folder / "summary.md"):
        if not line.startswith(BY_CHANCE):
            console.print(Text(f"- {line}"), soft_wrap=True)
    scored = results[results["n"].notna()]
    if scored.empty:
        console.print("No clip outside the training split has a label, so there is nothing to score.")
    else:
        console.print(_results_table(scored, _labels(folder), f"Run {folder.name}"))
        console.print(headline(scored, _labels(folder)), markup=False, soft_wrap=True)
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


def headline(scored: pd.DataFrame, labels: pd.DataFrame) -> str:
    """Return the result in a sentence: the best model on val, or on another split, and what chance would give.

    Args:
        scored: Rows of tables/results.csv with scores.
        labels: Split and label of the labelled clips.
    """
    split = "val" if "val" in set(scored["split"]) else min(scored["split"])
    best = scored[scored["split"] == split].sort_values("accuracy", ascending=False, kind="stable").iloc[0]
    (chance, (share, _)), _ = baselines(labels.loc[labels["split"] == split, "label"]).items()
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


def _results_table(scored: pd.DataFrame, labels: pd.DataFrame, title: str) -> Table:
    """Return the table of the models' scores (rows of tables/results.csv) and the baselines of the splits."""
    table = Table("model", "split", title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    accuracy = "accuracy [95 %]" if scored["low"].notna().any() else "accuracy"
    for heading in ("correct", accuracy, "UAR", "macro F1", "coverage"):
        table.add_column(heading.replace("[", r"\["), justify="right", no_wrap=True)
    table.add_column("")
    for split, rows in scored.groupby("split"):
        best = rows["accuracy"].max()
        for row in rows.itertuples():
            is_best = row.accuracy == best
            table.add_row(
                row.model,
                split,
                f"{row.right:.0f}/{row.n:.0f}",
                f"{row.accuracy:.1%}" + ("" if pd.isna(row.low) else rf" \[{row.low:.1%}, {row.high:.1%}]"),
                *(f"{value:.1%}" for value in (row.uar, row.macro_f1, row.coverage)),
                "<- best" if is_best else "",
                style="bold" if is_best else "",
            )
        for name, (accuracy, uar) in baselines(labels.loc[labels["split"] == split, "label"]).items():
            table.add_row(name, split, "", f"{accuracy:.1%}", f"{uar:.1%}", style="dim")
        table.add_section()
    return table


def _labels(folder: Path) -> pd.DataFrame:
    """Return split and label of the labelled clips that a run reports; all models predict the same clips."""
    table = predictions.read(min((folder / "predictions").glob("*.csv")))
    return table.loc[table["label"] != "", ["split", "label"]]


def _cells(metrics: pd.DataFrame) -> list[list[str]]:
    return [
        [row.model, row.split, f"{round(row.accuracy * row.n)}/{row.n}", *(f"{getattr(row, key):.1%}" for key in SHOWN)]
        for row in metrics.itertuples()
    ]
