"""What raters reach, beside the accuracy of each model, and models against intended and perceived labels."""

import pandas as pd

from emopipe.report.page.charts import intervals
from emopipe.report.page.parts import Chart, Group, Section, Table
from emopipe.report.page.scores import written
from emopipe.report.page.sources import Sources

TABLES = ("ceiling", "against_labels")


def is_known(sources: Sources) -> bool:
    """Return whether the run has one of these tables."""
    return not set(TABLES).isdisjoint(sources.tables_of_corpus)


def section(sources: Sources) -> Section:
    """Return the section."""
    shown = [name for name in TABLES if name in sources.tables_of_corpus]
    charts = [_chart(sources, split) for split in sources.splits] if "ceiling" in shown else []
    return Section("raters", "Raters", [Group(charts), *(written(sources, name) for name in shown)])


def _chart(sources: Sources, split: str) -> Chart:
    """Return what raters reach and the accuracy of each model on a split, with intervals."""
    found, models = sources.frame("ceiling"), sources.frame("results")
    found = found[found["split"] == split].rename(columns={"ceiling": "accuracy"})
    found = found.assign(who="raters (" + found["raters_had"] + ")")
    models = models[(models["split"] == split) & models["accuracy"].notna()].rename(columns={"model": "who"})
    names = ["who", "accuracy", "low", "high"]
    rows = pd.concat([found[names], models[names]], ignore_index=True).round(4)
    caption = (
        "Raters of the clip, of its voice or of its face, against the majority of the other raters; models against the "
        "labels. What raters reach is not a bound for models."
    )
    title = f"What raters reach, and accuracy on {split}"
    return Chart(title, intervals(rows, "accuracy", "low", "high", "who", None), caption, Table.of(title, rows))
