"""Which versions of libraries made the files that exist: what the config's `library_changes` compares and keeps."""

import json
from collections.abc import Mapping
from pathlib import Path

from emopipe.cache.metadata import read_metadata
from emopipe.cache.store import attributes
from emopipe.core.errors import WeightsError


def recorded(made: Path) -> dict[str, str]:
    """Return the versions of libraries that made a file.

    Args:
        made: The file, or a folder of shards, of which the first stands for all.

    Returns:
        Library -> major.minor; empty if nothing is made yet, or by a version of emopipe that recorded none.
    """
    if made.is_dir():
        shards = sorted(path for path in made.glob("*.h5") if not path.name.startswith("."))
        if not shards:
            return {}
        made = shards[0]
    try:
        recipe = json.loads(attributes(made).get("recipe", "{}") if made.suffix == ".h5" else _of_weights(made))
        return {str(name): str(version) for name, version in recipe.get("libraries", {}).items()}
    except (ValueError, TypeError, AttributeError):  # a damaged file; whoever reads it for its data says so
        return {}


def changes(was: Mapping[str, str], installed: Mapping[str, str]) -> dict[str, str]:
    """Return the libraries in both whose version changed -> the version that made the file."""
    return {name: was[name] for name, version in installed.items() if was.get(name, version) != version}


def sentence(made: str, was: Mapping[str, str], installed: Mapping[str, str], *, keeps: bool) -> str:
    """Return the message about a change."""
    old = ", ".join(f"{name} {version}" for name, version in was.items())
    new = ", ".join(f"{name} {installed[name]}" for name in was)
    what = (
        "It and all files made from it are kept (library_changes: keep)."
        if keeps
        else "It and all files made from it will be computed again. To keep them, set library_changes: keep."
    )
    return f"{made} was made with {old}; {new} is installed. {what}"


def _of_weights(path: Path) -> str:
    try:
        return read_metadata(path).get("recipe", "{}")
    except WeightsError:
        return "{}"
