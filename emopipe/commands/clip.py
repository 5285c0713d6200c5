"""The command `emopipe clip`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emopipe.core.errors import ConfigError
from emopipe.core.log import log_to
from emopipe.core.text import escape_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from emopipe.report.clip.story import ClipStory


def clip(
    clip_id: Annotated[str, typer.Argument(metavar="ID", help="The id of a clip, as in ledger.csv of the run.")],
    run: Annotated[str, typer.Option(help="A finished run: its folder, such as results/demo, or its name.")],
    html: Annotated[Path | None, typer.Option(help="Write a page with pictures to this .html file.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write one picture with all parts to this .png file.")] = None,
    no_faces: Annotated[
        bool, typer.Option("--no-faces", help="Omit frames and faces from the page and from the picture.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the facts as JSON, and nothing else, to standard output.")
    ] = False,
) -> None:
    """Show what is known of one clip of a finished run: stages, faces, attention over time, and all predictions.

    Frames, faces and sound come from the cache of the run. What the cache no longer holds is named.
    """
    log_to(None)
    for option, path in (("html", html), ("png", png)):
        if path is not None and path.suffix != f".{option}":
            raise ConfigError(f"--{option} is {path}. Expected a name that ends in .{option}.")
    from emopipe.report.clip.facts import facts
    from emopipe.report.clip.gathering import gather
    from emopipe.workflow import clip_sources

    sources = clip_sources.of_folder(clip_sources.find_run(run))
    needs_pictures = not no_faces and (html is not None or png is not None)
    story = gather([clip_id], sources, faces=needs_pictures)[clip_id]
    _write(story, sources.results.resolve().name, html, png)
    if as_json:
        typer.echo(json.dumps(facts(story), allow_nan=False))
    else:
        _print(story)


def _write(story: "ClipStory", run: str, html: Path | None, png: Path | None) -> None:
    """Write the page and the picture that are asked for; matplotlib is imported for these alone."""
    from emopipe.core.atomic import replacing, write_text

    if html is not None:
        from emopipe.report.clip.page import page

        write_text(html, page(story, run))
    if png is not None:
        from emopipe.report.clip.sheet import sheet_image

        with replacing(png) as temporary:
            temporary.write_bytes(sheet_image(story))


def _print(story: "ClipStory") -> None:
    from rich.console import Console

    from emopipe.report.clip import words
    from emopipe.report.clip.raters import other_columns

    console = Console()
    _say(console, story.clip, style="bold")
    _say(console, words.outcome(story))
    for name, value in other_columns(story).items():
        if name not in ("clip", "split", "label", "digest", "file_digest"):
            _say(console, f"{name}: {value}")
    for remark in words.remarks(story):
        _say(console, remark, style="yellow")
    console.print(_stages(story))
    for preset, media in story.media.items():
        _say(console, f"decode {preset}: {words.media(media)}")
    for preset, track in story.faces.items():
        _say(console, f"faces {preset}: {words.face(track)}")
    if story.votes:
        console.print(_votes(story))
    if story.attention:
        console.print(_attention(story))


def _say(console: "Console", text: str, style: str = "") -> None:
    """Print text that may come from a file: it is neither markup nor coloured by its content."""
    console.print(escape_text(text), style=style, markup=False, highlight=False, soft_wrap=True)


def _table(*columns: str, title: str) -> "Table":
    from rich.table import Column, Table

    return Table(*(Column(name, overflow="fold") for name in columns), title=title, title_justify="left")


def _add(table: "Table", *cells: str) -> None:
    """Add a row of texts that may come from files."""
    from rich.text import Text

    table.add_row(*(Text("\n".join(escape_text(line) for line in cell.split("\n"))) for cell in cells))


def _stages(story: "ClipStory") -> "Table":
    table = _table("stage", "status", "reason", title="Stages")
    for one in story.stages:
        _add(table, one.stage, one.status, one.reason)
    return table


def _votes(story: "ClipStory") -> "Table":
    from emopipe.report.clip import words
    from emopipe.report.clip.raters import raters

    title = f"Predictions (seeds: {words.SEEDS[story.space.kind]})"
    if not story.space.has_one_class:
        return _numbers(story, title)
    judged = {True: ", correct", False: ", wrong", None: ""}
    of_label = [f"of {story.label}"] if story.label else []
    table = _table("model", "predicts", "probability", *of_label, "seeds", title=title)
    rows = [(vote, judged[vote.is_correct(story.label)]) for vote in story.votes]
    for vote, judgement in (*rows, *((vote, "") for vote in raters(story))):
        shares = [f"{vote.p(name):.0%}" for name in ("", *filter(None, [story.label]))]
        _add(table, vote.model, vote.pred + judgement, *shares, words.seeds(vote))
    return table


def _numbers(story: "ClipStory", title: str) -> "Table":
    """Return the answers of several classes, or of dimensions: a column for each name."""
    from emopipe.report.clip import words

    is_share = story.space.kind == "multi"
    table = _table("model", *story.space.names, "seeds", title=title)
    for vote in story.votes:
        _add(table, vote.model, *(f"{v:.0%}" if is_share else f"{v:.2f}" for v in vote.values), words.seeds(vote))
    if story.label:
        given = story.space.vector(story.label)
        _add(table, "(label)", *(("yes" if v else "no") if is_share else f"{v:.2f}" for v in given), "")
    return table


def _attention(story: "ClipStory") -> "Table":
    from emopipe.report.clip import words

    table = _table("model", "stream", "attention over time", title="Attention")
    for one in story.attention:
        _add(table, one.model, one.stream, words.attention(one))
    return table
