"""The process that decodes a job's clips, so that no clip can end the job.

`python -m emopipe.media.worker OPTIONS` reads requests from standard input and answers on standard output (see
`emopipe.media.protocol`) until the input ends. It cannot write files. On Linux it can neither use more memory than the
options allow nor outlive the job.
"""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import cv2

from emopipe.cache.status import UNREADABLE, reason
from emopipe.core.errors import MediaError
from emopipe.media.clip import read_clip
from emopipe.media.decoded import DecodeOptions, Media, Span
from emopipe.media.frame_clips import read_folder
from emopipe.media.frame_folders import FrameFolder
from emopipe.media.protocol import BLOATED, READY, receive_request, send_media
from emopipe.media.spans import read_spans

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>


def main() -> None:
    """Answer each request with the decoded clip, until the input ends."""
    serve(_decode)


def serve(decode: Callable[[Path, DecodeOptions, Sequence[Span], FrameFolder], Iterator[Media]]) -> None:
    """Answer requests with what `decode` yields for a file or folder and the parts that are wanted, until the end."""
    options = DecodeOptions.model_validate_json(sys.argv[1])
    cv2.setNumThreads(1)  # jobs run side by side already
    requests, answers = _own_channels()
    _stay_with_the_job()
    _confine(options.clip_memory_mb)
    answers.write(READY)
    answers.flush()
    while (request := receive_request(requests)) is not None:
        path, spans, how = request
        for answer in _answers(decode(path, options, spans, how), options):
            send_media(answers, answer)


def _decode(path: Path, options: DecodeOptions, spans: Sequence[Span], how: FrameFolder) -> Iterator[Media]:
    if path.is_dir():
        yield from read_folder(path, options, how, spans or (None,))
    elif spans:
        yield from read_spans(path, options, spans)
    else:
        yield read_clip(path, options)


def _own_channels() -> tuple[BinaryIO, BinaryIO]:
    """Return private copies of standard input and output: libraries print to them, and ffmpeg may read."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # errors before this line still reach the terminal
        os.dup2(nowhere, standard)
    return requests, answers


def _stay_with_the_job() -> None:
    """End when the job ends, and ignore signals: the job itself handles signals that are sent to the group."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _confine(megabytes: int) -> None:
    """Forbid writing files and core dumps, and limit memory to `megabytes` more than is in use now."""
    for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(kind, (0, 0))
    if sys.platform == "linux":
        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        most = in_use + (megabytes << 20)
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _answers(decoded: Iterator[Media], options: DecodeOptions) -> Iterator[Media]:
    try:
        yield from decoded
    except MediaError as error:
        yield Media(UNREADABLE, error.why)
    except MemoryError:
        yield Media(BLOATED, reason("too_much_memory", megabytes=options.clip_memory_mb))


if __name__ == "__main__":
    main()
