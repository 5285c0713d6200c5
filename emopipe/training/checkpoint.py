"""The state of an unfinished training in a file, which only the same recipe takes up.

The file is the SHA-256 of what follows (32 bytes), then what torch saves: torch itself compares no checksum.
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
"""Training that is cut off loses this much at most, and the epoch at hand."""


class Checkpoint:
    """One training's state."""

    def __init__(self, path: Path, recipe: str) -> None:
        """`recipe` is a digest of all that the result depends on: the state of another one is not taken up."""
        self._path, self._recipe = path, recipe
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Whether the state that was kept last is old enough for another to be worth its writing."""
        return time.monotonic() - self._saved >= SAVE_SECONDS

    def save(self, state: dict[str, Any]) -> None:
        """Keep the state after an epoch."""
        # Through memory: torch would tell of a full disk as of a fault of its own.
        content = io.BytesIO()
        torch.save({**state, "recipe": self._recipe}, content)
        with replacing(self._path) as unfinished:
            _write(content.getbuffer(), unfinished)
        self._saved = time.monotonic()

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The state that was kept last, or None.

        A file that is damaged, or holds more than plain data, which could run code, is passed over and told of.

        Raises:
            OSError: The system does not let it be read just now: it may be whole, and training anew would replace it.
        """
        if not self._path.is_file():
            return None
        try:
            state = torch.load(_read(self._path), map_location=device, weights_only=True)
            if not isinstance(state, dict):
                raise ValueError(f"it holds a {type(state).__name__}")
        except OSError:
            raise
        except Exception as error:  # torch raises nearly anything, and training anew mends it all
            said = str(error).partition("\n")[0]
            LOGGER.warning(f"{self._path} is no checkpoint ({said}), so training begins anew.")
            return None
        return state if state.get("recipe") == self._recipe else None


def _write(content: memoryview, path: Path) -> None:
    with open(path, "wb") as file:
        file.write(hashlib.sha256(content).digest())
        file.write(content)


def _read(path: Path) -> io.BytesIO:
    """What `_write` wrote."""
    with open(path, "rb") as file:
        expected, content = file.read(hashlib.sha256().digest_size), file.read()
    if hashlib.sha256(content).digest() != expected:
        raise ValueError("its content is not what was written")
    return io.BytesIO(content)
