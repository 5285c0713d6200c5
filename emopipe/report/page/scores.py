"""The tables of results with their intervals, and accuracy by model as a chart."""

import pandas as pd

from emopipe.report import writing
from emopipe.report.page.charts import heat_map, intervals
from emopipe.report.page.parts import Chart, Group, Section, Table
from emopipe.report.page.sources import Sources
from emopipe.report.summary import baselines

MOST_ROWS = 5000
"""How many rows of people the page has: one for each model, split and person."""


def section(sources: Sources) -> Section:
    """Return the section."""
    charts = [_accuracy(sources, split) for split in sources.splits] + [_recalls(sources, s) for s in sources.splits]
    shown = [_table(sources, name) for name in ("results", "comparisons", "streams")]
    subjects = sources.frame("subjects")
    if len(subjects):
        subjects = subjects.assign(accuracy=(100 * subjects["accuracy"]).map("{:.1f}".format))
        notes = []
        if len(subjects) > MOST_ROWS:
            notes = [f"These are the first {MOST_ROWS} of {len(subjects)} rows. tables/subjects.csv has all."]
        shown.append(Table.of("Accuracy by person", subjects.head(MOST_ROWS), notes, closed=True))
    return Section("results", "Results", [Group(charts), *shown])


def _table(sources: Sources, name: str) -> Table:
    recipe, frame = sources.recipe["report"], sources.frame(name)
    return Table.of(writing.TITLES[name], writing.columns(name, frame), writing.notes(name, frame, recipe))


def _accuracy(sources: Sources, split: str) -> Chart:
    found = sources.frame("results")
    found = found[(found["split"] == split) & found["accuracy"].notna()]
    rows = found[["model", "accuracy", "low", "high"]].round(4)
    frame = sources.answers[sources.answer]
    (_, (chance, _)), _ = baselines(frame.loc[frame["split"] == split, "label"]).items()
    spec = intervals(rows, "accuracy", "low", "high", "model", round(chance, 4))
    caption = f"The dashed line is chance, {chance:.1%}. "
    caption += "Bars are 95 % intervals." if rows["low"].notna().any() else "There are too few groups for intervals."
    return Chart(f"Accuracy on {split}", spec, caption, Table.of(f"Accuracy on {split}", rows))


def _recalls(sources: Sources, split: str) -> Chart:
    found = sources.frame("recalls")
    found = found[found["split"] == split]
    percent = (100 * found["recall"]).map("{:.0f}".format)
    rows = found[["model", "label", "recall", "n", "right"]].assign(percent=percent)
    wide = rows.pivot(index="model", columns="label", values="percent").reindex(rows["model"].unique())
    numbers = Table.of(f"Recall by class on {split}, in percent", wide.reset_index())
    spec = heat_map(rows, "label", "model", "recall", "percent", step=(24, 20))
    return Chart(f"Recall by class on {split}, in percent", spec, numbers=numbers)


def correct_of(frame: pd.DataFrame) -> str:
    """Return how many clips of predictions are correct, such as `8 of 14`."""
    return f"{int((frame['label'] == frame['pred']).sum())} of {len(frame)}"
