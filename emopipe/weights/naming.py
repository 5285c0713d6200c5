"""What a config may say of weights: a path, or a name of the registry."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emopipe.core.errors import ConfigError, WeightsError
from emopipe.weights.entries import DETECTOR, Entry, Registry, package_registry
from emopipe.weights.paths import entry_at, path_of


@dataclass(frozen=True)
class Chosen:
    """The weights that a config chose."""

    path: str
    """Where they belong; nothing says yet that they are there."""
    defaults: dict[str, Any]
    """Options that go with them, for those that the config leaves out; none for a path."""


def resolve(given: str, kind: str, where: str, registry: Registry | None = None) -> Chosen:
    """Tell a path from a name, and look the name up.

    Args:
        given: What the config says.
        kind: What is to read the weights: a backbone's kind, or `detector:<detector>`.
        where: The config's key, for messages.
        registry: The package's own where left out.

    Raises:
        ConfigError: There is no such name, or its weights are another network's.
    """
    registry = registry or package_registry()
    if is_path(given, registry):
        return Chosen(given, {})
    entry = named(given, registry, where)
    if entry.kind != kind:
        raise ConfigError(
            f"{where} is {given}, weights of {_kind(entry.kind)}, but they are to be read by {_kind(kind)}; "
            "`emopipe weights list` shows which there are."
        )
    return Chosen(str(path_of(entry, registry)), entry.defaults)


def is_path(given: str, registry: Registry) -> bool:
    """Whether it is a path: it has a separator or a suffix, or is a file, or a folder that goes by no weights' name."""
    looks_so = "/" in given or "\\" in given or bool(Path(given).suffix)
    return looks_so or Path(given).is_file() or (given not in registry.entries and Path(given).is_dir())


def named(name: str, registry: Registry, where: str = "") -> Entry:
    """The entry of this name; `where` is the config's key that has it, for the message.

    Raises:
        ConfigError: There is none; the message has the nearest names.
    """
    if name in registry.entries:
        return registry.entries[name]
    near = difflib.get_close_matches(name, registry.entries, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    subject = f"{where} is {name!r}, which is neither a file nor" if where else f"{name!r} is not"
    raise ConfigError(f"{subject} one of the weights that `emopipe weights list` shows.{hint}")


def refuse_missing(path: Path | str, where: str, registry: Registry | None = None) -> None:
    """Refuse the path of a registry's entry whose file is not there; other paths are for their readers to refuse.

    Raises:
        WeightsError: What is missing, where it goes, how to get it.
    """
    registry = registry or package_registry()
    entry = None if Path(path).is_file() else entry_at(path, registry)
    if entry:
        raise WeightsError(f"{where} needs the weights {entry.name}: {how_to_get(entry, registry)}.")


def how_to_get(entry: Entry, registry: Registry) -> str:
    """That an entry's file is missing, where it goes, and how to get it: the rest of a sentence."""
    path = path_of(entry, registry)
    if entry.shipped:
        return f"{path} is not there, though it comes with emopipe; install emopipe again"
    source = f"{entry.archive.member} of {entry.url}" if entry.archive else entry.url
    terms = f"{entry.licence}, for non-commercial use only" if entry.noncommercial else entry.licence
    return f"{path} is not there; run `emopipe weights fetch {entry.name}`, or put {source} there ({terms})"


def _kind(kind: str) -> str:
    detector = kind.removeprefix(DETECTOR)
    return f"a network of kind {kind}" if detector == kind else f"the face detector {detector}"
