"""Opens files of clips such that neither their names nor their content can reach other files or hosts."""

import contextlib
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer

from emopipe.core.errors import MediaError
from emopipe.core.text import escape_text

MOST_PIXELS = 8192 * 8192
"""Frames with more pixels are refused before memory is allocated; 8K video has half as many."""

logging.getLogger("libav").setLevel(logging.CRITICAL)  # damage is reported by the clip's status, not in the terminal


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open a regular file and return its descriptor. Pipes (opening may wait forever) and devices are refused.

    Raises:
        MediaError: The file cannot be read.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise MediaError(path, "it is not a regular file")
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise MediaError(path, error.strerror or str(error)) from error
    try:
        yield file
    finally:
        os.close(file)


def refuse_failing_disk(file: int, path: Path) -> None:
    """Read the whole file again: a failing disk looks like a damaged clip to ffmpeg.

    Raises:
        MediaError: The file cannot be read.
    """
    try:
        os.lseek(file, 0, os.SEEK_SET)
        while os.read(file, 1 << 20):
            pass
    except OSError as error:
        raise MediaError(path, error.strerror or str(error)) from error


def container(file: int, **options: str) -> InputContainer:
    """Open a container from an open file alone; `options` are the demuxer's.

    ffmpeg gets the descriptor instead of a name, and no other protocol. So names such as "concat:x" have no meaning,
    and a file that turns out to be a playlist cannot make ffmpeg read another file or connect to a host.
    """
    os.lseek(file, 0, os.SEEK_SET)
    confined = {"fd": str(file), "protocol_whitelist": "fd", "max_pixels": str(MOST_PIXELS)}
    return av.open("fd:", options={**options, **confined}, metadata_errors="replace")


@contextlib.contextmanager
def aside(file: int, **options: str) -> Iterator[InputContainer]:
    """Open a container once more while it is open; afterwards the other one continues where it was."""
    place = os.lseek(file, 0, os.SEEK_CUR)  # ffmpeg's copies of a descriptor share its place
    try:
        with container(file, **options) as second:
            yield second
    finally:
        os.lseek(file, place, os.SEEK_SET)


@contextlib.contextmanager
def until_damage() -> Iterator[None]:
    """End without an error if ffmpeg fails, because the rest cannot be read. Lack of memory is still an error."""
    try:
        yield
    except MemoryError:
        raise
    except av.FFmpegError:
        pass


def start(opened: InputContainer) -> float:
    """Return the container's start time in seconds, the origin of all times."""
    return (opened.start_time or 0) / av.time_base


def describe(error: Exception) -> str:
    """Return the name and the text of an error in one line."""
    return escape_text(f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}")
