"""The protocol of a job and its decoding process. The job sends paths, the process returns frames and sound.

A request is the length of a path, then its bytes; likewise the starts and ends of parts of the file, each of which has
an answer (without parts, the whole has one); and likewise, for a folder of frames, the rate and the path of the sound.
An answer is the length of its head, the head as JSON, and then the arrays whose lengths the head gives, as raw bytes:
times, the time of the first sample, samples, JPEGs. If a file is read in parts of one length, several answers follow a
request; the last one has another status than `part`.
"""

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import numpy as np
from pydantic import Field

from emopipe.core.options import Options
from emopipe.media.decoded import Media, Span
from emopipe.media.frame_folders import FrameFolder

READY = b"ready\n"
"""What the process sends before its first answer."""
BLOATED = "bloated"
"""The status of an answer if there was not enough memory."""

AS_FILE = FrameFolder()
"""What is sent for files, which are not played at a rate."""

_LENGTH = struct.Struct("<Q")
_RATE = struct.Struct("<d")
_LONGEST_PATH = 1 << 16
_LONGEST_SPANS = 1 << 26

_Count = Annotated[int, Field(ge=0)]


class _Head(Options):
    """The head of an answer."""

    status: Literal["ok", "no_audio", "no_video", "undecodable", "unreadable", "bloated", "part"]
    reason: str
    jpegs: list[_Count]
    """Length of each JPEG in bytes."""
    samples: _Count


def send_request(stream: BinaryIO, path: Path, spans: Sequence[Span] = (), how: FrameFolder = AS_FILE) -> None:
    """Send the path of a clip; if only parts of it are wanted, these parts; and how a folder of frames is played."""
    _send_counted(stream, os.fsencode(path))
    _send_counted(stream, np.array([(span.start, span.end) for span in spans], "<f8").tobytes())
    _send_counted(stream, _RATE.pack(how.rate) + os.fsencode(how.sound))
    stream.flush()


def receive_request(stream: BinaryIO) -> tuple[Path, list[Span], FrameFolder] | None:
    """Return the path of the next clip, the parts that are wanted, and how a folder is played; None at the end."""
    try:
        path = Path(os.fsdecode(_receive_counted(stream, _LONGEST_PATH)))
        edges = np.frombuffer(_receive_counted(stream, _LONGEST_SPANS), "<f8").reshape(-1, 2)
        played = _receive_counted(stream, _LONGEST_PATH)
    except EOFError:
        return None
    how = FrameFolder(*_RATE.unpack(played[: _RATE.size]), os.fsdecode(played[_RATE.size :]))
    return path, [Span(*edge) for edge in edges.tolist()], how


def send_media(stream: BinaryIO, media: Media) -> None:
    """Send a decoded clip, or a status alone."""
    sizes = [len(jpeg) for jpeg in media.jpegs]
    head = _Head(status=media.status, reason=media.reason, jpegs=sizes, samples=len(media.audio))
    _send_counted(stream, head.model_dump_json().encode())
    for numbers in (np.asarray(media.times, "<f8"), np.array([media.audio_start], "<f8"), media.audio.astype("<i2")):
        stream.write(numbers.tobytes())
    for jpeg in media.jpegs:
        stream.write(jpeg)
    stream.flush()


def receive_media(stream: BinaryIO, most_bytes: int) -> Media:
    """Return the answer to a request; its sender is not trusted.

    Raises:
        EOFError: It ends too early.
        ValueError: It is not an answer, or is longer than `most_bytes`.
    """
    head = _Head.model_validate_json(_receive_counted(stream, most_bytes))
    if sum(head.jpegs) + 2 * head.samples > most_bytes:
        raise ValueError(f"an answer of more than {most_bytes} bytes")
    times = _receive_numbers(stream, "<f8", len(head.jpegs))
    (audio_start,) = _receive_numbers(stream, "<f8", 1)
    audio = _receive_numbers(stream, "<i2", head.samples)
    jpegs = [_receive(stream, size) for size in head.jpegs]
    return Media(head.status, head.reason, jpegs, times, audio, float(audio_start))


def _send_counted(stream: BinaryIO, data: bytes) -> None:
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)


def _receive_counted(stream: BinaryIO, most: int) -> bytes:
    (length,) = _LENGTH.unpack(_receive(stream, _LENGTH.size))
    if length > most:
        raise ValueError(f"a part of {length} bytes, where at most {most} were expected")
    return _receive(stream, length)


def _receive_numbers(stream: BinaryIO, dtype: str, count: int) -> np.ndarray:
    return np.frombuffer(bytearray(_receive(stream, count * np.dtype(dtype).itemsize)), dtype)


def _receive(stream: BinaryIO, length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError(f"{len(data)} of {length} bytes came")
    return data
