"""The tracks of faces of clips, as the cache holds them. Crops are not read."""

from contextlib import ExitStack
from pathlib import Path
from typing import Self

import numpy as np

from emopipe.cache.store import Reader
from emopipe.export.clip import Faces, Track
from emopipe.export.media_facts import FrameSizes
from emopipe.media.decoded import Span


class FacesOfPreset:
    """The faces that one preset found, clip by clip; a context manager."""

    def __init__(self, cache: Path, preset: str, sizes: FrameSizes) -> None:
        """Take `cache/<corpus>`, a preset of faces, and what knows the size of its frames."""
        self.preset, self._sizes = preset, sizes
        self._folder = cache / "faces" / preset
        self._stack, self._reader_of = ExitStack(), dict[str, Reader]()

    def __enter__(self) -> Self:
        self._stack.enter_context(self._sizes)
        for path in sorted(self._folder.glob("*.h5")):
            reader = self._stack.enter_context(Reader(path))
            self._reader_of |= dict.fromkeys(reader.clips, reader)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def is_empty(self) -> bool:
        """Whether the cache has no faces of this preset."""
        return not self._reader_of

    def of(self, clip: str, path: Path, span: Span | None) -> Faces | None:
        """Return the faces of a clip; None if the cache does not have the clip. A clip may have no face.

        Args:
            clip: The clip's id.
            path: Its file, which is opened only if the size of its frames is not in the cache.
            span: The part of the file that it is; None: all.

        Raises:
            DamagedCacheError: A file does not hold what was written.
        """
        if (reader := self._reader_of.get(clip)) is None:
            return None
        time, mask = reader.field(clip, "time"), reader.field(clip, "mask")
        names = ("all_frame", "all_box", "all_landmarks", "all_score", "all_track")
        frame, box, landmarks, score, track = (reader.field(clip, name) for name in names)
        main = int(reader.field(clip, "track").max(initial=-1))
        tracks = []
        for number in np.unique(track).tolist():
            rows = np.flatnonzero(track == number)
            at = frame[rows]
            tracks.append(Track(number, number == main, at, time[at], box[rows], landmarks[rows], score[rows]))
        size = self._sizes.of(clip, path, span) if tracks else None
        return Faces(self.preset, time, mask, tracks, size)
