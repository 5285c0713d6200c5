"""Stage faces: sampled frames -> the main face's aligned crops, every detection, status."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2

from emopipe.cache.failures import FailurePolicy
from emopipe.cache.incremental import making
from emopipe.cache.rows_ahead import rows_ahead
from emopipe.cache.store import Reader
from emopipe.core.ahead import thread_pool
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
        threads: How many frames are searched in parallel, while as many clips are aligned.
        on_failure: If detection fails on a clip, `keep_going` records this in a row; `stop` ends the job.

    Raises:
        DeviceError: The device does not exist.
        CacheError: `media` is damaged, or another recipe made it.
    """
    cv2.setNumThreads(1)  # frames already run in parallel threads
    policy = FailurePolicy(on_failure)
    with (
        Reader(media, recipe["media"]) as clips,
        making(output, rows.FIELDS, stage="faces", recipe=recipe) as faces,
        thread_pool(threads) as clip_pool,
        thread_pool(threads) as frame_pool,
    ):
        detect = rows.DetectorPerThread(recipe["detector"], recipe["options"], weights, device)
        find = functools.partial(detect.in_threads, frame_pool)
        work = (
            (
                clip,
                clips.digest[clip],
                functools.partial(rows.row, clips, clip, find, recipe["jpeg_quality"], recipe["every"]),
            )
            for clip in clips.clips
        )
        progress = Progress(f"faces {output.stem}", len(clips.clips))
        for _ in rows_ahead(faces, work, policy, clip_pool, threads):
            progress.advance()
        policy.check(faces.taken)
        faces.note(device=detect.device or faces.attributes.get("device", ""))
