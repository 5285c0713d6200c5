#!/usr/bin/env python3
"""What it costs to decode clips in a process that may be lost, beside decoding them in this one.

Both ways take turns clip by clip, several times over; the first round, which fills the disk's cache, does not count.

    python benchmarks/capped_decoding.py data/ravdess_av data/crema_d [--policy all] [--rounds 5]
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from emopipe.corpora.files import AUDIO, VIDEO, media_files
from emopipe.media.clip import read_clip
from emopipe.media.decoded import DecodeOptions, Media
from emopipe.media.sandbox import ClipReader


def main(
    folders: Annotated[list[Path], typer.Argument(help="Folders of clips.")],
    policy: Annotated[str, typer.Option(help="all, or count: 8 frames a clip.")] = "count",
    rounds: Annotated[int, typer.Option(help="How often all clips are decoded.")] = 5,
) -> None:
    """Print a row a folder: milliseconds a clip both ways, the difference, and what starting the process takes."""
    options = DecodeOptions(policy=policy, count=8 if policy == "count" else None)
    print("| clips | n | here, ms a clip | apart, ms a clip | difference, ms | kB a clip | start, ms |")
    print("|---|---|---|---|---|---|---|")
    for folder in folders:
        paths = media_files(folder, VIDEO | AUDIO)
        with ClipReader(options) as read:
            first = _seconds(read, paths[0])
            here, apart = _both(paths, options, read, rounds)
            start = first - _seconds(read, paths[0])
        size = np.mean([_bytes(read_clip(path, options)) for path in paths]) / 1e3
        numbers = [here, apart, apart - here, size, 1e3 * start]
        print(f"| {folder.name} | {len(paths)} | " + " | ".join(f"{number:.1f}" for number in numbers) + " |")


def _both(paths: list[Path], options: DecodeOptions, read: ClipReader, rounds: int) -> tuple[float, float]:
    """Milliseconds a clip, in this process and in the other: the mean over clips of the median over rounds."""
    times = np.array(
        [[(_seconds(read_clip, path, options), _seconds(read, path)) for path in paths] for _ in range(1 + rounds)]
    )
    here, apart = 1e3 * np.median(times[1:], axis=0).mean(0)
    return here, apart


def _seconds(act: Callable[..., Media], *arguments: Path | DecodeOptions) -> float:
    begin = time.perf_counter()
    act(*arguments)
    return time.perf_counter() - begin


def _bytes(media: Media) -> int:
    return sum(map(len, media.jpegs)) + media.audio.nbytes + media.times.nbytes


if __name__ == "__main__":
    typer.run(main)
