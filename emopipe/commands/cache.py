"""The command `emopipe cache`: what the caches take, and how to make them smaller."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from emopipe.cache import pictures
from emopipe.cache.usage import Usage, usages
from emopipe.core.atomic import CACHES
from emopipe.core.errors import CacheError, ConfigError
from emopipe.workflow import config as configs
from emopipe.workflow.config import Config
from emopipe.workflow.pruning import Unused, asked_for, unused
from emopipe.workflow.resume import refuse_alive

Paths = Annotated[
    list[Path] | None,
    typer.Argument(help="Caches (folders), and configs (files). Default: all caches in cache/.", metavar="[PATH]..."),
]
Prune = Annotated[bool, typer.Option("--prune", help="Delete what none of the given configs asks for.")]
Faces = Annotated[
    bool,
    typer.Option("--faces", help="Drop sampled frames and crops of faces; keep the vectors made from them."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Delete without asking.")]


def cache(paths: Paths = None, prune: Prune = False, faces: Faces = False, yes: Yes = False) -> None:
    """Show what the caches take, by stage and preset; delete what is not needed.

    Call it in the folder that holds `cache/`. Whatever it deletes can be computed again, as long as the corpus exists.
    """
    folders, given = _split(paths or [])
    if prune and faces:
        raise ConfigError("--prune and --faces were both given. Give one of them, then the other.")
    caches = _caches(folders, given)
    if prune or faces:
        refuse_alive(Path.cwd().resolve())
        _refuse_links(caches)
    if prune:
        _prune(folders, given, yes=yes)
    elif faces:
        _drop(caches, yes=yes)
    else:
        _show(caches)


def _split(paths: Sequence[Path]) -> tuple[list[Path], list[Config]]:
    """Return the caches and the checked configs among the arguments.

    Raises:
        ConfigError: A path does not exist, a folder is not a cache, or a config has a fault.
    """
    folders = [path for path in paths if path.is_dir()]
    for folder in folders:
        if folder.absolute().parent.resolve() != CACHES.resolve():
            raise ConfigError(f"{folder} is not a cache. Name a folder in {CACHES}/, such as {CACHES}/demo.")
    return [CACHES / path.absolute().name for path in folders], [_read(path) for path in paths if path not in folders]


def _read(path: Path) -> Config:
    raw = configs.read(path)
    return configs.parse({"corpus_root": ".", **raw})  # the corpus itself is not read


def _caches(folders: Sequence[Path], given: Sequence[Config]) -> list[Path]:
    """Return the caches that are named, those of the corpora of the configs, or else all.

    Raises:
        CacheError: There is none.
    """
    named = list(dict.fromkeys([*folders, *asked_for(given)]))
    found = [each for each in named or sorted(CACHES.glob("*")) if each.is_dir()]
    if not found:
        raise CacheError(
            f"There is no cache {', '.join(map(str, named)) or f'in {CACHES.resolve()}'}. A run makes it; call this in "
            "the folder in which you run."
        )
    return found


def _refuse_links(caches: Sequence[Path]) -> None:
    """Refuse a cache that is a link: what would be deleted is outside of `cache/`.

    Raises:
        CacheError: A cache, or the folder of a stage in it, is a link.
    """
    for path in (path for folder in caches for path in (folder, *folder.glob("*"))):
        if path.is_symlink():
            raise CacheError(
                f"{path} is a link to {path.resolve()}, and nothing outside of {CACHES}/ is deleted. Delete there by "
                "hand what you do not need, or name another cache."
            )


# -- what they take ---


def _show(caches: Sequence[Path]) -> None:
    for folder in caches:
        found = usages(folder)
        _print(f"{folder}", found)
        typer.echo(f"{folder}: {_megabytes(sum(usage.bytes for usage in found))} in all")


def _print(title: str, found: Sequence[Usage]) -> None:
    table = Table(title=title, box=None, pad_edge=False, title_justify="left")
    for column in ("stage", "preset", "shards", "files", "clips", "size"):
        table.add_column(column, justify="left" if column in ("stage", "preset") else "right", no_wrap=True)
    for usage in found:
        clips = "" if usage.clips is None else str(usage.clips)
        shards = str(usage.shards) if usage.clips is not None else ""
        table.add_row(usage.stage, usage.preset, shards, str(usage.files), clips, _megabytes(usage.bytes))
    Console().print(table)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


# -- prune ---


def _prune(folders: Sequence[Path], given: Sequence[Config], *, yes: bool) -> None:
    """Delete what no config asks for.

    Raises:
        ConfigError: There is no config, or none for a cache that is named.
    """
    asked = asked_for(given)
    if not asked:
        raise ConfigError(
            "--prune needs the configs whose files stay: give all configs that you still use, as in `emopipe cache "
            "--prune configs/afew.yaml configs/paper.yaml`."
        )
    for folder in folders:
        if folder not in asked:
            raise ConfigError(
                f"No given config has the cache {folder}, so all of it would go. Give a config of that corpus, or "
                "delete the folder by hand."
            )
    found = unused({folder: stages for folder, stages in asked.items() if not folders or folder in folders})
    if not found:
        typer.echo("The given configs ask for all that there is. Nothing is deleted.")
        return
    for each in found:
        names = ", ".join(path.name for path in each.paths)
        typer.echo(f"{each.stage}: {each.preset}, {_megabytes(each.bytes)} ({names})")
    total = _megabytes(sum(each.bytes for each in found))
    _confirm(f"Delete these {len(found)} presets, {total}?", yes=yes)
    _delete(found)
    typer.echo(f"{total} were deleted.")


def _delete(found: Sequence[Unused]) -> None:
    for path in (path for each in found for path in each.paths):
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        except OSError as error:
            raise CacheError(
                f"{path} cannot be deleted ({error.strerror or error}). Correct this, then try again."
            ) from error


def _confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal.

    Raises:
        ConfigError: There is nobody to ask, and --yes was not given.
    """
    if yes:
        return
    if not _is_terminal():
        raise ConfigError("Nothing was deleted, because nobody can be asked here. Give --yes to delete this.")
    if not typer.confirm(question):
        typer.echo("Nothing was deleted.")
        raise typer.Exit


def _is_terminal() -> bool:
    return sys.stdin.isatty()


# -- drop pictures ---


def _drop(caches: Sequence[Path], *, yes: bool) -> None:
    """Drop the pictures from which faces or vectors have been made."""
    found = [each for folder in caches for each in pictures.droppable(folder)]
    if not found:
        typer.echo("There are no pictures that can be dropped: none are left, or nothing has been made from them yet.")
        return
    total = _megabytes(sum(each.bytes for each in found))
    for stage, field in pictures.PICTURES.items():
        files = [each for each in found if each.field == field]
        typer.echo(f"{stage}: pictures in {len(files)} files, {_megabytes(sum(each.bytes for each in files))}")
    typer.echo("Sound, vectors, statuses, boxes and landmarks stay. A face network that is added later needs pictures;")
    typer.echo("the next run then makes them again.")
    _confirm(f"Drop these pictures, {total}?", yes=yes)
    for each in found:
        try:
            pictures.drop(each.path, each.field)
        except OSError as error:
            raise CacheError(
                f"{each.path} cannot be rewritten ({error.strerror or error}). It is unchanged. Correct this, then run "
                "the command again."
            ) from error
    typer.echo(f"{total} were dropped.")
