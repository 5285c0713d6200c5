"""Gives a silent video the sound of the file that it was made from, in another process: the file may be hostile."""

import os
import subprocess
import sys
from pathlib import Path

from emopipe.core.fingerprint import ROOT
from emopipe.media import sound_worker
from emopipe.media.decoded import DecodeOptions, Span
from emopipe.media.sound_worker import NO_SOUND, Request

WORKER = sound_worker.__name__
"""The module that the process runs."""


def add_sound(
    video: Path, source: Path, output: Path, options: DecodeOptions, span: Span | None = None, seconds: float = 0.0
) -> bool:
    """Write `output`, the video with the sound; return False, and write nothing, if there is no sound to be had.

    The sound is copied where MP4 holds its codec, else encoded as AAC.

    Args:
        video: The silent video.
        source: The file whose sound is taken.
        output: The MP4 file to write.
        options: They may choose the sound track; `clip_seconds` and the length of the video limit the time.
        span: The part of the source that the video shows; None: all.
        seconds: The length of the video.
    """
    span = span or Span()
    end = None if span.end == float("inf") else span.end
    for may_copy in (True, False):  # packets that cannot be copied may still decode
        asked = Request(
            video=str(video.resolve()), source=str(source), output=str(output.resolve()), options=options,
            start=span.start, end=end, may_copy=may_copy,
        )  # fmt: skip
        code = _run(asked, options.clip_seconds + seconds)
        if code == 0:
            return True
        output.unlink(missing_ok=True)
        if code == NO_SOUND:
            return False
    return False


def _run(asked: Request, seconds: float) -> int | None:
    """Return the exit code of the process; None if it took too long."""
    packages = filter(None, [str(ROOT.parent), os.environ.get("PYTHONPATH")])
    try:
        return subprocess.run(
            # -P: no module is imported from the folder that the job happens to run in.
            [sys.executable, "-P", "-m", WORKER, asked.model_dump_json()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(packages), "OMP_NUM_THREADS": "1"},
            timeout=seconds,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        return None
