"""When a file ends, by its header and its packets; nothing is decoded."""

import av

from emopipe.media import files


def end_of(file: int) -> float:
    """Return the time at which an open file ends at the latest, in seconds; 0 if its packets do not say.

    A header may state too little or too much, and packets may lack times.
    """
    try:
        with files.container(file) as container:
            end = (container.duration or 0) / av.time_base
            for packet in container.demux([*container.streams.video, *container.streams.audio]):
                stamp = packet.dts if packet.pts is None else packet.pts
                if packet.size and stamp is None:
                    return 0.0
                if packet.size:
                    last = float((stamp + (packet.duration or 0)) * packet.time_base)
                    end = max(end, last - files.start(container))
    except (av.FFmpegError, ValueError):
        return 0.0
    return end
