"""Files of clips, opened so that neither their names nor what is in them can reach anything else."""

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
"""A frame of more pixels is refused before memory is asked for it; 8K video has half as many."""

logging.getLogger("libav").setLevel(logging.CRITICAL)  # a damaged clip speaks through its status, not the terminal


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """The descriptor of a file that is one: opening a pipe may wait for ever, and devices have no end.

    Raises:
        MediaError: The file cannot be read.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise _unreadable(path, "it is no regular file")
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise _unreadable(path, error.strerror) from error
    try:
        yield file
    finally:
        os.close(file)


def refuse_failing_disk(file: int, path: Path) -> None:
    """Read the file again: what looks like a damaged clip may be a failing disk, which ffmpeg does not tell apart.

    Raises:
        MediaError: The file cannot be read.
    """
    try:
        os.lseek(file, 0, os.SEEK_SET)
        while os.read(file, 1 << 20):
            pass
    except OSError as error:
        raise _unreadable(path, error.strerror) from error


def container(file: int, **options: str) -> InputContainer:
    """A container out of an open file and of nothing else; `options` are the demuxer's.

    ffmpeg is given the descriptor in place of a name, and no other protocol: names such as "concat:x" mean nothing to
    it, and playlists, which any file may turn out to be, cannot have it read another file or ask another host.
    """
    os.lseek(file, 0, os.SEEK_SET)
    confined = {"fd": str(file), "protocol_whitelist": "fd", "max_pixels": str(MOST_PIXELS)}
    return av.open("fd:", options={**options, **confined}, metadata_errors="replace")


@contextlib.contextmanager
def until_damage() -> Iterator[None]:
    """Where ffmpeg fails, it is the end of what can be read; for want of memory it is no end but an error."""
    try:
        yield
    except MemoryError:
        raise
    except av.FFmpegError:
        pass


def start(opened: InputContainer) -> float:
    """When the container's clock begins, in seconds: the origin of all times."""
    return (opened.start_time or 0) / av.time_base


def sentence(error: Exception) -> str:
    """What went wrong, in one line."""
    return escape_text(f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}")


def _unreadable(path: Path, why: str | None) -> MediaError:
    return MediaError(f"The clip {escape_text(str(path))} cannot be read ({why}): put it back, then run again.")
