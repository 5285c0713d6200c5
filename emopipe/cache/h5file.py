"""A file for HDF5 to write to that keeps refusals of the system, such as a full disk, to itself until it is asked.

Where a write fails, HDF5 leaves its own objects in a state that crashes the process (a segmentation fault when the file
is closed or the process ends: https://github.com/h5py/h5py/issues/914). So it is never told: after a refusal the file
takes everything and keeps nothing, and `check` raises what the system said. For the same reason requests to
end wait while HDF5 writes (`requests_wait`).
"""

import contextlib
import io
import signal
import threading
from collections.abc import Iterator
from pathlib import Path


class Sink(io.FileIO):
    """A new file, for h5py's driver of Python file objects."""

    def __init__(self, path: Path) -> None:
        """`path` is made, or emptied."""
        super().__init__(path, "w+")
        self._refusal: OSError | None = None

    def check(self) -> None:
        """Raise what the system refused.

        Raises:
            OSError: Something that was written since the file was opened is not in it.
        """
        if self._refusal:
            raise self._refusal

    def write(self, content: memoryview) -> int:
        """Write all of it; its length in bytes."""
        left = memoryview(content).cast("B")
        length = len(left)
        try:
            while left and not self._refusal:
                left = left[super().write(left) :]
        except OSError as error:
            self._refusal = error
        return length

    def truncate(self, size: int | None = None) -> int:
        """Cut or lengthen the file; its new size in bytes."""
        try:
            return super().truncate(size)
        except OSError as error:
            self._refusal = self._refusal or error
            return self.tell() if size is None else size

    def close(self) -> None:
        """Close the file, which some file systems refuse as they write only then."""
        try:
            super().close()
        except OSError as error:
            self._refusal = self._refusal or error


@contextlib.contextmanager
def requests_wait() -> Iterator[None]:
    """Within the context no signal raises an exception, which HDF5 would stumble over; what came is raised after it.

    Python handles signals in its main thread alone: in others there is nothing to do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    requests = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda got, _frame: came.append(got)) for number in requests]
    try:
        yield
    finally:
        for number, handler in zip(requests, before, strict=True):
            signal.signal(number, handler or signal.SIG_DFL)
        for number in came:
            signal.raise_signal(number)
