"""What made a file of weights. It is read without torch, because planning a run needs torch for nothing else."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors

from emopipe.core.atomic import CACHES
from emopipe.core.errors import DamagedCacheError, EmopipeError, WeightsError
from emopipe.core.fingerprint import digest

METADATA = "emopipe"
"""One entry holds all metadata: safetensors writes several entries in random order."""
SEAL = "content_sha256"
"""Within that entry: the digest of everything else in the file, because safetensors has no checksum."""
HEAD = "emotion_head."
"""Prefix of the keys of the classifier that emotion pretraining adds to a network."""
UNREADABLE = (OSError, safetensors.SafetensorError, ValueError)
"""Errors that a missing or damaged file of weights, or another kind of file, raises."""
MISSING = (FileNotFoundError, NotADirectoryError)
"""Those of them that say that the file does not exist."""


def read_metadata(path: Path | str) -> dict[str, str]:
    """Return the metadata of a safetensors file: what this package wrote, or else what another program wrote.

    Raises:
        WeightsError: The file is missing, or is not a safetensors file.
    """
    try:
        return read_sealed(path)[0]
    except UNREADABLE as error:
        raise WeightsError(unreadable(path, error)) from error


def open_tensors(path: Path | str, framework: str) -> safetensors.safe_open:
    """Open a safetensors file; the tensors that it returns are those of `framework`, such as "np" or "pt".

    Safetensors by itself reports everything that the system refuses as a file that does not exist.
    """
    with open(path, "rb"):
        pass
    return safetensors.safe_open(path, framework=framework)


def has_head(path: Path | str) -> bool:
    """Return whether a safetensors file holds an emotion head; its header alone is read.

    Files of other formats have none. Errors (UNREADABLE) are not converted.
    """
    if Path(path).suffix != ".safetensors":
        return False
    with open_tensors(path, "np") as file:
        return f"{HEAD}weight" in file.keys()  # noqa: SIM118 - it is not a mapping


def read_sealed(path: Path | str) -> tuple[dict[str, str], str]:
    """Return the metadata and the seal, "" if the file has none. Errors (UNREADABLE) are not converted."""
    with open_tensors(path, "np") as file:
        metadata = file.metadata() or {}
    if METADATA not in metadata:
        return metadata, ""
    own = json.loads(metadata[METADATA])
    if not isinstance(own, dict):
        raise ValueError(f"its metadata is a {type(own).__name__}, expected keys and values")
    return {key: value for key, value in own.items() if key != SEAL}, own.get(SEAL, "")


def made_by(path: Path, recipe: Mapping[str, Any]) -> bool:
    """Return whether the file exists and this recipe made it.

    Raises:
        WeightsError: The system does not let the file be read. It may be intact, so it must not be made again.
    """
    try:
        return read_sealed(path)[0].get("recipe_digest") == digest(recipe)
    except MISSING:
        return False
    except OSError as error:
        raise WeightsError(unreadable(path, error)) from error
    except UNREADABLE:
        return False


def unfit(path: Path | str, error: Exception) -> EmopipeError:
    """Return the error for unreadable weights: DamagedCacheError if a run can make them again, else WeightsError."""
    if isinstance(error, OSError) or not Path(path).resolve().is_relative_to(CACHES.resolve()):
        return WeightsError(unreadable(path, error))
    return DamagedCacheError(Path(path), f"it does not hold whole weights: {error}")


def unreadable(path: Path | str, error: Exception) -> str:
    """Return the message for a file of weights that cannot be read."""
    if isinstance(error, OSError) and not isinstance(error, MISSING):
        why = error.strerror or error
        return f"The weights {path} cannot be read ({why}). Correct this, then run again; the file may be intact."
    return f"The weights {path} cannot be read ({error}). The file may be damaged. Download or make it again."
