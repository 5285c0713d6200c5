"""Stage faces: sampled frames -> the main face's aligned crops, every detection, status."""

import functools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2

from emopipe.cache.failures import FailurePolicy
from emopipe.cache.incremental import making
from emopipe.cache.store import Reader
from emopipe.core.log import Progress
from emopipe.faces import rows


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
        making(output, rows.FIELDS, stage="faces", recipe=recipe) as faces,
    ):
        detect = rows.DetectorPerThread(recipe["detector"], recipe["options"], weights, device)
        detect_all = functools.partial(pool.map, detect)
        progress = Progress(f"faces {output.stem}", len(clips.clips))
        for clip in clips.clips:
            if row := faces.earlier(clip, clips.digest[clip]):
                faces.take(row)
            else:
                find = functools.partial(rows.row, clips, clip, detect_all, recipe["jpeg_quality"])
                faces.add(policy.row(clip, clips.digest[clip], find))
            progress.advance()
        policy.check(faces.taken)
        faces.note(device=detect.device or faces.attributes.get("device", ""))
