"""The command `emopipe init`: looks at a folder or table of clips, and writes a config for it."""

import csv
import dataclasses
import functools
import io
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from emopipe.core.atomic import write_text
from emopipe.core.errors import ConfigError, CorpusError
from emopipe.core.label_block import LabelsBlock
from emopipe.core.labels import SETS, LabelSpace
from emopipe.core.text import abbreviate
from emopipe.core.validation import checked
from emopipe.corpora import duplicates, label_columns, listing, recognition, times
from emopipe.corpora.classes import is_class
from emopipe.corpora.folder import folders_of_classes
from emopipe.corpora.label_kind import with_kind
from emopipe.corpora.labelling import SEVEN, Labelling
from emopipe.corpora.recognition import Found
from emopipe.media import lengths
from emopipe.media.spans import spans_of
from emopipe.workflow import starter

LABELS = (
    "The classes of the clips: a set such as iemocap4, or your own with commas between them, such as bored,engaged; or "
    "the columns of numbers of a table, such as valence,arousal. Default: the seven (basic7), or those of the columns "
    "votes_<class> of a table."
)
"""The help of the option --labels."""
MOST_CLASSES = 20
"""An error names the folders as possible classes only if there are at most so many."""
DUPLICATES = ("exclude", "first", "keep")
"""What a config may choose for clips of the same content, the default first."""
ATTEMPTS: tuple[dict[str, str], ...] = (
    {},
    {"others": "exclude"},
    {"shared_subjects": "keep"},
    {"others": "exclude", "shared_subjects": "keep"},
)
"""Options with which a table is tried, in this order."""


def init(
    source: Annotated[Path, typer.Argument(help="A folder of clips, or a CSV or TSV with a row for each clip.")],
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: take the defaults, and say which.")] = False,
    labels: Annotated[str, typer.Option(help=LABELS)] = "",
    output: Annotated[Path | None, typer.Option(help="The config to write. Default: NAME.yaml in this folder.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
) -> None:
    """Look at a folder or table of clips, say what was found, and write the smallest config for it.

    Questions are asked only on a terminal, and only about what the files do not say. Nothing is trained or cached.
    """
    answers = _Answers(asks=not yes and is_terminal())
    labelling = _labelling(labels)
    source = Path(os.path.abspath(source))
    name = starter.name_for(source)
    config = output or Path(f"{name}.yaml")
    answers.may_write(config, force)
    if source.is_file():
        found, rows = _of_table(source, config, answers, labelling)
    else:
        found, rows = _of_folder(source, answers, labelling), ""
    found = _without_duplicates(found, answers)
    paths = [found.root / path for path in found.table["path"]]
    clips = zip(paths, spans_of(found.table), strict=True)
    look = lengths.look_at([(path, span) if span else path for path, span in clips])
    _report(source, found, look)
    streams = starter.streams_of(found, look.with_sound if look.seconds else None)
    text = _text(functools.partial(starter.config_text, found, name, source, streams), found, answers)
    if rows:
        answers.may_write(_list_beside(config, source), force)
        write_text(_list_beside(config, source), rows)
    write_text(config, text)
    typer.echo(f"\nWrote {config}{f' and {_list_beside(config, source)}' if rows else ''}. Next:\n")
    typer.echo(f"  emopipe run {config} -n    # shows what would run\n  emopipe run {config}")


def is_terminal() -> bool:
    """Return whether somebody can answer questions."""
    return sys.stdin.isatty() and sys.stdout.isatty()


class _Answers:
    """Asks on a terminal; elsewhere takes the defaults and says so."""

    def __init__(self, *, asks: bool) -> None:
        self._asks = asks

    def choose(self, question: str, choices: Sequence[str]) -> str:
        """Return one of the choices; the first is the default."""
        if len(choices) == 1:
            return choices[0]
        if not self._asks:
            typer.echo(f"{question} ({' or '.join(choices)}) Not asked; taken: {choices[0]}.")
            return choices[0]
        while (answer := typer.prompt(f"{question} ({' or '.join(choices)})", default=choices[0])) not in choices:
            typer.echo(f"{answer!r} is none of {', '.join(choices)}.")
        return answer

    def yes(self, question: str, *, other: str) -> bool:
        """Return whether the answer is yes, which is the default; `other` says what no means."""
        if self._asks:
            return typer.confirm(f"{question} If not, {other}.", default=True)
        typer.echo(f"{question} Not asked; taken: yes. If not, {other}.")
        return True

    def may_write(self, path: Path, force: bool) -> None:
        """Raise a ConfigError if a file exists that must not be overwritten."""
        if not path.exists() or force or (self._asks and typer.confirm(f"{path} exists. Overwrite it?", default=False)):
            return
        raise ConfigError(f"{path} exists, and it was not overwritten. Give another --output, or --force.")


def _labelling(labels: str) -> Labelling:
    """Return the label space that the option names: a set, or classes with commas between them.

    Raises:
        ConfigError: A name is not as it should be.
    """
    if not labels:
        return SEVEN
    if "," not in labels and labels not in SETS:
        raise ConfigError(
            f"--labels is {labels!r}. Expected one of the sets {', '.join(SETS)}, or two or more names with commas "
            "between them, such as bored,engaged. Name all classes of the clips."
        )
    block = {"names": [name.strip() for name in labels.split(",")]} if "," in labels else {"set": labels}
    return Labelling.of(checked(LabelsBlock, block, "--labels"))


def _of_folder(source: Path, answers: _Answers, labelling: Labelling) -> Found:
    try:
        found = recognition.in_folder(source, labelling)
    except CorpusError as error:
        raise _with_own_classes(error, source, labelling) from error
    guess = recognition.with_people(found)
    if guess is None:
        return found
    people = sorted(set(guess.table["subject"]))
    question = f"File names begin with what may be {len(people)} people ({abbreviate(people)}). Are they people?"
    return guess if answers.yes(question, other="nothing is known about people") else found


def _with_own_classes(error: CorpusError, source: Path, labelling: Labelling) -> CorpusError:
    """Return the error; if folders of other classes may be why, it says how to name these classes."""
    names = folders_of_classes(source) if labelling == SEVEN and source.is_dir() else []
    if not 2 <= len(names) <= MOST_CLASSES or any("," in name for name in names):
        return error
    return CorpusError(
        f"{error} If the folders {abbreviate(names)} are your own classes, name them: emopipe init "
        f"{shlex.quote(str(source))} --labels {shlex.quote(','.join(names))}"
    )


def _without_duplicates(found: Found, answers: _Answers) -> Found:
    """Return the corpus without the clips that the user omits because others have the same content."""
    table = duplicates.with_possible_digests(found.table, found.root, None)
    shared = duplicates.across(table, found.root)
    if shared.empty:
        return found
    typer.echo(duplicates.said(shared))
    choice = answers.choose("Which of them are used: none, the first of each content, or all?", DUPLICATES)
    kept = duplicates.resolve(table, found.root, choice).drop(columns="digest")
    return dataclasses.replace(found, table=kept, duplicates=choice)


def _text(draft: Callable[..., str], found: Found, answers: _Answers) -> str:
    """Return the text of the config: with the splits as they are, or with every clip predicted out of fold.

    Args:
        draft: `starter.config_text`, which lacks `cross_validate` alone.
        found: The corpus.
        answers: Asks whether a drawn val split is wanted.

    Raises:
        CorpusError: The clips are not enough to train on in either way.
    """
    so = "so every clip is predicted by models that were trained without it (protocol: kfold)"
    if (found.table.loc[found.table["label"] != "", "split"] == "train").all():
        text = draft(cross_validate=True)
        typer.echo(f"No labelled clip is in val or test, {so}.")
    elif not found.drawn:
        text = draft()
    else:
        try:
            text = draft()
        except CorpusError:
            text = draft(cross_validate=True)
            typer.echo(f"{found.drawn} The other clips are too few to train on, {so}.")
        else:
            wanted = answers.yes(f"{found.drawn} Keep this val split?", other=so.removeprefix("so "))
            text = text if wanted else draft(cross_validate=True)
    return text


def _of_table(source: Path, config: Path, answers: _Answers, labelling: Labelling) -> tuple[Found, str]:
    """Return the corpus of a table and, if emopipe cannot read the table as it is, the text of one that it can read."""
    own = listing.read(source)
    labelling = with_kind(own, labelling)
    has_labels = label_columns.has_labels(own.columns, labelling.space, labelling.class_of)
    chosen = {}

    def is_label(cell: str) -> bool:
        return is_class(cell) or labelling.label_of(cell) is not None

    for column in [name for name in listing.NAMES if name != "label" or not has_labels]:
        candidates = [name for name in own.candidates(column, is_label) if name not in chosen.values()]
        if column in times.COLUMNS and not own.repeats(chosen["path"]):
            candidates = [name for name in candidates if name == column]
        if column in ("path", "label"):
            listing.refuse_without(own, column, candidates)
        if candidates:
            chosen[column] = answers.choose(f"Which column of {source} is the {column}?", candidates)
    root = own.root(chosen["path"])
    if own.is_read_as_it_is(chosen) and root == source.parent:
        return _scanned(root, {"table": source.name}, labelling), ""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(own.rows(chosen, root))
    with tempfile.NamedTemporaryFile("w", suffix=".csv", encoding="utf-8") as file:
        file.write(text.getvalue())
        file.flush()
        found = _scanned(root, {"table": file.name}, labelling)
    options = {**found.options, "table": str(_list_beside(config, source).absolute())}
    return dataclasses.replace(found, options=options), text.getvalue()


def _scanned(root: Path, options: dict[str, str], labelling: Labelling) -> Found:
    """Return the corpus of a table, with the first of ATTEMPTS that it needs.

    Raises:
        CorpusError: None of them fits. The message is that of the table as it is.
    """
    first = None
    for more in ATTEMPTS:
        try:
            found = recognition.scanned("table", root, {**options, **more}, labelling)
        except CorpusError as error:
            first = first or error
        else:
            if more:
                typer.echo(f"{first} Taken: {', '.join(f'{name}: {value}' for name, value in more.items())}.")
            return found
    raise first


def _list_beside(config: Path, source: Path) -> Path:
    """Return the path of the table that emopipe can read; it is never the user's own."""
    path = config.with_name(f"{config.stem}_clips.csv")
    return path if path.absolute() != source else config.with_name(f"{config.stem}_clips_read.csv")


def _report(source: Path, found: Found, look: lengths.Look) -> None:
    """Print what was found, a line for each matter."""
    table, people = found.table, sorted(set(found.table["subject"]) - {""})
    labels, parts = table["label"].replace("", "unlabelled"), table[times.is_part(table)]
    has_classes = found.labelling.space.kind != "dimensions"
    options = ", ".join(f"{name}: {value}" for name, value in found.options.items())
    lines = {
        "kind": f"{found.kind} ({options})" if options else found.kind,
        "clips": f"{len(table)}: {_counts(table['split'])}",
        "parts": f"{len(parts)} of the clips are parts of files: {abbreviate(sorted(set(parts['path'])))}"
        if len(parts)
        else "",
        "labels": _labels(labels, found.labelling.space),
        "classes": f"{labels[table['label'] != ''].nunique()}: {_counts(labels)}" if has_classes else "",
        "people": f"{len(people)}: {abbreviate(people, limit=8)}" if people else "not known",
        "lengths": _lengths(look),
        "others": ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in sorted(found.odd.items())),
    }
    typer.echo(f"Found in {source}:")
    for what, said in lines.items():
        if said:
            typer.echo(f"  {what:<8} {said}")


def _labels(labels: pd.Series, space: LabelSpace) -> str:
    """Return the kind of labels, unless it is one class for each clip, and the range of numbers that was found."""
    if space.kind != "dimensions":
        return {"votes": "votes of raters (kind: votes)", "multi": "several classes for a clip (kind: multi)"}.get(
            space.kind, ""
        )
    known = [space.vector(label) for label in labels[labels != "unlabelled"]]
    lowest, highest = (list(map(way, zip(*known, strict=True))) for way in (min, max))
    found = [f"{n} {low:g} to {high:g}" for n, low, high in zip(space.names, lowest, highest, strict=True)]
    return f"numbers (kind: dimensions): {', '.join(found)}; range: {space.low:g} to {space.high:g}"


def _counts(column: pd.Series) -> str:
    return ", ".join(f"{count} {name}" for name, count in column.value_counts(sort=False).sort_index().items())


def _lengths(look: lengths.Look) -> str:
    opened = f"of {len(look.seconds) + look.failed} clips that were opened"
    failed = f"; {look.failed} cannot be decoded" if look.failed else ""
    if not look.seconds:
        return f"not known: none {opened} can be decoded"
    silent = len(look.seconds) - look.with_sound
    sound = f"; {silent} without sound" if silent else ""
    return f"{min(look.seconds):.1f} to {max(look.seconds):.1f} s ({opened}{failed}{sound})"
