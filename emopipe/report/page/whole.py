"""Puts the page together, within a budget of bytes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2

from emopipe.core.atomic import write_text
from emopipe.core.notice import NOTICE
from emopipe.report.page import (
    about,
    by_model,
    corpus,
    coverage,
    drawing,
    gallery,
    maps,
    mistakes,
    people,
    raters,
    scores,
    training,
)
from emopipe.report.page.gallery import Gallery
from emopipe.report.page.parts import Chart, Group, Section
from emopipe.report.page.sources import Sources
from emopipe.report.page.template import FILES
from emopipe.report.summary import read_first

BUDGET = 15_000_000
"""Most bytes of a page. Pictures of the gallery are omitted first, then the maps."""
RESERVE = 200_000
"""Bytes of the budget for the sentences that say what was omitted."""
OF_CORPUS = (raters, people)
"""The modules of the sections that follow `scores` if the corpus says something about raters, or about people."""
SECTIONS = (scores, by_model, mistakes, coverage, corpus, training, maps, about)
"""The modules of the sections, in their order on the page; the gallery follows `mistakes`."""


def write(sources: Sources, path: Path, budget: int = BUDGET) -> None:
    """Write the page of a run.

    Args:
        sources: What it is made from.
        path: The HTML file to write.
        budget: Most bytes of the file.
    """
    sections = [module.section(sources) for module in SECTIONS]
    shown = gallery.section(sources)
    sections.insert(1 + SECTIONS.index(mistakes), shown)
    sections[1:1] = [module.section(sources) for module in OF_CORPUS if module.is_known(sources)]
    page = _render(sources, sections)
    if (excess := _excess(page, budget)) > 0:
        sections = [_with_fewer_pictures(one, excess) if one is shown else one for one in sections]
        page = _render(sources, sections)
    if _excess(page, budget) > 0:
        sections = [replace(one, parts=[maps.OMITTED]) if one.name == "maps" else one for one in sections]
        page = _render(sources, sections)
    write_text(path, page)


def _excess(page: str, budget: int) -> int:
    """Return by how many bytes a page is too large."""
    return len(page.encode()) - budget


def _with_fewer_pictures(section: Section, excess: int) -> Section:
    parts = [p.without_pictures(excess + RESERVE) if isinstance(p, Gallery) else p for p in section.parts]
    return replace(section, parts=parts)


def _render(sources: Sources, sections: Sequence[Section]) -> str:
    """Return the page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FILES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    charts = {id(chart): number for number, chart in enumerate(_charts(sections))}
    environment.globals |= {
        "number_of": lambda chart: charts[id(chart)],
        "picture_of": lambda chart: drawing.picture(chart.spec, f"c{charts[id(chart)]}"),
        "embedded": drawing.embedded,
        "library": drawing.library,
    }
    return environment.get_template("page.html.j2").render(
        run=sources.folder.name,
        first=read_first(sources.folder / "summary.md"),
        remarks=sources.recipe["report"].get("remarks", []),
        sections=sections,
        notice=NOTICE,
    )


def _charts(parts: Sequence[Any]) -> list[Chart]:
    """Return all charts of sections, groups and other parts."""
    found = []
    for part in parts:
        if isinstance(part, Chart):
            found.append(part)
        elif isinstance(part, Section | Group):
            found += _charts(part.parts)
    return found
