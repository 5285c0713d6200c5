"""What made a file of weights, read without torch, which planning a run has no other need of."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors

from emopipe.core.atomic import CACHES
from emopipe.core.errors import DamagedCacheError, EmopipeError, WeightsError
from emopipe.core.fingerprint import digest

METADATA = "emopipe"
"""One entry for all, as safetensors writes several in random order."""
SEAL = "content_sha256"
"""Within that entry: the digest of all else that the file holds, as safetensors has no checksum."""
UNREADABLE = (OSError, safetensors.SafetensorError, ValueError)
"""What is raised where a file of weights is missing, damaged or none; too little memory is no such fault."""


def read_metadata(path: Path | str) -> dict[str, str]:
    """The metadata that this package wrote; of another program's safetensors file, what that wrote, or nothing.

    Raises:
        WeightsError: The file is missing or no safetensors file.
    """
    try:
        return read_sealed(path)[0]
    except UNREADABLE as error:
        raise WeightsError(unreadable(path, error)) from error


def read_sealed(path: Path | str) -> tuple[dict[str, str], str]:
    """The same and the file's seal, "" where it has none; faults (UNREADABLE) are raised as they come."""
    with safetensors.safe_open(path, framework="np") as file:
        metadata = file.metadata() or {}
    if METADATA not in metadata:
        return metadata, ""
    own = json.loads(metadata[METADATA])
    if not isinstance(own, dict):
        raise ValueError(f"its metadata are a {type(own).__name__}")
    return {key: value for key, value in own.items() if key != SEAL}, own.get(SEAL, "")


def made_by(path: Path, recipe: Mapping[str, Any]) -> bool:
    """Whether the file exists and was made by this recipe."""
    try:
        return read_metadata(path).get("recipe_digest") == digest(recipe)
    except WeightsError:
        return False


def unfit(path: Path | str, error: Exception) -> EmopipeError:
    """What to raise of a file of weights that cannot be read: those of a cache are made anew, others are not."""
    if isinstance(error, OSError) or not Path(path).resolve().is_relative_to(CACHES.resolve()):
        return WeightsError(unreadable(path, error))
    return DamagedCacheError(Path(path), f"it holds no whole weights: {error}")


def unreadable(path: Path | str, error: Exception) -> str:
    """The sentence for a file of weights that cannot be read."""
    return f"The weights {path} cannot be read ({error}); fetch or make the file again, as it may be damaged."
