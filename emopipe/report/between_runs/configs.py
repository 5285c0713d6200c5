"""Which keys of two configs have other values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

ABSENT = "(not set)"
"""Stands for the value of a key that one of two configs does not have."""
PLACES = ("run", "corpus.name", "corpus_root")
"""Keys that say only where files are."""
_KINDS = ("kind", "detector")
"""Keys of a block that say what its options are."""
Path = tuple[str, ...]
"""The parts of a key; names of presets may contain dots."""


@dataclass(frozen=True)
class Change:
    """A key with another value."""

    key: str
    first: Any
    second: Any


def changes(
    first: Mapping[str, Any], second: Mapping[str, Any], given: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> list[Change]:
    """Return the keys whose values differ, in the order of the first config.

    Args:
        first: A config with its defaults.
        second: Another one.
        given: Both configs as they were given. A block that only one config has, and the options of blocks of different
            kinds, are shown as they were given, without defaults.
    """
    found = []
    for path, *sides in _walk(first, second, ()):
        shown = [_as_given(value, raw, path) for value, raw in zip(sides, given, strict=True)]
        if shown[0] != shown[1]:
            found.append(Change(".".join(path), *shown))
    return found


def _walk(first: Mapping[str, Any], second: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Any, Any]]:
    another_kind = any(first.get(key) != second.get(key) for key in _KINDS)
    for key in dict.fromkeys([*first, *second]):
        one, other = _keyed(first.get(key, ABSENT)), _keyed(second.get(key, ABSENT))
        is_whole = another_kind and key == "options"
        if isinstance(one, Mapping) and isinstance(other, Mapping) and not is_whole:
            yield from _walk(one, other, (*path, key))
        elif one != other:
            yield (*path, key), first.get(key, ABSENT), second.get(key, ABSENT)


def _keyed(value: Any) -> Any:
    """Return a list of blocks as blocks by number; any other value as it is."""
    if isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        return {str(number): item for number, item in enumerate(value)}
    return value


def _as_given(value: Any, given: Mapping[str, Any], path: Path) -> Any:
    """Return a block as the config gives it, without defaults; any other value as it is."""
    if not isinstance(value, Mapping):
        return value
    found: Any = given
    for part in path:
        found = _keyed(found)
        found = found.get(part, {}) if isinstance(found, Mapping) else {}
    return found
