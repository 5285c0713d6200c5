"""Streams that encoders do not write: fields, layers, hidden frames, changes in the middle, odd headers."""

import io
import struct
from fractions import Fraction

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

from tests.wild.making import add_audio, encode_audio, picture

SIZE, RATE = (64, 48), 25
IN_ORDER = {"libx264": {"bf": "0", "sc_threshold": "0"}, "libx265": {"x265-params": "log-level=none:bframes=0"}}
"""Options of encoders by which frames are shown in the order of their packets."""


def encoded(codec, numbers, *, size=SIZE, pix_fmt="yuv420p", gop=1000, aspect=None, image=None, options=None):
    """The packets of a stream whose frames have these numbers, which are their times in ticks of 1 / RATE, too."""
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt, context.gop_size = *size, pix_fmt, gop
    context.framerate, context.time_base = Fraction(RATE), Fraction(1, RATE)
    context.thread_count = 1
    context.options = {**IN_ORDER.get(codec, {}), **(options or {})}
    if aspect:
        context.sample_aspect_ratio = aspect
    packets = []
    for number in numbers:
        shown = picture(number, size, pix_fmt)
        if image is not None:
            shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "bgr24").reformat(format=pix_fmt)
        shown.pts, shown.time_base = number, Fraction(1, RATE)
        packets += context.encode(shown)
    return packets + context.encode(None)


def muxed(container, codec, packets, *, size=SIZE, pix_fmt="yuv420p", aspect=None, matrix=None, sound="", options=None):
    """A file of packets, which may come from several encoders, and of 440 Hz for as long."""
    packets = list(packets)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options=options or {}) as out:
        stream = out.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.time_base = Fraction(1, RATE)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if matrix:
            stream.set_display_matrix(matrix)
        tone = add_audio(out, sound, rate=48_000) if sound else None
        for packet in map(copied, packets):  # muxing changes a packet's times
            packet.stream = stream
            out.mux(packet)
        if tone is not None:
            encode_audio(out, tone, len({packet.pts for packet in packets}) / RATE)
    return buffer.getvalue()


def raw(packets):
    """A file without a container."""
    return b"".join(map(bytes, packets))


def copied(packet, data=None, pts=None):
    """A packet like another one, with other content or at another time."""
    made = av.Packet(bytes(packet) if data is None else data)
    made.pts, made.dts = (packet.pts, packet.dts) if pts is None else (pts, pts)
    made.time_base, made.is_keyframe = packet.time_base, packet.is_keyframe
    return made


def chained(*streams):
    """The packets of several streams, one after the other in time."""
    packets, begin = [], 0
    for stream in streams:
        packets += [copied(packet, pts=begin + packet.pts) for packet in stream]
        begin += len(stream)
    return packets


def filtered(container, codec, packets, name, *, size=SIZE, **options):
    """The packets after a bitstream filter, as they stand in such a container."""
    text = ":".join(f"{key}={value}" for key, value in options.items())
    with av.open(io.BytesIO(muxed(container, codec, packets, size=size))) as source:
        stream = source.streams.video[0]
        bitstream = BitStreamFilterContext(f"{name}={text}" if text else name, stream)
        made = [each for packet in source.demux(stream) if packet.size for each in bitstream.filter(packet)]
        return [copied(packet) for packet in [*made, *bitstream.filter(None)]]


def fields(numbers):
    """MPEG-2 whose packets are fields, two a frame: intra pictures of half the height, declared to be fields."""
    made = []
    for number, packet in enumerate(encoded("mpeg2video", range(2 * len(numbers)), gop=0)):
        data = bytearray(bytes(packet))
        if (at := data.find(b"\0\0\1\xb3")) >= 0:  # the sequence header: 12 bits of width, 12 of height
            size = int.from_bytes(data[at + 4 : at + 7], "big")
            data[at + 4 : at + 7] = (size + SIZE[1]).to_bytes(3, "big")  # twice the height
        at = data.index(b"\0\0\1\0") + 4  # the picture header: 10 bits of its number among those of its group
        head = int.from_bytes(data[at : at + 2], "big") & 0x3F
        data[at : at + 2] = ((number // 2 << 6) | head).to_bytes(2, "big")
        at = data.index(b"\0\0\1\xb5", at) + 4  # the picture's extension: the last 2 bits of the third byte
        data[at + 2] = data[at + 2] & 0xFC | (1 + number % 2)
        data[at + 3] &= 0xBF  # not "frames alone"
        second = data[data.index(b"\0\0\1\0") :]  # a second field has no headers of the sequence of its own
        made.append(copied(packet, bytes(second if number % 2 else data), pts=number))
    return made


def with_layers(packets, unit):
    """Each packet followed by one of a second layer: a unit that simple decoders pass over. Times are doubled."""
    layer = b"\0\0\0\1" + unit + bytes(range(1, 200))
    pairs = [(copied(packet, pts=2 * packet.pts), copied(packet, layer, pts=2 * packet.pts + 1)) for packet in packets]
    return [part for pair in pairs for part in pair]


def patched_matrix(data, matrix):
    """An MP4 whose track has another display matrix (a, b, c, d), of numbers."""
    at = data.index(b"tkhd") + 44
    a, b, c, d = (round(value * 65_536) for value in matrix)
    return data[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[at + 36 :]


def doubled_length(data, name=b"\x44\x89\x88", times=2.0):
    """A WebM whose header states another length."""
    at = data.index(name) + len(name)
    return data[:at] + struct.pack(">d", times * struct.unpack(">d", data[at : at + 8])[0]) + data[at + 8 :]


def longer_asf(data):
    """A WMV whose header states twice the time."""
    at = data.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")) + 64
    return data[:at] + struct.pack("<Q", 2 * struct.unpack_from("<Q", data, at)[0]) + data[at + 8 :]


def longer_mp4(data):
    """An MP4 whose movie, tracks and media state 16 times their length."""
    for name, offset in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20)):
        at = -1
        while (at := data.find(name, at + 1)) >= 0:
            place = at + offset
            data = data[:place] + struct.pack(">I", 16 * struct.unpack_from(">I", data, place)[0]) + data[place + 4 :]
    return data
