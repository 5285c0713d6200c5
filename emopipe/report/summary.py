"""The table that a run ends with, in the terminal and as Markdown."""

import io

import pandas as pd
from rich.console import Console
from rich.table import Table

SHOWN = {"accuracy": "accuracy", "uar": "UAR", "macro_f1": "macro F1", "coverage": "coverage"}


def markdown(metrics: pd.DataFrame, run: str) -> str:
    """The metrics as a Markdown table: n of N right, percentages."""
    lines = [
        f"# Run {run}",
        "",
        "| model | split | right | " + " | ".join(SHOWN.values()) + " |",
        "|---|---|---|" + "---|" * 4,
    ]
    lines += ["| " + " | ".join(cells) + " |" for cells in _cells(metrics)]
    lines += ["", "Accuracy, UAR and macro F1 are over all clips of the split; coverage is the share of clips that the"]
    lines += ["model had anything to go by. Intervals, tests and what chose what: tables/results.md."]
    return "\n".join(lines) + "\n"


def terminal(metrics: pd.DataFrame, ledger_counts: pd.DataFrame, run: str, folder: str) -> str:
    """The metrics and the clips' fates as plain text."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=100)
    table = Table("model", "split", "right", *SHOWN.values(), title=f"Run {run}")
    for cells in _cells(metrics):
        table.add_row(*cells)
    console.print(table)
    fates = Table("stage", *ledger_counts.columns, title="Clips by stage and status")
    for stage, row in ledger_counts.iterrows():
        fates.add_row(str(stage), *map(str, row))
    console.print(fates)
    console.print(f"Everything is in {folder}")
    return buffer.getvalue()


def _cells(metrics: pd.DataFrame) -> list[list[str]]:
    return [
        [row.model, row.split, f"{round(row.accuracy * row.n)}/{row.n}", *(f"{getattr(row, key):.1%}" for key in SHOWN)]
        for row in metrics.itertuples()
    ]
