"""The faces of a clip as a row of the cache, in memory or in a file of the faces stage."""

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np

from emopipe.cache.clip_rows import ClipRows
from emopipe.cache.status import NO_FACE, OK, reason
from emopipe.cache.store import Field, Row
from emopipe.faces import detectors
from emopipe.faces.between import find_every
from emopipe.faces.clip import ClipFaces, assemble
from emopipe.faces.detection import BatchDetector, Detections, Detector
from emopipe.media.decoded import decode_jpeg, encode_jpeg

FIELDS = {
    "crop": Field("u1"),
    "crop_size": Field("i4"),
    "mask": Field("?"),
    "time": Field("f8"),
    "box": Field("f4", (4,)),
    "landmarks": Field("f4", (5, 2)),
    "score": Field("f4"),
    "track": Field("i4"),
    "all_frame": Field("i4"),
    "all_box": Field("f4", (4,)),
    "all_landmarks": Field("f4", (5, 2)),
    "all_score": Field("f4"),
    "all_track": Field("i4"),
}
"""Per sampled frame (T rows): mask to track. Per frame with the main face: crop_size. Per detection: all_*."""


KEPT_BYTES = 64 << 20
"""The most bytes of a clip's decoded frames that are kept between detection and alignment: 50 of 720 x 576 pixels."""


class Frames(Sequence[np.ndarray]):
    """A clip's frames, each decoded on access: those of a long clip would not fit in memory together.

    Those that were decoded first are kept, up to KEPT_BYTES, so that frames of short clips are decoded once.
    """

    def __init__(self, jpegs: Sequence[np.ndarray]) -> None:
        """Take the frames as JPEG bytes, (n,) uint8 each."""
        self._jpegs = jpegs
        self._kept: dict[int, np.ndarray] = {}
        self._bytes = 0

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._jpegs)

    def __getitem__(self, number: int) -> np.ndarray:
        """Return a frame, (H, W, 3) uint8 BGR."""
        if (frame := self._kept.get(number)) is None:
            frame = decode_jpeg(self._jpegs[number])
            if self._bytes + frame.nbytes <= KEPT_BYTES:
                self._bytes += frame.nbytes
                self._kept[number] = frame
        return frame


class DetectorPerThread:
    """One detector for each thread, built at first use, because networks keep state while they run."""

    def __init__(self, kind: str, options: Mapping[str, Any], weights: str | None, device: str) -> None:
        """Take a kind of detector, its options, its file of weights (if no package has it), and auto, cpu or cuda."""
        path = {"weights": weights} if weights else {}
        checked = detectors.options_class(kind).model_validate({**options, **path})
        self._build = functools.partial(detectors.build, kind, checked, threads=1, device=device)
        self._own = threading.local()
        self._batch: int | None = None  # known once a detector is built
        self.device = ""

    def in_threads(self, pool: Executor, frames: Sequence[np.ndarray], numbers: Sequence[int]) -> list[Detections]:
        """Return the faces of the frames with these numbers, which are searched in parallel, or in batches."""
        if self._batch is None:
            self._batch = pool.submit(self._batch_size).result()
        batches = [numbers[start : start + self._batch] for start in range(0, len(numbers), self._batch)]
        return [found for batch in pool.map(functools.partial(self._search, frames), batches) for found in batch]

    def _search(self, frames: Sequence[np.ndarray], numbers: Sequence[int]) -> Sequence[Detections]:
        """Return the faces of some frames by the detector of this thread."""
        detector = self._of_this_thread()
        if not isinstance(detector, BatchDetector):
            return [detector(frames[number]) for number in numbers]
        pictures = [frames[number] for number in numbers]
        found: dict[int, Detections] = {}
        for shape in {picture.shape for picture in pictures}:  # frames may change their size within a clip
            places = [place for place, picture in enumerate(pictures) if picture.shape == shape]
            found.update(zip(places, detector.many([pictures[place] for place in places]), strict=True))
        return [found[place] for place in range(len(pictures))]

    def _batch_size(self) -> int:
        detector = self._of_this_thread()
        return detector.batch if isinstance(detector, BatchDetector) else 1

    def _of_this_thread(self) -> Detector:
        if not hasattr(self._own, "detector"):
            self._own.detector = self._build()
            self.device = self._own.detector.device
        return self._own.detector


Detect = Callable[[Sequence[np.ndarray], Sequence[int]], Sequence[Detections]]
"""A clip's frames, and the numbers of those to search -> the faces of each of these."""


def row(media: ClipRows, clip: str, detect: Detect, quality: int, every: int = 1) -> Row:
    """Return the row of a clip's faces.

    Args:
        media: Rows of decoded media.
        clip: The clip's id.
        detect: Finds the faces of frames.
        quality: JPEG quality of the crops.
        every: Every n-th frame is searched, see `emopipe.faces.between`.
    """
    digest = media.digest[clip]
    sizes, times = media.field(clip, "jpeg_size"), media.field(clip, "time")
    if not len(sizes):
        return Row(clip, digest, media.status[clip], media.reason[clip], {})
    frames = Frames(np.split(media.field(clip, "jpeg"), np.cumsum(sizes)[:-1]))
    faces = assemble(frames, times, find_every(times, every, functools.partial(detect, frames)))
    if not faces.mask.any():
        return Row(clip, digest, NO_FACE, reason("no_face", frames=len(frames)), {"mask": faces.mask, "time": times})
    return Row(clip, digest, OK, faces.note, _arrays(faces, times, quality))


def _arrays(faces: ClipFaces, times: np.ndarray, quality: int) -> dict[str, np.ndarray]:
    crops = [encode_jpeg(crop, quality) for crop in faces.crops]
    per_frame = {name: getattr(faces, name) for name in ("mask", "box", "landmarks", "score", "track")}
    per_detection = {name: getattr(faces, name) for name in FIELDS if name.startswith("all_")}
    return {
        "crop": np.frombuffer(b"".join(crops), np.uint8),
        "crop_size": np.array([len(crop) for crop in crops], np.int32),
        "time": times,
        **per_frame,
        **per_detection,
    }
