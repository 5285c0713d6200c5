"""What formats need to know of a clip's pictures: the size of its sampled frames, its frame rate and its length."""

from contextlib import ExitStack
from pathlib import Path
from typing import Self

import av
import numpy as np

from emopipe.cache.status import UNDECODABLE, UNREADABLE
from emopipe.cache.store import Reader
from emopipe.core.errors import CacheError, MediaError
from emopipe.export.clip import Video
from emopipe.media import files
from emopipe.media.decoded import DecodeOptions, Span, decode_jpeg
from emopipe.media.sandbox import ClipReader
from emopipe.media.tracks import choose_video

UNUSABLE = frozenset({UNDECODABLE, UNREADABLE})
"""Statuses of clips whose files are not opened again."""


class FrameSizes:
    """The size of the sampled frames of clips, from the cache or, where pictures were dropped, from the clip itself.

    Use it as a context manager.
    """

    def __init__(self, cache: Path, preset: str, options: DecodeOptions, *, decodes: bool) -> None:
        """Take the cache of a corpus and a preset of decode.

        Args:
            cache: `cache/<corpus>`.
            preset: The preset whose frames count.
            options: Its options.
            decodes: Whether a frame is decoded where the cache has none.
        """
        self._folder = cache / "media" / preset
        # The longest side stays, so the size is the same; the sound is not needed.
        first = {"policy": "count", "count": 1, "fps": None, "max_audio_seconds": 1.0}
        self._options = options.model_copy(update=first) if decodes else None
        self._stack, self._reader_of = ExitStack(), dict[str, Reader]()
        self._read: ClipReader | None = None

    def __enter__(self) -> Self:
        shards = [path for path in sorted(self._folder.glob("*.h5")) if not path.name.endswith(".status.h5")]
        for reader in (self._stack.enter_context(Reader(path)) for path in shards):
            self._reader_of |= dict.fromkeys(reader.clips, reader)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, clip: str, path: Path, span: Span | None) -> tuple[int, int] | None:
        """Return the width and height of a clip's sampled frames in pixels; None if they are not known.

        Args:
            clip: The clip's id.
            path: Its file.
            span: The part of the file that it is; None: all.
        """
        return self._cached(clip) or self._decoded(path, span)

    def _cached(self, clip: str) -> tuple[int, int] | None:
        if (reader := self._reader_of.get(clip)) is None:
            return None
        try:
            sizes, jpegs = reader.field(clip, "jpeg_size"), reader.field(clip, "jpeg")
        except CacheError:  # the pictures were dropped
            return None
        return _size(jpegs[: sizes[0]].tobytes()) if len(sizes) else None

    def _decoded(self, path: Path, span: Span | None) -> tuple[int, int] | None:
        if self._options is None:
            return None
        self._read = self._read or self._stack.enter_context(ClipReader(self._options))
        try:
            jpegs = self._read(path, span).jpegs
        except MediaError:  # the file is not on this machine
            return None
        return _size(jpegs[0]) if jpegs else None


def _size(jpeg: bytes) -> tuple[int, int]:
    height, width = decode_jpeg(np.frombuffer(jpeg, np.uint8)).shape[:2]
    return width, height


def header(path: Path, options: DecodeOptions) -> Video | None:
    """Return what the header of a file says; None if the file cannot be read.

    Call it only for clips that the decode stage could read: their headers have been read before, in another process.

    Args:
        path: The file.
        options: They name the video track.
    """
    try:
        with files.opened(path) as file, files.container(file) as container:
            pictures, _ = choose_video(container, file, options)
            seconds = container.duration / av.time_base if container.duration else None
            if pictures is None or not pictures.average_rate:
                return Video(None, 0, seconds)
            rate, base = float(pictures.average_rate), float(pictures.time_base or 0)
            length = pictures.duration * base if pictures.duration else seconds or 0.0
            origin = pictures.start_time * base - files.start(container) if pictures.start_time is not None else 0.0
            return Video(rate, pictures.frames or round(length * rate), seconds, origin)
    except (MediaError, av.FFmpegError, ValueError):
        return None
