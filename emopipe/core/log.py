"""The package's logger, and the progress of long stages: clips done, clips per second, time left."""

import logging
import sys
import time
from pathlib import Path

LOGGER = logging.getLogger("emopipe")


def log_to(path: str | Path | None) -> logging.Logger:
    """Log the package's messages to the terminal and, if a path is given, to that file too. Return the logger."""
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    LOGGER.handlers = [logging.StreamHandler(sys.stderr)]
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        LOGGER.handlers.append(logging.FileHandler(path, mode="w", encoding="utf-8", errors="backslashreplace"))
    for handler in LOGGER.handlers:
        handler.setFormatter(logging.Formatter("%(message)s"))
    return LOGGER


class Progress:
    """Counts finished items and logs a line every few seconds, so that parallel jobs do not flood the terminal."""

    def __init__(self, what: str, total: int, *, unit: str = "clips", every_seconds: float = 5.0) -> None:
        self.what, self.total, self.unit, self.done = what, total, unit, 0
        self._every = every_seconds
        self._start = self._logged = time.monotonic()

    def advance(self, n: int = 1) -> None:
        """Count `n` more items. Log a line if the last one is some seconds old, or if all items are done."""
        self.done += n
        now = time.monotonic()
        if now - self._logged >= self._every or self.done == self.total:
            self._logged = now
            rate = self.done / max(now - self._start, 1e-9)
            left = (self.total - self.done) / max(rate, 1e-9)
            counts = f"{self.done}/{self.total} {self.unit}"
            LOGGER.info(f"{self.what}: {counts}, {rate:.1f} {self.unit}/s, {left:.0f} s left")
