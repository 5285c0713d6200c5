"""Each model in detail: which answers it gives for which labels, and whether its probabilities can be believed."""

import pandas as pd

from emopipe.report.measure_words import shown
from emopipe.report.page import agreement, one_class, several
from emopipe.report.page.parts import Group, Paragraphs, Section
from emopipe.report.page.scores import correct_of
from emopipe.report.page.sources import Sources
from emopipe.scoring.measures import primary

TITLES = {
    "multi": "Each model: precision, recall and reliability",
    "dimensions": "Each model: predicted and given values",
}
"""Kind of a label space -> the title of the section; that of the others is another."""


def section(sources: Sources) -> Section:
    """Return the section: the run's answer first, and open."""
    module = {"multi": several, "dimensions": agreement}.get(sources.space.kind, one_class)
    names = [sources.answer, *(name for name in sources.names if name != sources.answer)]
    groups = []
    for name in names:
        for split in sources.splits:
            frame = sources.scored[name]
            part = frame[frame["split"] == split]
            of = f"{name} on {split}"
            charts = module.charts_of(part, of, sources.space)
            groups.append(Group(charts, f"{of}: {_score(sources, name, split, part)}", opened=not groups))
    title = TITLES.get(sources.space.kind, "Each model: confusions and reliability")
    return Section("models", title, [Paragraphs([module.NOTE]), *groups])


def _score(sources: Sources, name: str, split: str, part: pd.DataFrame) -> str:
    if sources.space.has_one_class:
        return f"{correct_of(part)} correct"
    measure = primary(sources.space)
    return f"{measure.name} {shown(measure, sources.score(name, split))}"
