"""What a config may name as weights: a path, or a name of the registry."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emopipe.core.errors import ConfigError, WeightsError
from emopipe.weights.entries import DETECTOR, Entry, Registry, package_registry
from emopipe.weights.paths import entry_at, path_of


@dataclass(frozen=True)
class Chosen:
    """The weights that a config names."""

    path: str
    """Their path, whether or not the file exists."""
    defaults: dict[str, Any]
    """Options that these weights need, as defaults of the config's options; empty for a path."""


def resolve(given: str, kind: str, where: str, registry: Registry | None = None) -> Chosen:
    """Return the path and options of weights that a config gives as a path or a name.

    Args:
        given: The config's value.
        kind: What reads the weights: a backbone's kind, or `detector:<detector>`.
        where: The config's key, for messages.
        registry: Default: the package's own.

    Raises:
        ConfigError: There is no such name, or its weights are for another network.
    """
    registry = registry or package_registry()
    if is_path(given, registry):
        return Chosen(given, {})
    entry = named(given, registry, where)
    if entry.kind != kind:
        raise ConfigError(
            f"{where} is {given}. These are weights of {_kind(entry.kind)}, but {_kind(kind)} has to read them. Name "
            "others: `emopipe weights list` shows the weights of each kind."
        )
    return Chosen(str(path_of(entry, registry)), entry.defaults)


def with_path(options: Mapping[str, Any], kind: str, where: str) -> dict[str, Any]:
    """Return options in which `weights` is a path. If it was a name of the registry, its entry gives the defaults.

    Args:
        options: A network's options as a config gives them.
        kind: As in `resolve`.
        where: The key of `weights`, for messages.

    Raises:
        ConfigError: As `resolve`.
    """
    given = options.get("weights")
    if not isinstance(given, str) or not given:
        return dict(options)
    chosen = resolve(given, kind, where)
    defaults = dict(chosen.defaults)
    if options.get("output"):
        defaults.pop("dim", None)  # the entry's is that of the first output
    return {**defaults, **options, "weights": chosen.path}


def is_path(given: str, registry: Registry) -> bool:
    """Return whether it is a path: it has a separator or suffix, or is a file, or a folder without an entry's name."""
    looks_so = "/" in given or "\\" in given or bool(Path(given).suffix)
    return looks_so or Path(given).is_file() or (given not in registry.entries and Path(given).is_dir())


def named(name: str, registry: Registry, where: str = "") -> Entry:
    """Return the entry of this name. `where` is the config's key, for the message.

    Raises:
        ConfigError: There is no such entry. The message has the most similar names.
    """
    if name in registry.entries:
        return registry.entries[name]
    near = difflib.get_close_matches(name, registry.entries, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    subject = f"{where} is {name!r}, which is neither a file nor" if where else f"{name!r} is not"
    raise ConfigError(f"{subject} one of the weights that `emopipe weights list` shows.{hint}")


def refuse_missing(path: Path | str, where: str, registry: Registry | None = None) -> None:
    """Refuse the path of a registry's entry whose file does not exist. Other paths are not checked.

    Raises:
        WeightsError: The file is missing. The message says how to get it.
    """
    registry = registry or package_registry()
    entry = None if Path(path).is_file() else entry_at(path, registry)
    if entry:
        raise WeightsError(f"{where} needs the weights {entry.name}: {how_to_get(entry, registry)}.")


def how_to_get(entry: Entry, registry: Registry) -> str:
    """Return the end of a message: that an entry's file is missing, its path, and how to get it."""
    path = path_of(entry, registry)
    if entry.shipped:
        return f"{path} does not exist, although it is part of emopipe. Install emopipe again"
    source = f"{entry.archive.member} of {entry.url}" if entry.archive else entry.url
    terms = f"{entry.licence}, for non-commercial use only" if entry.noncommercial else entry.licence
    return f"{path} does not exist. Run `emopipe weights fetch {entry.name}`, or put {source} there ({terms})"


def _kind(kind: str) -> str:
    detector = kind.removeprefix(DETECTOR)
    return f"a network of kind {kind}" if detector == kind else f"the face detector {detector}"
