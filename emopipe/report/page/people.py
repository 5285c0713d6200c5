"""The score on the clips of people of each sex, age, ethnicity, race and language."""

from emopipe.report.page.charts import intervals
from emopipe.report.page.parts import Chart, Group, Section, Table
from emopipe.report.page.scores import LEAST, written
from emopipe.report.page.sources import Sources
from emopipe.scoring.measures import primary

TABLE = "subgroups"


def is_known(sources: Sources) -> bool:
    """Return whether the run has the table."""
    return TABLE in sources.tables_of_corpus


def section(sources: Sources) -> Section:
    """Return the section."""
    charts = [_chart(sources, split) for split in sources.splits]
    return Section("people", "Groups of people", [Group(charts), written(sources, TABLE)])


def _chart(sources: Sources, split: str) -> Chart:
    """Return the score of the run's answer on each group of a split, and its score on all clips."""
    measure, found = primary(sources.space), sources.frame(TABLE)
    found = found[(found["split"] == split) & (found["model"] == sources.answer)]
    found = found.assign(group=found["column"] + ": " + found["value"].astype(str))
    rows = found[["group", measure.key, "low", "high", "n", "people"]].round(4)
    rows = rows.rename(columns={measure.key: measure.name, "n": "clips"})
    least = None if measure.is_share else min(LEAST, float(rows[[measure.name, "low"]].min(axis=None)))
    whole = round(sources.score(sources.answer, split), 4)
    spec = intervals(rows, measure.name, "low", "high", "group", whole, least)
    caption = f"The dashed line is {sources.answer} on all clips. Groups without a bar have too few people for one."
    title = f"{sources.answer} on {split}, by groups of people"
    return Chart(title, spec, caption, Table.of(title, rows))
