"""The process that measures how long files are, for `emopipe.media.sandbox.LengthReader`.

`python -m emopipe.media.length_worker OPTIONS` is `emopipe.media.worker`, but its answers have one time and no content.
"""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from emopipe.cache import status
from emopipe.media import files
from emopipe.media.decoded import Media
from emopipe.media.worker import serve


def longest(path: Path) -> Iterator[Media]:
    """Yield the time at which a file ends at the latest, by its header or by its packets; nothing is decoded.

    A header may state too little or too much, and packets may lack times. Where the packets do not say, there is no
    time in the answer.
    """
    try:
        with files.opened(path) as file, files.container(file) as container:
            end = (container.duration or 0) / av.time_base
            for packet in container.demux([*container.streams.video, *container.streams.audio]):
                stamp = packet.dts if packet.pts is None else packet.pts
                if packet.size and stamp is None:
                    raise ValueError("a packet has no time")
                if packet.size:
                    last = float((stamp + (packet.duration or 0)) * packet.time_base)
                    end = max(end, last - files.start(container))
    except (av.FFmpegError, ValueError):
        end = 0.0
    yield Media(status.OK, "", [b""], np.array([end])) if end > 0 else Media(status.UNDECODABLE)


if __name__ == "__main__":
    serve(lambda path, _options, _spans: longest(path))
