"""What becomes of a clip that a stage breaks down on: a row that says so, or the end of the job."""

from collections.abc import Callable
from dataclasses import replace

from emopipe.cache.store import FAILED, UNREADABLE, Row
from emopipe.core.errors import EmopipeError, MediaError
from emopipe.core.log import LOGGER
from emopipe.core.text import escape_text

BROKEN_DEVICE = ("CUDA error", "CUDA failure")
"""What torch and onnxruntime say of a device that can do nothing more for this process."""


class Tolerance:
    """The config's `on_failure`, applied to the clips of one job."""

    def __init__(self, on_failure: str) -> None:
        """`keep_going` or `stop`."""
        self._keep_going = on_failure == "keep_going"
        self._tried = 0
        self._errors: list[Exception] = []

    def row(self, clip: str, digest: str, compute: Callable[[], Row]) -> Row:
        """What `compute` gives; where it breaks down and the run is to keep going, a row with the reason.

        Errors that are not the clip's own (weights, devices, damaged caches, what the system refuses) end the job.
        """
        self._tried += 1
        try:
            return compute()
        except MediaError as error:
            return self._lost(error, Row(clip, digest, UNREADABLE, str(error), {}))
        except (EmopipeError, OSError):
            raise
        except Exception as error:
            if any(sign in str(error) for sign in BROKEN_DEVICE):
                raise
            return self._lost(error, Row(clip, digest, FAILED, f"{type(error).__name__}: {error}", {}))

    def settle(self, taken: int) -> None:
        """Call after the last clip, with how many were taken over from earlier runs.

        Where all of several clips broke down, it is not the clips: the first error is raised.
        """
        if len(self._errors) == self._tried > 1 and not taken:
            raise self._errors[0]

    def _lost(self, error: Exception, row: Row) -> Row:
        if not self._keep_going:
            raise error
        row = replace(row, reason=escape_text(row.reason))
        self._errors.append(error)
        LOGGER.warning(f"clip {row.clip}: {row.status}, {row.reason}")
        return row
