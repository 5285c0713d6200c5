"""Chained Ogg files: whole files one after the other, the links. ffmpeg fails where the shape of the sound changes."""

import os
from collections.abc import Iterator

_BEGINS = 2  # the flag of a page with which a stream begins


def next_link(file: int, after: int) -> int | None:
    """Return where the first link begins that begins after a place in an open file; None if there is none."""
    is_head = False
    for place, flags in _pages(file):
        if flags & _BEGINS and not is_head and place > after:
            return place
        is_head = bool(flags & _BEGINS)
    return None


def _pages(file: int) -> Iterator[tuple[int, int]]:
    """Yield the place and the flags of each page."""
    place = 0
    while len(head := os.pread(file, 27 + 255, place)) >= 27 and head.startswith(b"OggS"):
        yield place, head[5]
        segments = head[26]
        place += 27 + segments + sum(head[27 : 27 + segments])
