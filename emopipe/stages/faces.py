"""Stage faces: sampled frames -> the main face's aligned crops, every detection, status."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2

from emopipe.cache.failures import FailurePolicy
from emopipe.cache.incremental import making
from emopipe.cache.store import Reader
from emopipe.core.errors import CacheError
from emopipe.core.log import Progress
from emopipe.faces import rows
from emopipe.runtime.ahead import ahead, thread_pool


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
        # The rows of reused clips are read a second time below: all of them would not fit in memory together.
        reused = {clip for clip in clips.clips if faces.earlier(clip, clips.digest[clip])}
        tasks = (
            functools.partial(rows.row, clips, clip, find, recipe["jpeg_quality"], recipe["every"])
            for clip in clips.clips
            if clip not in reused
        )
        made = ahead(tasks, clip_pool, threads)
        progress = Progress(f"faces {output.stem}", len(clips.clips))
        for clip in clips.clips:
            if clip not in reused:
                faces.add(policy.row(clip, clips.digest[clip], next(made)))
            elif row := faces.earlier(clip, clips.digest[clip]):
                faces.take(row)
            else:
                raise CacheError(f"{output} was intact a moment ago, and is damaged now. Check the disk and run again.")
            progress.advance()
        policy.check(faces.taken)
        faces.note(device=detect.device or faces.attributes.get("device", ""))
