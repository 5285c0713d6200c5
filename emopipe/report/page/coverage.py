"""What became of the clips: how many each stage could use, and why it could not use the others."""

import pandas as pd

from emopipe.report import ledger
from emopipe.report.page.charts import bars
from emopipe.report.page.parts import Chart, Paragraphs, Section, Table
from emopipe.report.page.sources import Sources

MOST_ROWS = 500
"""How many clips that a stage could not use the page lists; ledger.csv has all."""


def section(sources: Sources) -> Section:
    """Return the section."""
    counts = ledger.counts(sources.ledger)
    rows = counts.stack().rename("clips").reset_index()
    numbers = Table.of("Clips by stage and status", counts.reset_index())
    chart = Chart("Clips by stage and status", bars(rows, "clips", "stage", colour="status"), numbers=numbers)
    return Section("coverage", "Coverage and failures", [chart, *_failures(sources.ledger)])


def _failures(rows: pd.DataFrame) -> list[Paragraphs | Table]:
    failed = rows[rows["status"] != "ok"]
    if failed.empty:
        return [Paragraphs(["Every stage could use every clip."])]
    by_reason = failed.groupby(["stage", "status", "reason"], sort=False).size().rename("clips").reset_index()
    listed = failed[["clip", "split", "stage", "status", "reason"]]
    notes = []
    if len(listed) > MOST_ROWS:
        notes = [f"These are the first {MOST_ROWS} of {len(listed)} rows. The file ledger.csv has all."]
    by_reason = by_reason.sort_values("clips", ascending=False, kind="stable")
    more = len(by_reason) - MOST_ROWS
    return [
        Table.of("Reasons", by_reason.head(MOST_ROWS), [f"{more} rarer ones are omitted."] if more > 0 else []),
        Table.of("Clips that a stage could not use", listed.head(MOST_ROWS), notes, closed=len(listed) > 12),
    ]
