"""The state of an unfinished training in a file, which only a training with the same recipe loads.

The file holds the SHA-256 of its content (32 bytes) and then the content, as torch saves it. Torch itself checks no
checksum.
"""

import copy
import hashlib
import io
import time
from pathlib import Path
from typing import Any

import torch

from emopipe.core.atomic import replacing
from emopipe.core.log import LOGGER
from emopipe.core.memory import is_out_of_memory

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
        """Return the last state that was saved, with its tensors on a device; None if there is none of this recipe.

        A file that is damaged, or that holds more than plain data, which could run code, is ignored with a warning.

        Raises:
            OSError: The system cannot read the file at the moment. The file may be intact, so it is not replaced.
            MemoryError, RuntimeError: The memory of the machine or the device is too small. The file is kept, too.
        """
        try:
            state = self._read()
        except FileNotFoundError:
            return None
        except OSError:
            raise
        except Exception as error:  # torch may raise nearly anything, and a new training repairs every other case
            if is_out_of_memory(error):
                raise
            first_line = str(error).partition("\n")[0]
            LOGGER.warning(f"{self._path} is not a usable checkpoint ({first_line}), so training starts again.")
            return None
        # The file is read on the CPU: what a device refuses says nothing about the file.
        return _moved(state, device) if state.get("recipe") == self._recipe else None

    def _read(self) -> dict[str, Any]:
        """Return the content of the file, on the CPU."""
        with open(self._path, "rb") as file:
            expected, content = file.read(hashlib.sha256().digest_size), file.read()
        if hashlib.sha256(content).digest() != expected:
            raise ValueError("its content does not match its checksum")
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise ValueError(f"it holds a {type(state).__name__}")
        return state


def _moved(state: Any, device: torch.device) -> Any:
    """Return a state with all its tensors on a device."""
    if isinstance(state, torch.Tensor):
        return state.to(device)
    if isinstance(state, dict):
        moved = copy.copy(state)  # a state dict of torch has attributes beside its items
        moved.update((key, _moved(value, device)) for key, value in state.items())
        return moved
    if isinstance(state, list | tuple):
        return type(state)(_moved(value, device) for value in state)
    return state
