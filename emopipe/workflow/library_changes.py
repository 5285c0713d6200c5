"""Which versions of libraries made the files that exist: what the config's `library_changes` compares and keeps."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emopipe.cache.metadata import read_metadata
from emopipe.cache.store import attributes
from emopipe.core.errors import WeightsError


def recorded(made: Path, shards: Sequence[str]) -> dict[str, Any]:
    """Return the recipe that made a file; empty if there is no file yet.

    Args:
        made: The file, or a folder of shards, of which the first that exists stands for all.
        shards: Names of the shards that have clips. The file of another shard is not made again, so it may be old.
    """
    if made.is_dir():
        found = next((path for shard in shards if (path := made / f"{shard}.h5").is_file()), None)
        if found is None:
            return {}
        made = found
    try:
        return dict(json.loads(attributes(made).get("recipe", "{}") if made.suffix == ".h5" else _of_weights(made)))
    except (ValueError, TypeError):  # a damaged file; the job that reads its data reports it
        return {}


def changes(was: Mapping[str, Any], recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return the libraries whose version is all that differs between two recipes -> the version in the first one."""
    old, new = ({key: value for key, value in each.items() if key != "libraries"} for each in (was, recipe))
    if old != new:
        return {}
    before = was.get("libraries", {})
    return {name: before[name] for name, version in recipe["libraries"].items() if before.get(name, version) != version}


def sentence(made: str, was: Mapping[str, str], installed: Mapping[str, str], *, keeps: bool) -> str:
    """Return the message about a change."""
    old = ", ".join(f"{name} {version}" for name, version in was.items())
    new = ", ".join(f"{name} {installed[name] or '(not installed)'}" for name in was)
    what = (
        "It is kept with all files made from it (library_changes: keep)."
        if keeps
        else "It and all files made from it will be computed again. To keep them, set library_changes: keep."
    )
    return f"{made} was made with {old}; {new} is installed. {what}"


def _of_weights(path: Path) -> str:
    try:
        return read_metadata(path).get("recipe", "{}")
    except WeightsError:
        return "{}"
