"""The state of an unfinished training in a file, which only a training with the same recipe loads.

The file holds the SHA-256 of its content (32 bytes) and then the content, as torch saves it. Torch itself checks no
checksum.
"""

import hashlib
import io
import time
from pathlib import Path
from typing import Any

import torch

from emopipe.core.atomic import replacing
from emopipe.core.log import LOGGER

SAVE_SECONDS = 10.0
"""An interrupted training loses at most the work of these seconds and of the current epoch."""


class Checkpoint:
    """The state of one training."""

    def __init__(self, path: Path, recipe: str) -> None:
        """`recipe` is a digest of all that the result depends on. The state of another recipe is not loaded."""
        self._path, self._recipe = path, recipe
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Return whether the last state that was saved is old enough to save another."""
        return time.monotonic() - self._saved >= SAVE_SECONDS

    def save(self, state: dict[str, Any]) -> None:
        """Save the state after an epoch."""
        # In memory first: torch reports a full disk as an error of its own.
        content = io.BytesIO()
        torch.save({**state, "recipe": self._recipe}, content)
        with replacing(self._path) as unfinished, open(unfinished, "wb") as file:
            file.write(hashlib.sha256(content.getbuffer()).digest())
            file.write(content.getbuffer())
        self._saved = time.monotonic()

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the last state that was saved, or None if there is none of this recipe.

        A file that is damaged, or that holds more than plain data, which could run code, is ignored with a warning.

        Raises:
            OSError: The system cannot read the file at the moment. The file may be intact, so it is not replaced.
        """
        if not self._path.is_file():
            return None
        try:
            with open(self._path, "rb") as file:
                expected, content = file.read(hashlib.sha256().digest_size), file.read()
            if hashlib.sha256(content).digest() != expected:
                raise ValueError("its content does not match its checksum")
            state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
            if not isinstance(state, dict):
                raise ValueError(f"it holds a {type(state).__name__}")
        except OSError:
            raise
        except Exception as error:  # torch may raise nearly anything, and a new training repairs every case
            first_line = str(error).partition("\n")[0]
            LOGGER.warning(f"{self._path} is not a usable checkpoint ({first_line}), so training starts again.")
            return None
        return state if state.get("recipe") == self._recipe else None
