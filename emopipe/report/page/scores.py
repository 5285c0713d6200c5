"""The tables of results with their intervals, and scores by model and by class as charts."""

import numpy as np
import pandas as pd

from emopipe.report import writing
from emopipe.report.files import by_class_table
from emopipe.report.measure_words import by_chance, shape
from emopipe.report.page.charts import grouped_bars, heat_map, intervals
from emopipe.report.page.parts import Chart, Group, Section, Table
from emopipe.report.page.sources import Sources
from emopipe.report.summary import baselines
from emopipe.scoring.measures import Measure, primary

MOST_ROWS = 5000
"""How many rows of people the page has: one for each model, split and person."""
LEAST = -0.1
"""Where the axis of a score that is not a share begins at the latest."""
BY_CLASS = {
    "recalls": ("recall", "Recall by class on {}, in percent"),
    "classes": ("ap", "Average precision by class on {}, in percent"),
    "dimensions": ("ccc", "CCC by dimension on {}"),
}
"""Table of scores by class or dimension -> the column that is shown, and the title of its chart."""


def section(sources: Sources) -> Section:
    """Return the section."""
    charts = [_primary(sources, s) for s in sources.splits] + [_by_class(sources, s) for s in sources.splits]
    if sources.space.kind == "multi":
        charts += [_classes(sources, split) for split in sources.splits]
    names = ("results", "comparisons", *(("streams",) if sources.space.has_one_class else ()))
    shown = [written(sources, name) for name in names]
    subjects, measure = sources.frame("subjects"), primary(sources.space)
    if len(subjects):
        subjects = subjects.assign(**{measure.key: _texts(subjects[measure.key], measure)})
        notes = []
        if len(subjects) > MOST_ROWS:
            notes = [f"These are the first {MOST_ROWS} of {len(subjects)} rows. tables/subjects.csv has all."]
        title = f"{_titled(measure)} by person"
        shown.append(Table.of(title, subjects.dropna(axis=1, how="all").head(MOST_ROWS), notes, closed=True))
    return Section("results", "Results", [Group(charts), *shown])


def _texts(values: pd.Series, measure: Measure) -> pd.Series:
    """Return scores as texts: percent, or numbers."""
    return (measure.points * values).map(lambda value: "" if np.isnan(value) else shape(measure).format(value))


def _titled(measure: Measure) -> str:
    return measure.name[:1].upper() + measure.name[1:]


def written(sources: Sources, name: str) -> Table:
    """Return a table of the folder tables/ as its Markdown file shows it, with its notes; a name of writing.TITLES."""
    recipe, frame = sources.recipe["report"], sources.frame(name)
    return Table.of(
        writing.TITLES[name], writing.columns(name, frame, sources.space), writing.notes(name, frame, recipe)
    )


def _primary(sources: Sources, split: str) -> Chart:
    """Return the score that models are compared by, with its intervals, and what a guess gives."""
    measure, found = primary(sources.space), sources.frame("results")
    found = found[(found["split"] == split) & found[measure.key].notna()]
    rows = found[["model", measure.key, "low", "high"]].round(4).rename(columns={measure.key: measure.name})
    chance = _chance(sources, split)
    smallest = rows[[measure.name, "low"]].min(axis=None)  # NaN without any row
    least = None if measure.is_share else float(np.fmin(np.floor(10 * smallest) / 10, LEAST))
    spec = intervals(rows, measure.name, "low", "high", "model", round(chance, 4), least)
    said = {
        "multi": f"The dashed line is what a guess gives, {chance:.1%}: the mean share of clips that show a class. ",
        "dimensions": "The dashed line is what answers give that do not vary, 0. ",
    }
    caption = said.get(sources.space.kind, f"The dashed line is chance, {chance:.1%}. ")
    caption += "Bars are 95 % intervals." if rows["low"].notna().any() else "There are too few groups for intervals."
    title = f"{_titled(measure)} on {split}"
    return Chart(title, spec, caption, Table.of(title, rows))


def _chance(sources: Sources, split: str) -> float:
    """Return the score that models are compared by of a guess."""
    frame = sources.scored[sources.answer]
    labels = frame.loc[frame["split"] == split, "label"]
    if not sources.space.has_one_class:
        return by_chance(labels, sources.space)
    (_, (chance, _)), _ = baselines(labels).items()
    return chance


def _by_class(sources: Sources, split: str) -> Chart:
    """Return a score of each model by class or dimension."""
    name = by_class_table(sources.space)
    (column, title), found = BY_CLASS[name], sources.frame(name)
    found = found[found["split"] == split]
    others = [other for other in found if other not in ("model", "split", "label", column)]
    rows = found[["model", "label", column, *others]]
    is_share = name != "dimensions"
    if is_share:
        rows = rows.assign(percent=(100 * found[column]).map("{:.0f}".format))
    else:
        rows = rows.assign(text=found[column].map("{:.2f}".format), shade=found[column].clip(lower=0))
    text, shade = ("percent", column) if is_share else ("text", "shade")
    wide = rows.pivot(index="model", columns="label", values=text).reindex(rows["model"].unique())
    numbers = Table.of(title.format(split), wide.reset_index())
    spec = heat_map(rows, "label", "model", shade, text, step=(24 if is_share else 34, 20))
    return Chart(title.format(split), spec, numbers=numbers)


def _classes(sources: Sources, split: str) -> Chart:
    """Return average precision and F1 of the run's answer by class, with the number of clips that show it."""
    found = sources.frame("classes")
    found = found[(found["split"] == split) & (found["model"] == sources.answer)]
    named = found.assign(label=found["label"] + found["n"].map(" ({})".format))
    kinds = {"ap": "average precision", "f1": "F1"}
    rows = named.melt(["label", "n"], list(kinds), "score", "value").replace({"score": kinds}).round(4)
    title = f"Classes of {sources.answer} on {split}"
    caption = "Numbers after the classes are the clips that show them. F1 counts a class as named from 50 % on."
    numbers = found[["label", "n", "share", "ap", "f1"]].round(4).rename(columns=kinds)
    return Chart(title, grouped_bars(rows, "value", "label", "score"), caption, Table.of(title, numbers))


def correct_of(frame: pd.DataFrame) -> str:
    """Return how many clips of predictions are correct, such as `8 of 14`."""
    return f"{int((frame['label'] == frame['pred']).sum())} of {len(frame)}"
