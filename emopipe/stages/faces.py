"""Stage faces: sampled frames -> the main face's aligned crops, every detection, status."""

import functools
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from emopipe.cache.failures import FailurePolicy
from emopipe.cache.incremental import making
from emopipe.cache.status import NO_FACE, OK, reason
from emopipe.cache.store import Field, Reader, Row
from emopipe.core.log import Progress
from emopipe.faces import detectors
from emopipe.faces.clip import ClipFaces, assemble
from emopipe.faces.detection import Detections
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


def run(
    recipe: Mapping[str, Any],
    media: Path,
    output: Path,
    *,
    weights: str | None,
    device: str,
    threads: int,
    on_failure: str = "keep_going",
) -> None:
    """Detect, track and align the faces of one shard's clips.

    Args:
        recipe: `Plan.faces`.
        media: The shard's decoded clips.
        output: The file to make; unchanged clips that it already holds are reused.
        weights: The detector's file of weights; None if a package contains its networks.
        device: auto, cpu or cuda; the detector's networks run there.
        threads: How many frames are searched in parallel.
        on_failure: If detection fails on a clip, `keep_going` records this in a row; `stop` ends the job.

    Raises:
        DeviceError: The device does not exist.
        CacheError: `media` is damaged, or another recipe made it.
    """
    cv2.setNumThreads(1)  # frames already run in parallel threads
    policy = FailurePolicy(on_failure)
    with (
        Reader(media, recipe["media"]) as clips,
        ThreadPoolExecutor(threads) as pool,
        making(output, FIELDS, stage="faces", recipe=recipe) as faces,
    ):
        detect = _PerThread(recipe, weights, device)
        progress = Progress(f"faces {output.stem}", len(clips.clips))
        for clip in clips.clips:
            if row := faces.earlier(clip, clips.digest[clip]):
                faces.take(row)
            else:
                find = functools.partial(_row, clips, clip, detect, pool, recipe["jpeg_quality"])
                faces.add(policy.row(clip, clips.digest[clip], find))
            progress.advance()
        policy.check(faces.taken)
        faces.note(device=detect.device or faces.attributes.get("device", ""))


class _PerThread:
    """One detector for each thread, built at first use, because networks keep state while they run."""

    def __init__(self, recipe: Mapping[str, Any], weights: str | None, device: str) -> None:
        path = {"weights": weights} if weights else {}
        options = detectors.options_class(recipe["detector"]).model_validate({**recipe["options"], **path})
        self._build = functools.partial(detectors.build, recipe["detector"], options, threads=1, device=device)
        self._own = threading.local()
        self.device = ""

    def __call__(self, jpeg: np.ndarray) -> Detections:
        """Return the faces of one frame, which is given as JPEG bytes."""
        if not hasattr(self._own, "detector"):
            self._own.detector = self._build()
            self.device = self._own.detector.device
        return self._own.detector(decode_jpeg(jpeg))


class _Frames(Sequence[np.ndarray]):
    """A clip's frames, each decoded on access: the frames of a long clip would not fit in memory together."""

    def __init__(self, jpegs: Sequence[np.ndarray]) -> None:
        self._jpegs = jpegs

    def __len__(self) -> int:
        return len(self._jpegs)

    def __getitem__(self, number: int) -> np.ndarray:
        return decode_jpeg(self._jpegs[number])


def _row(clips: Reader, clip: str, detect: _PerThread, pool: Executor, quality: int) -> Row:
    digest = clips.digest[clip]
    sizes, times = clips.field(clip, "jpeg_size"), clips.field(clip, "time")
    if not len(sizes):
        return Row(clip, digest, clips.status[clip], clips.reason[clip], {})
    jpegs = np.split(clips.field(clip, "jpeg"), np.cumsum(sizes)[:-1])
    faces = assemble(_Frames(jpegs), times, list(pool.map(detect, jpegs)))
    if not faces.mask.any():
        return Row(clip, digest, NO_FACE, reason("no_face", frames=len(jpegs)), {"mask": faces.mask, "time": times})
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
