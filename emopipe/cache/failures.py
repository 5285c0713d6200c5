"""The failure policy. If a stage fails on a clip, a row records the reason, or the job ends."""

from collections.abc import Callable
from typing import NoReturn

from emopipe.cache.status import FAILED, UNREADABLE, reason, text
from emopipe.cache.store import Row
from emopipe.core.errors import EmopipeError, LittleMemoryError, MediaError
from emopipe.core.log import LOGGER
from emopipe.core.memory import is_out_of_memory
from emopipe.core.text import escape_text

BROKEN_DEVICE = ("CUDA error", "CUDA failure")
"""Texts in errors of torch and onnxruntime after which this process can no longer use the device."""

MIN_FAILED = 8
"""So many clips of a job have to fail before their failing can have another cause than the clips."""

MOST_NAMED = 5
"""How many clips for which the memory was too small a message names at most."""


class FailurePolicy:
    """The config's `on_failure`, applied to the clips of one job."""

    def __init__(self, on_failure: str) -> None:
        """Take `keep_going` or `stop`."""
        self._keep_going = on_failure == "keep_going"
        self._tried, self._failed = 0, 0
        self._first: Exception | None = None
        self._starved: dict[str, str] = {}
        """Clips for which the memory was too small -> what was raised."""

    def row(self, clip: str, digest: str, compute: Callable[[], Row]) -> Row:
        """Return what `compute` returns. If it fails and the run keeps going, return a row with the reason.

        Errors that do not come from the clip (weights, devices, damaged caches, errors of the system) end the job. If
        the memory is too small, which does not come from the clip either, the job goes on and `check` ends it.
        """
        self._tried += 1
        try:
            return compute()
        except MediaError as error:
            return self._record(
                error, Row(clip, digest, UNREADABLE, reason("unreadable", why=escape_text(error.why)), {})
            )
        except EmopipeError:
            raise
        except Exception as error:
            told = escape_text(f"{type(error).__name__}: {error}")
            row = Row(clip, digest, FAILED, reason("failed", error=told), {})
            if is_out_of_memory(error):
                self._starved[clip] = told
                if not self._keep_going:
                    self._refuse_starved()
                LOGGER.warning(f"clip {clip}: the memory is too small. The job goes on with the next clip. {told}")
                return row
            if isinstance(error, OSError) or any(sign in str(error) for sign in BROKEN_DEVICE):
                raise
            return self._record(error, row)

    def check(self, reused: int) -> None:
        """End the job if its failures do not come from the clips. Call this after the last clip.

        If all clips failed, and there are many, the clips are not the cause. Fewer clips than MIN_FAILED may all be bad
        by chance, and the run keeps going.

        Args:
            reused: How many rows came from earlier runs.

        Raises:
            LittleMemoryError: The memory was too small for a clip. What was computed is kept, and the next run computes
                this clip again.
            Exception: The first error, if all clips failed and there are MIN_FAILED or more.
        """
        if self._starved:
            self._refuse_starved()
        if self._first is not None and self._failed == self._tried >= MIN_FAILED and not reused:
            raise self._first

    def _record(self, error: Exception, row: Row) -> Row:
        """Return the row of a clip that failed, or raise the error if the run should stop."""
        if not self._keep_going:
            raise error
        self._failed += 1
        self._first = self._first or error  # the others are not kept, because their tracebacks hold arrays
        LOGGER.warning(f"clip {row.clip}: {row.status}. {text(row.reason)}")
        return row

    def _refuse_starved(self) -> NoReturn:
        named = ", ".join([*self._starved][:MOST_NAMED])
        more = f" and {len(self._starved) - MOST_NAMED} more" if len(self._starved) > MOST_NAMED else ""
        raise LittleMemoryError(
            f"The memory was too small for {len(self._starved)} of {self._tried} clips: {named}{more} "
            f"({next(iter(self._starved.values()))}). All other clips are kept. Free some memory, or run fewer jobs at "
            "once (--cores), then run again: only these clips are computed. If a clip is too large for this machine, "
            "lower `batch` of the backbone, or max_frames, max_side, max_audio_seconds or clip_memory_mb of the decode "
            "preset, or remove the clip from the corpus."
        )
