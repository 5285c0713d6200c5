"""The comparison of runs as tables for the terminal. Texts come from files, so none of them is read as markup."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from emopipe.core.text import escape_text
from emopipe.report.between_runs.compared import Against, Compared
from emopipe.report.between_runs.scores import PrimaryRow, Row, Score
from emopipe.report.measure_words import of_p
from emopipe.scoring.measures import CCC

STAGES = 4
"""How many stages a row names."""


def show(compared: Compared, console: Console, clips: int) -> None:
    """Print how each further run differs from the first, and what that did.

    Args:
        compared: The comparison.
        console: Where to print.
        clips: How many ids of clips to print of each kind.
    """
    for against in compared.against:
        _differences(against, console, clips)
        of_run = [row for row in compared.scores if row.run == against.run]
        _scores(of_run, against, console)
        _moved([row for row in of_run if isinstance(row, Row)], against, console, clips)
        _sentences("What cannot be known", against.unknown, console)
    console.print(Text(_notes(compared.scores)), soft_wrap=True)


def _differences(against: Against, console: Console, clips: int) -> None:
    first, run = against.first_run, against.run
    console.print(Text(f"{run} against {first}", style="bold"))
    _table("Config", ("key", first, run), [(c.key, _value(c.first), _value(c.second)) for c in against.config], console)
    if against.places:
        places = ", ".join(f"{c.key} ({_value(c.first)} -> {_value(c.second)})" for c in against.places)
        console.print(Text(f"Names and folders, which change no number: {places}"), soft_wrap=True)
    made = [
        (each.what, each.key, _value(each.first), _value(each.second), _listed(each.stages, STAGES))
        for each in against.made_by
    ]
    _table("Code, libraries and weights", ("what", "", first, run, "of"), made, console)
    data = [(each.what, each.first, each.second, len(each.clips), _listed(each.clips, clips)) for each in against.data]
    _table("Data", ("what", first, run, "clips", "which"), data, console)
    for names, where in ((against.models_only_first, first), (against.models_only_here, run)):
        if names:
            console.print(Text(f"Only {where} has: {', '.join(names)}"), soft_wrap=True)
    if not (against.config or against.made_by or against.data):
        console.print("No difference was found in config, code, libraries, weights and data.")


def _scores(rows: Sequence[Row | PrimaryRow], against: Against, console: Console) -> None:
    if any(isinstance(row, PrimaryRow) for row in rows):
        _primary(rows, against, console)
    else:
        _accuracy(rows, against, console)
    omitted = [
        f"{r.model} on {r.split}: {r.only_first} clips are predicted by {r.first_run} alone, and {r.other_labels} have "
        "different labels; they do not count."
        for r in rows
        if r.only_first or r.other_labels
    ]
    _sentences("Clips that are not compared", omitted, console)


def _primary(rows: Sequence[PrimaryRow], against: Against, console: Console) -> None:
    """Print macro AP in percent, or CCC."""
    measure = rows[0].measure
    heading = ("model", "split", "clips", against.first_run, against.run, "difference [95 %]", "p", "p (Holm)", "")
    made = [
        (*_named(r), r.n, _of(r.first_score, measure), _of(r.score, measure), _of(r.difference, measure, "+"),
         of_p(r.p), of_p(r.p_holm), r.verdict)
        for r in rows
    ]  # fmt: skip
    _table(f"{measure} [95 %]", heading, made, console)


def _of(score: Score, measure: str, sign: str = "") -> str:
    """Return a score, or a difference with its sign: percent with one decimal, or CCC with three."""
    shape = f"{{:{sign}.{3 if measure == CCC.name else 1}f}}"
    bounds = "" if score.low != score.low else f" [{shape}, {shape}]".format(score.low, score.high)
    return shape.format(score.value) + bounds


def _accuracy(rows: Sequence[Row], against: Against, console: Console) -> None:
    heading = ("model", "split", "clips", against.first_run, against.run, "points [95 %]")
    accuracy = [
        (*_named(r), r.n, _percent(r.first_accuracy), _percent(r.accuracy), _points(r.difference), of_p(r.p),
         of_p(r.p_holm), r.verdict)
        for r in rows
    ]  # fmt: skip
    _table("Accuracy [95 %]", (*heading, "p", "p (Holm)", ""), accuracy, console)
    uar = [(*_named(r), r.n, _percent(r.first_uar), _percent(r.uar), _points(r.uar_difference)) for r in rows]
    _table("UAR [95 %]", heading, uar, console)


def _moved(rows: Sequence[Row], against: Against, console: Console, clips: int) -> None:
    """Print which clips became correct or wrong."""
    moved = [
        (*_named(row), len(row.corrected), _listed(row.corrected, clips), len(row.spoiled), _listed(row.spoiled, clips))
        for row in rows
        if row.corrected or row.spoiled
    ]
    title = f"Clips that {against.run} changes from wrong to correct, and from correct to wrong"
    _table(title, ("model", "split", "corrected", "", "spoiled", ""), moved, console)


def _notes(rows: Sequence[Row | PrimaryRow]) -> str:
    methods = {"none": "too few for intervals", "t": "intervals by t", "bootstrap": "intervals by bootstrap"}
    drawn = dict.fromkeys(
        f"{row.groups} {row.drawn}{'s' * (row.groups > 1)} ({methods[row.interval]}; {row.test})" for row in rows
    )
    return (
        f"Both runs on the same clips, with the same labels; over {' and '.join(drawn)}, as in the tables of a run "
        f"(docs/method.md). p (Holm) is corrected for the {len(rows)} rows of this comparison."
    )


def _table(title: str, heading: Sequence[str], rows: Sequence[Sequence[Any]], console: Console) -> None:
    """Print a table, if it has rows; columns without any text are omitted."""
    if not rows:
        return
    columns = [k for k in range(len(heading)) if any(str(row[k]) for row in rows)]
    table = Table(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for k in columns:
        table.add_column(Text(heading[k]), overflow="fold")
    for row in rows:
        table.add_row(*(Text(escape_text(str(row[k]))) for k in columns))
    console.print(table)


def _sentences(title: str, sentences: Iterable[str], console: Console) -> None:
    lines = [*dict.fromkeys(sentences)]
    if lines:
        console.print(Text(f"{title}:", style="bold"))
        for line in lines:
            console.print(Text(f"- {escape_text(line)}"), soft_wrap=True)


def _named(row: Row | PrimaryRow) -> tuple[str, str]:
    return (row.model if row.model == row.first_model else f"{row.first_model} / {row.model}"), row.split


def _listed(items: Sequence[str], limit: int) -> str:
    more = len(items) - limit
    return ", ".join(items[:limit]) + (f"{' and ' if limit else ''}{more} more" if more > 0 and limit else "")


def _value(value: Any) -> str:
    """Return a value as a config holds it: null, true, [0, 1]; texts without quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _percent(score: Score) -> str:
    bounds = "" if score.low != score.low else f" [{score.low:.1f}, {score.high:.1f}]"
    return f"{score.value:.1f}%{bounds}"


def _points(score: Score) -> str:
    bounds = "" if score.low != score.low else f" [{score.low:+.1f}, {score.high:+.1f}]"
    return f"{score.value:+.1f}{bounds}"
