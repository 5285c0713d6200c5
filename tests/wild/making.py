"""Small video files of any shape, and ways to spoil them."""

import struct
import tempfile
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np

SECONDS, FPS = 2, 10


def picture(number, size, pix_fmt):
    """Frame number so-and-so: a bar that moves over a gradient."""
    width, height = size
    image = np.empty((height, width, 3), np.uint8)
    image[...] = (np.arange(width) * 255 // max(1, width - 1))[None, :, None]
    image[:, number * width // 64 % width] = 255
    return av.VideoFrame.from_ndarray(image, "bgr24").reformat(format=pix_fmt)


def add_video(out, codec="mpeg4", *, size=(64, 48), pix_fmt="yuv420p", fps=FPS, rotate=0, options=None):
    stream = out.add_stream(codec, rate=fps, options=options or {})
    stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
    stream.thread_count = 1
    stream.gop_size = 5
    if rotate:
        stream.set_display_rotation(rotate)
    return stream


def add_audio(out, codec="aac", *, rate=44_100, layout="mono"):
    options = {"strict": "experimental"}  # ffmpeg's own Vorbis
    return out.add_stream(codec, rate=rate, layout=layout, bit_rate=64_000, options=options)


def encode_video(out, stream, stamps, fps=FPS):
    for number, stamp in enumerate(stamps):
        frame = picture(number, (stream.width, stream.height), stream.pix_fmt)
        frame.pts, frame.time_base = stamp, Fraction(1, fps)
        out.mux(stream.encode(frame))
    out.mux(stream.encode())


def tone(pitch, rate, seconds, loudness=0.3):
    return loudness * np.sin(2 * np.pi * pitch * np.arange(int(seconds * rate)) / rate)


def encode_audio(out, stream, seconds, start=0.0, loudness=0.3, pitch=440):
    context = stream.codec_context
    rate, layout = context.sample_rate, context.layout.name
    wave = tone(pitch, rate, seconds, loudness).astype(np.float32)
    fifo, resampler = av.AudioFifo(), av.AudioResampler(context.format.name, layout, rate)
    for block in np.array_split(wave, max(1, len(wave) // 4096)) if len(wave) else []:
        channels = np.repeat(block, context.layout.nb_channels)[None]  # PyAV makes no frames of eight planes
        frame = av.AudioFrame.from_ndarray(channels, "flt", layout)
        frame.sample_rate = rate
        for piece in resampler.resample(frame):
            piece.pts = None
            fifo.write(piece)
    position = round(start * rate)
    while (frame := fifo.read(context.frame_size or 1024, partial=True)) is not None:
        frame.pts, frame.time_base = position, Fraction(1, rate)
        position += frame.samples
        out.mux(stream.encode(frame))
    out.mux(stream.encode())


def clip(container, *, video="mpeg4", audio="aac", seconds=SECONDS, fps=FPS, stamps=None, start=0, loudness=0.3,
         rate=44_100, layout="mono", pitch=440, options=None, **shape):  # fmt: skip
    """The bytes of a file; `video` or `audio` may be None. Frames' `stamps` are in ticks of 1 / fps."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip"
        with av.open(str(path), "w", format=container, options=options or {}) as out:
            pictures = add_video(out, video, fps=fps, **shape) if video else None
            sound = add_audio(out, audio, rate=rate, layout=layout) if audio else None
            if pictures is not None:
                stamps = range(round(seconds * fps)) if stamps is None else stamps
                encode_video(out, pictures, [stamp + round(start * fps) for stamp in stamps], fps)
            if sound is not None:
                encode_audio(out, sound, seconds, start, loudness, pitch)
        return path.read_bytes()


def joined(container, codec, *pieces, seconds=1.5):
    """Sounds one after the other as whole files; a piece is (rate, layout, pitch)."""
    return b"".join(
        clip(container, video=None, audio=codec, rate=rate, layout=layout, pitch=pitch, seconds=seconds)
        for rate, layout, pitch in pieces
    )


def wav(samples, rate=48_000, kind="f4"):
    """A WAV file of samples (n,) or (n, channels), as they are; its header says nothing of the channels' places."""
    stored = np.ascontiguousarray(samples.reshape(len(samples), -1), f"<{kind}")
    size, channels = stored.dtype.itemsize, stored.shape[1]
    shape = struct.pack(
        "<HHIIHH", 3 if kind[0] == "f" else 1, channels, rate, size * channels * rate, size * channels, 8 * size
    )
    data = stored.tobytes()
    body = b"WAVEfmt " + struct.pack("<I", len(shape)) + shape + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def caf(samples, places, rate=48_000):
    """A CAF file of one sound (n,) in channels whose places are listed: 1 left, 2 right, 3 centre, 4 bass, ..."""

    def chunk(kind, data):
        return kind + struct.pack(">q", len(data)) + data

    count = len(places)
    about = struct.pack(">d4s5I", rate, b"lpcm", 0, 2 * count, 1, count, 16)
    listed = struct.pack(">3I", 0, 0, count) + b"".join(struct.pack(">2I3f", place, 0, 0, 0, 0) for place in places)
    data = bytes(4) + np.repeat(32767 * samples, count).astype(">i2").tobytes()
    return b"caff\0\1\0\0" + chunk(b"desc", about) + chunk(b"chan", listed) + chunk(b"data", data)


def stored(container, samples, rate=48_000, kind="f4"):
    """Samples (n,) or (n, channels) as they are, in any container that holds them."""
    samples = np.ascontiguousarray(samples.reshape(len(samples), -1), kind)
    order = "be" if container in ("aiff", "caf") else "le"
    codec = {"f4": "pcm_f32", "f8": "pcm_f64", "i2": "pcm_s16", "i4": "pcm_s32"}[kind] + order
    format_ = {"f4": "flt", "f8": "dbl", "i2": "s16", "i4": "s32"}[kind]
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[samples.shape[1]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound"
        with av.open(str(path), "w", format=container) as out:
            stream = out.add_stream(codec, rate=rate, layout=layout)
            for begin in range(0, len(samples), 1024):
                frame = av.AudioFrame.from_ndarray(samples[begin : begin + 1024].reshape(1, -1), format_, layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
        return path.read_bytes()


def tracks(container, videos=(), sounds=(), seconds=1.0, options=None):
    """A file with several tracks.

    Videos are dicts of `level` (grey), `frames` and what `add_video` takes; sounds of `loudness`, `pitch` and what
    `add_audio` takes; both of `default` (None: the muxer decides) and `language`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip"
        with av.open(str(path), "w", format=container, options=options or {}) as out:
            shown = [_track(out, add_video, video, level=100, frames=round(seconds * FPS)) for video in videos]
            heard = [_track(out, add_audio, sound, loudness=0.3, pitch=440) for sound in sounds]
            for stream, own in shown:
                image = np.full((stream.height, stream.width, 3), own["level"], np.uint8)
                for number in range(own["frames"]):
                    frame = av.VideoFrame.from_ndarray(image, "bgr24").reformat(format=stream.pix_fmt)
                    frame.pts, frame.time_base = number, Fraction(1, FPS)
                    out.mux(stream.encode(frame))
                out.mux(stream.encode())
            for stream, own in heard:
                encode_audio(out, stream, seconds, loudness=own["loudness"], pitch=own["pitch"])
        return path.read_bytes()


def _track(out, add, given, **own):
    shape = {key: value for key, value in given.items() if key not in (*own, "default", "language", "disposition")}
    stream = add(out, **shape)
    if given.get("default") is not None:
        stream.disposition = av.stream.Disposition(1 if given["default"] else 0)
    if "disposition" in given:
        stream.disposition = given["disposition"]
    if "language" in given:
        stream.metadata["language"] = given["language"]
    return stream, {key: given.get(key, value) for key, value in own.items()}


@cache
def whole(container):
    """A sound file of one of the usual containers."""
    return clip(**{
        "mp4": {"container": "mp4", "video": "libx264"},
        "faststart mp4": {"container": "mp4", "video": "libx264", "options": {"movflags": "faststart"}},
        "avi": {"container": "avi", "audio": "mp3"},
        "flv": {"container": "flv", "video": "flv", "audio": "mp3"},
        "mkv": {"container": "matroska", "video": "libx264"},
    }[container])  # fmt: skip


def cut(data, share):
    """The first bytes: as many as a whole number says, or a share of all."""
    return data[: share if isinstance(share, int) else int(share * len(data))]


def patched(data, old, new, count=1):
    """With bytes replaced, which have to be there."""
    assert data.count(old) >= count, f"{old!r} is not in the file"
    return data.replace(old, new, count)


def noisy(data, begin, end, seed=0):
    """With random bytes between two shares of the file."""
    start, stop = int(begin * len(data)), int(end * len(data))
    noise = np.random.default_rng(seed).integers(0, 256, stop - start, np.uint8).tobytes()
    return data[:start] + noise + data[stop:]


def shortened(path, container, seconds):
    """The beginning of a real clip, its packets as they are, in a container of choice."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "clip"
        with av.open(str(path)) as source, av.open(str(target), "w", format=container) as out:
            kept = [*source.streams.video, *source.streams.audio]
            streams = {stream.index: out.add_stream_from_template(stream) for stream in kept}
            for packet in source.demux(kept):
                if packet.dts is not None and packet.dts * packet.time_base < seconds:
                    packet.stream = streams[packet.stream.index]
                    out.mux(packet)
        return target.read_bytes()


def beginning_of_flv(data, share, seconds):
    """The first part of an FLV, whose header then tells that length; CREMA-D's codec cannot be muxed anew."""
    at = data.index(b"duration\0") + 9
    return data[:at] + struct.pack(">d", seconds) + cut(data, share)[at + 8 :]


def as_avi(path, seconds):
    """The beginning of a real clip as AFEW has its clips: small frames as MPEG-4 and sound as MP3, in AVI."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "clip"
        with av.open(str(path)) as source, av.open(str(target), "w", format="avi") as out:
            pictures, sound = add_video(out, size=(320, 180), fps=30), add_audio(out, "mp3")
            resampler = av.AudioResampler("s16p", "mono", 44_100, frame_size=1152)
            shown = heard = 0
            for frame in source.decode(video=0, audio=0):
                if frame.time >= seconds:
                    break
                if isinstance(frame, av.VideoFrame):
                    small = frame.reformat(320, 180, "yuv420p")
                    small.pts, small.time_base, shown = shown, Fraction(1, 30), shown + 1
                    out.mux(pictures.encode(small))
                    continue
                for piece in resampler.resample(frame):
                    piece.pts, piece.time_base, heard = heard, Fraction(1, 44_100), heard + piece.samples
                    out.mux(sound.encode(piece))
            for stream in (pictures, sound):
                out.mux(stream.encode())
        return target.read_bytes()
