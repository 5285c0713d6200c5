"""Packets and frames of the sound of a file, in which damage is an item of its own and ends nothing before its time."""

from collections.abc import Iterator

import av
from av.container import InputContainer

from emopipe.cache.status import reason
from emopipe.media import files


def audio_packets(container: InputContainer, *streams: av.AudioStream) -> Iterator[av.Packet | str]:
    """Yield the packets of streams in the order of the file; if the demuxer fails, a reason is the last item."""
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.EOFError):
            return
        except MemoryError:
            raise
        except av.FFmpegError as error:
            yield reason("damaged_audio", error=files.describe(error))
            return
        yield packet


def audio_frames(packet: av.Packet) -> Iterator[av.AudioFrame | str]:
    """Yield the frames of a packet as PyAV can give their samples; if the packet is damaged, a reason."""
    try:
        for frame in packet.decode():
            yield _plain(frame)
    except MemoryError:
        raise
    except av.EOFError:
        return
    except av.FFmpegError as error:
        yield reason("damaged_audio", error=files.describe(error))


def _plain(frame: av.AudioFrame) -> av.AudioFrame:
    """Return a frame whose `to_ndarray` works: PyAV has no 64-bit integers, and fails with eight or more planes."""
    if frame.format.name in ("s64", "s64p"):
        target = "dbl"
    elif frame.format.is_planar and frame.layout.nb_channels >= 8:
        target = frame.format.packed.name
    else:
        return frame
    time = frame.time
    frame.pts = None
    (packed,) = av.AudioResampler(format=target).resample(frame)
    packed.pts = None if time is None else round(time / packed.time_base)
    return packed
