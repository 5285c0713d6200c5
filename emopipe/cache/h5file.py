"""A file for HDF5 that holds back errors of the system, such as a full disk, until `check` raises them.

If a write fails, HDF5 leaves its own objects in a state that crashes the process: a segmentation fault when the file is
closed or the process ends (https://github.com/h5py/h5py/issues/914). So the error is hidden from HDF5: the file then
accepts everything and stores nothing, and `check` raises the error. For the same reason, signals that end the process
wait while HDF5 writes (`defer_signals`).
"""

import contextlib
import io
import signal
import threading
from collections.abc import Iterator
from pathlib import Path


class ErrorDeferringFile(io.FileIO):
    """A new file for h5py's driver of Python file objects."""

    def __init__(self, path: Path) -> None:
        """Create the file at `path`, or empty it."""
        super().__init__(path, "w+")
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise the first error of the system, if there was one.

        Raises:
            OSError: Something that was written since the file was opened is not in it.
        """
        if self._error:
            raise self._error

    def write(self, content: memoryview) -> int:
        """Write all of it. Return its length in bytes."""
        left = memoryview(content).cast("B")
        length = len(left)
        try:
            while left and not self._error:
                left = left[super().write(left) :]
        except OSError as error:
            self._error = error
        return length

    def truncate(self, size: int | None = None) -> int:
        """Cut or lengthen the file. Return its new size in bytes."""
        try:
            return super().truncate(size)
        except OSError as error:
            self._error = self._error or error
            return self.tell() if size is None else size

    def close(self) -> None:
        """Close the file. Some file systems write only now, and so report a failure only now."""
        try:
            super().close()
        except OSError as error:
            self._error = self._error or error


@contextlib.contextmanager
def defer_signals() -> Iterator[None]:
    """Hold back SIGINT and SIGTERM, since an exception inside HDF5 would break it, and raise them after the context.

    Python handles signals in its main thread alone, so in other threads there is nothing to do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda got, _frame: came.append(got)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler or signal.SIG_DFL)
        for number in came:
            signal.raise_signal(number)
