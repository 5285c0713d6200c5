"""What made a file of weights, read without torch, which planning a run has no other need of."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors

from emopipe.errors import WeightsError
from emopipe.provenance import digest

METADATA = "emopipe"
"""One entry for all, as safetensors writes several in random order."""


def read_metadata(path: Path | str) -> dict[str, str]:
    """The metadata that this package wrote; of another program's safetensors file, what that wrote, or nothing.

    Raises:
        WeightsError: The file is missing or no safetensors file.
    """
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(unreadable(path, error)) from error
    return json.loads(metadata[METADATA]) if METADATA in metadata else metadata


def made_by(path: Path, recipe: Mapping[str, Any]) -> bool:
    """Whether the file exists and was made by this recipe."""
    try:
        return read_metadata(path).get("recipe_digest") == digest(recipe)
    except WeightsError:
        return False


def unreadable(path: Path | str, error: Exception) -> str:
    """The sentence for a file of weights that cannot be read."""
    return f"The weights {path} cannot be read ({error}); fetch the file again, as it may be cut short."
