"""A stand-in for the process that decodes, which does what the names of clips say."""

import os
import signal
import time

from emopipe.media import worker
from emopipe.media.decoded import Media

served = []


def read_clip(path, options):
    """What a hostile clip might make ffmpeg do."""
    name = path.name
    served.append(name)
    spoiled = name == "fragile" and "spoiler" in served
    if name == "crash" or spoiled:
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "abort":
        os.abort()
    if name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "hang":
        time.sleep(60)
    if name == "nap":
        time.sleep(0.5)
    if name == "leave":
        os._exit(3)
    if name == "close":
        os.closerange(3, 100)
        time.sleep(60)
    if name == "bloat":
        bytearray(2 * options.clip_memory_mb << 20)
    if name == "bloated" and len(served) > 1:
        raise MemoryError
    if name == "babble":
        os.write(4, b"\xff" * 64)
    if name == "print":
        os.write(1, b"a library prints\n")
        os.write(2, b"and complains\n")
    if name == "signals":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
    if name == "write":
        try:
            path.with_name("harm").write_text("written")
        except OSError as error:
            return Media("undecodable", f"cannot write: {error.strerror}")
    return Media("no_video", f"{name} by {os.getpid()}")


def read_spans(path, options, spans):
    """As `read_clip`; the name of the clip says at which second of it something happens, and what: `hang at 2`."""
    what, _, second = path.name.partition(" at ")
    for span in spans:
        if float(second) == span.start:
            read_clip(path.with_name(what), options)
        yield Media("no_video", f"{span.start:g} of {len(spans)} by {os.getpid()}")


if __name__ == "__main__":
    worker.read_clip, worker.read_spans = read_clip, read_spans
    worker.main()
