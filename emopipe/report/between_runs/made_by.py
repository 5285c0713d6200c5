"""Differences in what made the files of two runs: code, libraries, weights, and other parts of the recipes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emopipe.report.between_runs.configs import ABSENT, Change, changes
from emopipe.report.between_runs.recipes import Made

_COMPARED_ITSELF = ("media", "source", "features", "learned", "chain", "start")
"""Keys of recipes with digests of other recipes."""
_FILES = ("weights", "nets")
"""Keys of recipes with digests of files of weights."""
_DIGEST = 64
"""Number of characters of a digest."""
_SHOWN = 12
"""How many of them are shown."""


@dataclass(frozen=True)
class Difference:
    """What differs between what made files of two runs."""

    what: str
    """code, emopipe, device, library, weights, or recipe."""
    key: str
    """The library, or the key of the recipe; else ""."""
    first: Any
    second: Any
    stages: tuple[str, ...]
    """The stages for which it differs in this way, such as faces/main."""


def differences(
    first: Mapping[str, Made], second: Mapping[str, Made], explained: Sequence[Change] = ()
) -> list[Difference]:
    """Return what differs between the stages that both runs have.

    Args:
        first: What made the files of a run, by stage.
        second: The same of another run.
        explained: Differences of the configs. The same changes in recipes are omitted.
    """
    known = {(change.key.rpartition(".")[2], str(change.first), str(change.second)) for change in explained}
    stages: dict[tuple[str, str, str, str], list[str]] = {}
    values = {}
    for stage in sorted(set(first) & set(second)):
        for what, key, one, other in _of_stage(first[stage], second[stage]):
            if what == "recipe" and (key.rpartition(".")[2], str(one), str(other)) in known:
                continue
            found = what, key, str(one), str(other)
            stages.setdefault(found, []).append(stage)
            values[found] = one, other
    return [Difference(*found[:2], *values[found], tuple(names)) for found, names in sorted(stages.items())]


def _of_stage(first: Made, second: Made) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield what differs, the key, and both values."""
    one, other = first.recipe, second.recipe
    named = [
        ("code", one.get("code", ""), other.get("code", "")),
        ("emopipe", first.package, second.package),
        ("device", first.device, second.device),
        *(("weights", _texts(one.get(key)), _texts(other.get(key))) for key in _FILES),
    ]
    yield from ((what, "", _short(a), _short(b)) for what, a, b in named if a != b)
    libraries = [recipe.get("libraries", {}) for recipe in (one, other)]
    for change in changes(*libraries, (libraries[0], libraries[1])):
        yield "library", change.key, change.first or "(not installed)", change.second or "(not installed)"
    rest = [_rest(recipe) for recipe in (one, other)]
    for change in changes(*rest, (rest[0], rest[1])):
        yield "recipe", change.key, _short(change.first), _short(change.second)


def _rest(recipe: Mapping[str, Any]) -> dict[str, Any]:
    compared = {"code", "libraries", *_FILES, *_COMPARED_ITSELF}
    return {key: value for key, value in recipe.items() if key not in compared}


def _texts(files: Sequence[Any] | None) -> list[str]:
    return [str(each) for each in files or ()]


def _short(value: Any) -> Any:
    """Return a value with digests cut to their first characters; several become one text."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(map(_short, value)) or ABSENT
    return value[:_SHOWN] if isinstance(value, str) and len(value) == _DIGEST else value
