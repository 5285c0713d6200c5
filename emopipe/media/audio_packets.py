"""Packets and frames of the sound of a file, in which damage is an item of its own and ends nothing before its time."""

import ctypes
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


def keep(layout: av.AudioLayout) -> bool:
    """Return whether a layout lists its channels one by one, and keep it in memory if so.

    Such a layout has a table, which PyAV frees twice: with the frame or the stream that has the layout, and with the
    Python object. That crashes the process. So the object, a few bytes, is never freed.
    """
    if " channels (" not in layout.name:  # such as "3 channels (FC+FL+FR)"
        return False
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(layout))
    return True


def _plain(frame: av.AudioFrame) -> av.AudioFrame:
    """Return a frame whose `to_ndarray` works: PyAV has no 64-bit integers, and fails with eight or more planes."""
    is_listed = keep(frame.layout)
    if frame.format.name in ("s64", "s64p"):
        target = "dbl"
    elif frame.format.is_planar and frame.layout.nb_channels >= 8:
        target = frame.format.packed.name
    else:
        return _with_places_unknown(frame) if is_listed else frame
    time = frame.time
    frame.pts = None
    (packed,) = av.AudioResampler(format=target).resample(frame)
    packed.pts = None if time is None else round(time / packed.time_base)
    return _with_places_unknown(packed) if keep(packed.layout) else packed


def _with_places_unknown(frame: av.AudioFrame) -> av.AudioFrame:
    """Return a frame whose layout says nothing but the number of its channels."""
    plain = av.AudioFrame.from_ndarray(frame.to_ndarray(), frame.format.name, f"{frame.layout.nb_channels} channels")
    plain.sample_rate, plain.time_base, plain.pts = frame.sample_rate, frame.time_base, frame.pts
    return plain
