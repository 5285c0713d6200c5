"""The summary of a run: its metrics as Markdown, and in the terminal with the clips' statuses."""

import io

import pandas as pd
from rich.console import Console
from rich.table import Table

SHOWN = {"accuracy": "accuracy", "uar": "UAR", "macro_f1": "macro F1", "coverage": "coverage"}
"""Metric -> its heading."""


def markdown(metrics: pd.DataFrame, run: str) -> str:
    """Return the metrics as a Markdown table: correct clips of all clips, and percentages."""
    lines = [
        f"# Run {run}",
        "",
        "| model | split | correct | " + " | ".join(SHOWN.values()) + " |",
        "|---|---|---|" + "---|" * 4,
        *("| " + " | ".join(cells) + " |" for cells in _cells(metrics)),
        "",
        "Accuracy, UAR (unweighted average recall) and macro F1 include all clips of the split. Coverage is the share",
        "of clips for which the model had features. tables/results.md has confidence intervals and significance tests.",
    ]
    return "\n".join(lines) + "\n"


def terminal(metrics: pd.DataFrame, ledger_counts: pd.DataFrame, run: str, folder: str) -> str:
    """Return the metrics, the clips' statuses and the folder of the results as plain text."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=100)
    table = Table("model", "split", "correct", *SHOWN.values(), title=f"Run {run}")
    for cells in _cells(metrics):
        table.add_row(*cells)
    console.print(table)
    statuses = Table("stage", *ledger_counts.columns, title="Clips by stage and status")
    for stage, row in ledger_counts.iterrows():
        statuses.add_row(str(stage), *map(str, row))
    console.print(statuses)
    console.print(f"All results are in {folder}")
    return buffer.getvalue()


def _cells(metrics: pd.DataFrame) -> list[list[str]]:
    return [
        [row.model, row.split, f"{round(row.accuracy * row.n)}/{row.n}", *(f"{getattr(row, key):.1%}" for key in SHOWN)]
        for row in metrics.itertuples()
    ]
