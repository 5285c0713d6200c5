"""The failure policy. If a stage fails on a clip, a row records the reason, or the job ends."""

from collections.abc import Callable
from dataclasses import replace

from emopipe.cache.status import FAILED, UNREADABLE, reason, text
from emopipe.cache.store import Row
from emopipe.core.errors import EmopipeError, MediaError
from emopipe.core.log import LOGGER
from emopipe.core.text import escape_text

BROKEN_DEVICE = ("CUDA error", "CUDA failure")
"""Texts in errors of torch and onnxruntime after which this process can no longer use the device."""


class FailurePolicy:
    """The config's `on_failure`, applied to the clips of one job."""

    def __init__(self, on_failure: str) -> None:
        """Take `keep_going` or `stop`."""
        self._keep_going = on_failure == "keep_going"
        self._tried = 0
        self._errors: list[Exception] = []

    def row(self, clip: str, digest: str, compute: Callable[[], Row]) -> Row:
        """Return what `compute` returns. If it fails and the run keeps going, return a row with the reason.

        Errors that do not come from the clip (weights, devices, damaged caches, errors of the system) end the job.
        """
        self._tried += 1
        try:
            return compute()
        except MediaError as error:
            return self._failed(
                error, Row(clip, digest, UNREADABLE, reason("unreadable", why=escape_text(error.why)), {})
            )
        except (EmopipeError, OSError):
            raise
        except Exception as error:
            if any(sign in str(error) for sign in BROKEN_DEVICE):
                raise
            why = reason("failed", error=escape_text(f"{type(error).__name__}: {error}"))
            return self._failed(error, Row(clip, digest, FAILED, why, {}))

    def check(self, reused: int) -> None:
        """Raise the first error if all of several clips failed, because the clips are then not the cause.

        Call this after the last clip.

        Args:
            reused: How many rows came from earlier runs.
        """
        if len(self._errors) == self._tried > 1 and not reused:
            raise self._errors[0]

    def _failed(self, error: Exception, row: Row) -> Row:
        if not self._keep_going:
            raise error
        self._errors.append(error)
        LOGGER.warning(f"clip {row.clip}: {row.status}. {text(row.reason)}")
        return replace(row, arrays={})
