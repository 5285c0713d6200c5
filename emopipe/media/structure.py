"""What the elements of a container say that ffmpeg does not report: whether the file is whole, and what is stated.

A cut file and a wrong header look alike to who compares a header's length with what is there. They differ in how the
file ends: elements of a container say how many bytes they have, and in a whole file they follow each other to its end.
Nothing is decoded here, and only the heads of elements are read.
"""

import itertools
import os
import struct
from collections.abc import Callable, Iterator

SEGMENT, CLUSTER, BLOCK_GROUP, INFO, TRACKS = 0x18538067, 0x1F43B675, 0xA0, 0x1549A966, 0x1654AE6B
DURATION, TIMESTAMP_SCALE, DISPLAY_WIDTH = 0x4489, 0x2AD7B1, b"\x54\xb0"
UNKNOWN_SIZE = -1
HEAD_BYTES = 1 << 16
"""Metadata of FLV and ASF are looked for in the first bytes of a file; a page of Ogg has at most as many."""
MOST_HEADER_BYTES = 1 << 24
ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def seconds_stated(file: int, container: str) -> float | None:
    """Return the length that the header states, for containers of which ffmpeg gives an estimate if there is none.

    Args:
        file: An open file.
        container: ffmpeg's name of the format.

    Returns:
        Seconds; None if the header states none, or is one of another container.
    """
    if container.startswith("matroska"):
        return _matroska_seconds(file)
    if container in ("flv", "live_flv"):
        return _flv_number(file, b"duration")
    return _asf_seconds(file) if container == "asf" else None


def is_whole(file: int, container: str) -> bool | None:
    """Return whether elements follow each other up to the end of a file; None if the container is not known here.

    Args:
        file: An open file.
        container: ffmpeg's name of the format.
    """
    check = next((check for name, check in _CHECKS.items() if container.startswith(name)), None)
    return None if check is None else check(file, os.fstat(file).st_size)


def states_aspect(file: int, container: str) -> bool:
    """Return whether the container of a file states the ratio of its pixels, apart from the stream in it.

    Args:
        file: An open file.
        container: ffmpeg's name of the format.
    """
    size = os.fstat(file).st_size
    if container.startswith("matroska"):
        heads = itertools.takewhile(lambda element: element[0] != CLUSTER, _elements(file, size))
        parts, name = [(begin, end) for name, begin, end in heads if name == TRACKS], DISPLAY_WIDTH
    elif container.startswith("mov"):
        parts, name = [(begin, end) for kind, begin, end in _boxes(file, size) if kind == b"moov"], b"pasp"
    else:
        return False
    return any(name in os.pread(file, min(end - begin, MOST_HEADER_BYTES), begin) for begin, end in parts)


def _boxes_end(file: int, size: int) -> bool:
    """MP4 and QuickTime: boxes. One without a size lasts to the end of the file, wherever that is: nobody can say."""
    return max((end for _, _, end in _boxes(file, size)), default=0) == size


def _boxes(file: int, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, the begin and the end of boxes, up to one that has no size or is none."""
    at = 0
    while at < size:
        head = os.pread(file, 16, at)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:
            return
        yield head[4:8], at, at + length
        at += length


def _asf_ends(file: int, size: int) -> bool:
    """ASF (WMV): objects with a GUID of 16 bytes and a size of 8."""
    at = 0
    while at < size:
        length = int.from_bytes(os.pread(file, 8, at + 16), "little")
        if length < 24:
            return False
        at += length
    return at == size


def _asf_seconds(file: int) -> float | None:
    """Return the length that the file properties state. ffmpeg does not read it from a file that is cut."""
    head = os.pread(file, HEAD_BYTES, 0)
    at = head.find(ASF_FILE_PROPERTIES)
    if at < 0 or len(head) < at + 92:
        return None
    ticks, _, preroll, flags = struct.unpack_from("<QQQI", head, at + 64)  # 100 ns, milliseconds
    seconds = ticks / 1e7 - preroll / 1e3
    return seconds if seconds > 0 and not flags & 1 else None  # of a broadcast, the number has no meaning


def _riff_ends(file: int, size: int) -> bool:
    """AVI: chunks, among them lists whose own chunks hold the packets."""
    ends = [size]  # of the lists that are open
    at = 0
    while at < size:
        head = os.pread(file, 8, at)
        length = int.from_bytes(head[4:8], "little")
        end = at + 8 + length
        if len(head) < 8 or end > ends[-1] or not head[:4].strip(b" ").isalnum():
            return False
        if head[:4] in (b"RIFF", b"LIST"):
            ends.append(end)
            at += 12
        else:
            at = end + end % 2
        while len(ends) > 1 and at >= ends[-1]:
            ends.pop()
    return len(ends) == 1


def _flv_ends(file: int, size: int) -> bool:
    """FLV: tags, each followed by its size; a complete file may state its size, too."""
    stated = _flv_number(file, b"filesize")
    if stated is not None and stated > size:
        return False
    at = int.from_bytes(os.pread(file, 4, 5), "big") + 4
    while at < size:
        head = os.pread(file, 11, at)
        length = 11 + int.from_bytes(head[1:4], "big")
        if os.pread(file, 4, at + length) != length.to_bytes(4, "big"):
            return False
        at += length + 4
    return at == size


def _ogg_ends(file: int, size: int) -> bool:
    """Ogg: pages. The last one says how long it is."""
    begin = max(0, size - HEAD_BYTES - 4)
    tail = os.pread(file, HEAD_BYTES + 4, begin)
    at = tail.rfind(b"OggS")
    if at < 0 or len(tail) < at + 27:
        return False
    table = tail[at + 27 : at + 27 + tail[at + 26]]
    return len(table) == tail[at + 26] and begin + at + 27 + len(table) + sum(table) == size


def _matroska_ends(file: int, size: int) -> bool:
    """Matroska and WebM: elements inside elements; those of a live recording have no size."""
    at = 0
    for _, _, at in _elements(file, size):
        if at > size:
            return False
    return at == size


def _matroska_seconds(file: int) -> float | None:
    size = os.fstat(file).st_size
    for name, begin, end in _elements(file, size):
        if name == INFO:
            return _seconds_of({name: os.pread(file, min(8, size), at) for name, at, size in _inside(file, begin, end)})
        if name == CLUSTER:
            break
    return None


def _inside(file: int, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the id, the begin and the size of the elements that follow each other between two places."""
    at = begin
    while at < end and (element := _element(file, at)) is not None:
        at = element[1] + max(0, element[2])
        yield element


def _seconds_of(info: dict[int, bytes]) -> float | None:
    """Return the duration that the element Info states."""
    value = info.get(DURATION, b"")
    if len(value) not in (4, 8):
        return None
    ticks = struct.unpack(">f" if len(value) == 4 else ">d", value)[0]
    scale = int.from_bytes(info.get(TIMESTAMP_SCALE, b""), "big") or 1_000_000
    return ticks * scale / 1e9 if 0 < ticks < 1e15 else None


def _elements(file: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Yield the id, the begin and the end of the content of elements, from the start of a file to its first fault.

    Segments, clusters and groups of blocks end where their content begins: their own elements follow. What is left of
    an element that a file's end cuts off ends after the file; so does a segment that is longer than the file.
    """
    at, last = 0, 0
    while at < size:
        element = _element(file, at)
        if element is None:
            yield 0, at, size + 1  # bytes that are not an element
            return
        name, begin, length = element
        if name in (SEGMENT, CLUSTER, BLOCK_GROUP):
            last = max(last, begin + length)
            at = begin
        elif length == UNKNOWN_SIZE:
            yield 0, at, size + 1
            return
        else:
            at = begin + length
        yield name, begin, at
    if last > size:
        yield 0, at, last


def _element(file: int, at: int) -> tuple[int, int, int] | None:
    """Return the id of an element, where its content begins, and its size; None if there is no element."""
    head = os.pread(file, 12, at)
    name_bytes = 9 - head[0].bit_length() if head else 9
    if name_bytes > 4 or len(head) <= name_bytes or not head[name_bytes]:
        return None
    size_bytes = 9 - head[name_bytes].bit_length()
    value = int.from_bytes(head[name_bytes : name_bytes + size_bytes], "big") & ((1 << 7 * size_bytes) - 1)
    is_unknown = value == (1 << 7 * size_bytes) - 1
    return int.from_bytes(head[:name_bytes], "big"), at + name_bytes + size_bytes, UNKNOWN_SIZE if is_unknown else value


def _flv_number(file: int, name: bytes) -> float | None:
    """Return a positive number that the metadata of an FLV file hold under a name."""
    head = os.pread(file, HEAD_BYTES, 0)
    at = head.find(len(name).to_bytes(2, "big") + name + b"\0") + 3 + len(name)
    if at < 3 + len(name) or len(head) < at + 8:
        return None
    number = struct.unpack_from(">d", head, at)[0]
    return number if 0 < number < 1e15 else None


_CHECKS: dict[str, Callable[[int, int], bool]] = {
    "mov": _boxes_end,
    "matroska": _matroska_ends,
    "flv": _flv_ends,
    "live_flv": _flv_ends,
    "avi": _riff_ends,
    "asf": _asf_ends,
    "ogg": _ogg_ends,
}
"""The beginning of ffmpeg's name of a format -> whether a file of it is whole."""
