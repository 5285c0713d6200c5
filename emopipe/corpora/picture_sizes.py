"""The sizes that the headers of JPEG and PNG files state; no picture is decoded."""

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MOST_SEGMENTS = 1000


def one_size(files: Iterable[Path]) -> bool:
    """Return whether all files whose size is known have the same one; False if a file cannot be read."""
    try:
        return len({size for file in files if (size := size_of(file))}) <= 1
    except OSError:
        return False


def size_of(file: Path) -> tuple[int, int] | None:
    """Return width and height in pixels that a JPEG or PNG file states; None for others and for damaged ones.

    Raises:
        OSError: The file cannot be read, or is not a regular file.
    """
    if not file.is_file():  # a pipe would wait forever
        raise OSError(f"{file} is not a regular file")
    with file.open("rb") as stream:
        head = stream.read(24)
        try:
            if head.startswith(b"\x89PNG\r\n\x1a\n"):
                return struct.unpack(">II", head[16:24])  # type: ignore[return-value]
            return _jpeg_size(stream) if head.startswith(b"\xff\xd8") else None
        except struct.error:  # it ends too early
            return None


def _jpeg_size(stream: BinaryIO) -> tuple[int, int] | None:
    stream.seek(2)
    for _ in range(_MOST_SEGMENTS):
        fill, marker, length = struct.unpack(">BBH", stream.read(4))
        if fill != 0xFF or length < 2:
            return None
        if marker in _START_OF_FRAME:
            height, width = struct.unpack(">xHH", stream.read(5))
            return width, height
        stream.seek(length - 2, 1)
    return None
