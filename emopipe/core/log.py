"""Lines that say how far a long stage is: clips done, clips per second, time left; in the terminal and the log."""

import logging
import sys
import time
from pathlib import Path

LOGGER = logging.getLogger("emopipe")


def log_to(path: str | Path | None) -> logging.Logger:
    """Send the package's messages to the terminal and, where a path is given, to that file."""
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
    """Counts items done and says so now and then, so that parallel jobs do not drown the terminal."""

    def __init__(self, what: str, total: int, *, unit: str = "clips", every_seconds: float = 5.0) -> None:
        self.what, self.total, self.unit, self.done = what, total, unit, 0
        self._every = every_seconds
        self._start = self._said = time.monotonic()

    def advance(self, n: int = 1) -> None:
        """Count `n` more items; speak if the last word is some seconds old or all is done."""
        self.done += n
        now = time.monotonic()
        if now - self._said >= self._every or self.done == self.total:
            self._said = now
            LOGGER.info(self._line(now))

    def _line(self, now: float) -> str:
        rate = self.done / max(now - self._start, 1e-9)
        left = (self.total - self.done) / max(rate, 1e-9)
        return f"{self.what}: {self.done}/{self.total} {self.unit}, {rate:.1f} {self.unit}/s, {left:.0f} s left"
