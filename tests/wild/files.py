"""Bad and odd video files, each with the status that it should get."""

import gzip
import io
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from tests.wild.making import (
    SECONDS,
    add_audio,
    add_video,
    caf,
    clip,
    cut,
    encode_audio,
    encode_video,
    joined,
    noisy,
    patched,
    stored,
    tone,
    tracks,
    wav,
    whole,
)
from tests.wild.streams import (
    SIZE,
    chained,
    copied,
    doubled_length,
    encoded,
    fields,
    filtered,
    longer_asf,
    longer_mp4,
    muxed,
    patched_matrix,
    raw,
    with_layers,
)

OK, NO_AUDIO, NO_VIDEO, UNDECODABLE, UNREADABLE = "ok", "no_audio", "no_video", "undecodable", "unreadable"
EITHER = (OK, NO_AUDIO, NO_VIDEO, UNDECODABLE)


@dataclass(frozen=True)
class Wild:
    """One file of the wild corpus."""

    name: str
    what: str
    status: frozenset[str]
    """What it may come to."""
    make: Callable[[Path], object]
    """Writes it; beside the corpus is a folder `elsewhere`."""


def wild(name, what, status, content):
    """`content`: bytes, what makes them when called, or what writes to a path."""
    allowed = frozenset([status] if isinstance(status, str) else status)
    if isinstance(content, bytes):
        return Wild(name, what, allowed, lambda path: path.write_bytes(content))
    return Wild(name, what, allowed, content)


def made(container, **shape):
    return lambda path: path.write_bytes(clip(container, **shape))


def of(container, change=lambda data: data):
    return lambda path: path.write_bytes(change(whole(container)))


class Malice:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("harm",)


# --- cut off


def truncations():
    begin = {"mp4": (1, 12, 100), "faststart mp4": (), "avi": (1, 12, 500), "flv": (1, 9, 300), "mkv": (1, 40, 400)}
    for container, suffix in {"mp4": "mp4", "faststart mp4": "mp4", "avi": "avi", "flv": "flv", "mkv": "mkv"}.items():
        for share in (*begin[container], 0.05, 0.25):
            yield container, suffix, share, UNDECODABLE
        # By bytes: by time, each stream may have a little more or less than half.
        yield container, suffix, 0.5, UNDECODABLE if container == "mp4" else EITHER
        yield container, suffix, 0.6, {"mp4": UNDECODABLE, "avi": EITHER}.get(container, (OK, NO_AUDIO))
        for share in (0.85, 0.97):
            # An MP4's index stands at the end: what it says of one stream may be whole, of the other cut off.
            yield container, suffix, share, (UNDECODABLE, NO_AUDIO) if container == "mp4" else OK


def cut_off():
    for container, suffix, share, status in truncations():
        size = f"{share} bytes" if isinstance(share, int) else f"{share:.0%}"
        if share == 1:
            size = "1 byte"
        name = f"cut {container} {share}.{suffix}"
        yield wild(name, f"{container} cut off after {size}", status, of(container, partial(cut, share=share)))


# --- no video files at all


def pretenders():
    archive, numbers = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("clip.mp4", whole("mp4"))
    np.savez(numbers, whole=np.arange(1000))
    png = cv2.imencode(".png", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"
    page = b"<html><script>alert('face')</script><video src='file:///etc/passwd'></video></html>"
    sdp = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    yield wild("empty.mp4", "0 bytes", UNDECODABLE, b"")
    yield wild("zeros.avi", "64 KiB of zeros", UNDECODABLE, bytes(65_536))
    yield wild("noise.mp4", "64 KiB of noise", UNDECODABLE, np.random.default_rng(0).bytes(65_536))
    yield wild("text.avi", "text", UNDECODABLE, b"This is no video.\n" * 40)
    yield wild("page.mp4", "HTML with a script", UNDECODABLE, page)
    yield wild("picture.mp4", "a PNG", NO_AUDIO, png)
    yield wild("archive.mkv", "a zip with a clip in it", UNDECODABLE, archive.getvalue())
    yield wild("packed.avi", "a clip, gzipped", UNDECODABLE, lambda path: path.write_bytes(gzip.compress(whole("avi"))))
    yield wild("pickle.mp4", "a pickle that runs code", UNDECODABLE, pickle.dumps(Malice()))
    yield wild("numbers.flv", "an .npz", UNDECODABLE, numbers.getvalue())
    yield wild("playlist.mp4", "an m3u8 of /etc/passwd", UNDECODABLE, playlist.format("file:///etc/passwd").encode())
    yield wild("online.mp4", "an m3u8 of a web address", UNDECODABLE, playlist.format("http://127.0.0.1:9/a").encode())
    yield wild("itself.mp4", "an m3u8 of this process' input", UNDECODABLE, playlist.format("fd:").encode())
    yield wild("list.mp4", "an ffconcat of /etc/passwd", UNDECODABLE, b"ffconcat version 1.0\nfile '/etc/passwd'\n")
    yield wild("near.mkv", "an ffconcat of a clip beside it", UNDECODABLE, b"ffconcat version 1.0\nfile whole.mp4\n")
    yield wild("call.avi", "an SDP that asks for a stream from the network", UNDECODABLE, sdp)


# --- whole, under another name


def misnamed():
    yield wild("whole.mp4", "a whole MP4", OK, of("mp4"))
    yield wild("avi.mp4", "an AVI called MP4", OK, of("avi"))
    yield wild("mp4.flv", "an MP4 called FLV", OK, of("mp4"))
    yield wild("flv.mkv", "an FLV called MKV", OK, of("flv"))
    yield wild("sound.mp4", "an MP3 called MP4", NO_VIDEO, made("mp3", video=None, audio="mp3"))
    yield wild("wave.avi", "a WAV called AVI", NO_VIDEO, made("wav", video=None, audio="pcm_s16le"))
    yield wild("video.wav", "an MP4 called WAV", OK, of("mp4"))


# --- whole and odd


def two_of_each(path):
    import av

    with av.open(str(path), "w", format="matroska") as out:
        pictures = [add_video(out), add_video(out, size=(32, 32))]
        sounds = [add_audio(out), add_audio(out, rate=48_000, layout="stereo")]
        for stream in pictures:
            encode_video(out, stream, range(20))
        for stream in sounds:
            encode_audio(out, stream, 2)


def changing_size(path):
    shape = {"container": "mpegts", "video": "mpeg2video", "audio": "mp2", "fps": 25}
    path.write_bytes(clip(**shape) + clip(**shape, size=(96, 80), start=SECONDS))


def odd():
    raw = {"container": "matroska", "video": "ffv1", "audio": "pcm_s16le", "rate": 8_000}
    yield wild("audio only.mp4", "no video stream", NO_VIDEO, made("mp4", video=None))
    yield wild("video only.avi", "no audio stream", NO_AUDIO, made("avi", audio=None))
    yield wild("silence.mkv", "digital silence", NO_AUDIO, made(**raw, loudness=0))
    yield wild("one frame.avi", "one frame and 2 s of sound", OK, made("avi", audio="mp3", stamps=[0]))
    yield wild("one frame alone.mp4", "one frame, no sound", NO_AUDIO, made("mp4", audio=None, stamps=[0]))
    yield wild("one pixel.mkv", "frames of one pixel", OK, made(**raw, size=(1, 1), pix_fmt="bgr0"))
    yield wild("one row.mkv", "frames of 8192 x 16 pixels", OK, made(**raw, size=(8192, 16), seconds=0.5))
    yield wild("one column.mkv", "frames of 16 x 8192 pixels", OK, made(**raw, size=(16, 8192), seconds=0.5))
    yield wild("4k.mp4", "frames of 3840 x 2160 pixels", OK, made("mp4", size=(3840, 2160), seconds=0.3))
    yield wild("900 megapixels.avi", "a header that announces frames of 30000 x 30000", NO_VIDEO, announcing(30_000))
    yield wild("no pixels.avi", "a header that announces frames of 0 x 0", NO_VIDEO, announcing(0))
    yield wild("bomb.mp4", "a PNG of 20000 x 20000 pixels in 50 kB", UNDECODABLE, png_bomb(20_000))
    yield wild("odd size.mkv", "frames of 33 x 17 pixels", OK, made(**raw, size=(33, 17), pix_fmt="bgr0"))
    yield wild("grey 16 bit.mkv", "16-bit grey frames", OK, made(**raw, pix_fmt="gray16le"))
    yield wild("transparent.mov", "frames with an alpha channel", OK, made("mov", video="qtrle", pix_fmt="argb"))
    for angle in (90, 180, -90):
        yield wild(f"turned {angle}.mp4", f"a display matrix of {angle} degrees", OK, made("mp4", rotate=angle))
    yield wild("uneven.mkv", "a variable frame rate", OK, made("matroska", stamps=[0, 1, 2, 3, 12, 18, 19]))
    yield wild("stills.avi", "Motion JPEG", OK, made("avi", video="mjpeg", pix_fmt="yuvj420p", audio="mp3"))
    yield wild("fast.mp4", "240 frames a second", OK, made("mp4", fps=240, seconds=0.5))
    yield wild("surround.mkv", "5.1 sound", OK, made("matroska", layout="5.1"))
    yield wild("telephone.avi", "sound at 8 kHz", OK, made("avi", audio="pcm_s16le", rate=8_000))
    yield wild("ultrasound.mkv", "sound at 192 kHz", OK, made("matroska", audio="pcm_s16le", rate=192_000))
    yield wild("floats.mov", "sound as floating-point numbers", OK, made("mov", audio="pcm_f32le"))
    yield wild(
        "a click.avi",
        "16 samples of sound",
        (OK, NO_AUDIO),
        made("avi", audio="pcm_s16le", seconds=0.002, stamps=range(9)),
    )
    yield wild(
        "late.ts",
        "a clock that begins at 100 s",
        OK,
        made("mpegts", start=100, video="mpeg2video", audio="mp2", fps=25),
    )
    yield wild(
        "early.mkv",
        "a clock that begins before 0",
        OK,
        made("matroska", start=-1, options={"avoid_negative_ts": "disabled"}),
    )
    yield wild("trimmed.mp4", "an edit list that hides the first 1.3 s", OK, made("mp4", start=-1.3))
    long = {"seconds": 600, "fps": 1, "size": (32, 32), "audio": "mp2", "rate": 16_000}
    yield wild("10 minutes.avi", "10 minutes", OK, made("avi", **long))
    yield wild("two of each.mkv", "two streams of video and two of sound", OK, two_of_each)
    yield wild("growing.ts", "frames that change their size in the middle", OK, changing_size)
    yield wild("pieces.mp4", "a fragmented MP4", OK, made("mp4", options={"movflags": "frag_keyframe+empty_moov"}))
    yield wild("web.webm", "VP8 and Opus", OK, made("webm", video="libvpx", audio="libopus", rate=48_000))
    yield wild("windows.wmv", "WMV2 and WMA", OK, made("asf", video="wmv2", audio="wmav2"))
    yield wild("disc.mpg", "MPEG-2 in a program stream", OK, made("mpeg", video="mpeg2video", audio="mp2", fps=25))
    yield wild("telephone.3gp", "H.263 without sound", NO_AUDIO, made("3gp", video="h263", audio=None, size=(176, 144)))


def announcing(side):
    """An AVI whose header says that its frames have so many pixels a side."""
    old = (64).to_bytes(4, "little") + (48).to_bytes(4, "little")
    data = clip("avi", video="ffv1", audio="pcm_s16le", rate=8_000)
    return patched(data, old, 2 * side.to_bytes(4, "little"), 2)


def png_bomb(side):
    """A black picture that is small until it is decoded."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + side // 8) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


# --- sound that changes, and several tracks


def written(make, *given, **keys):
    """Content that is made when the file is written."""
    return lambda path: path.write_bytes(make(*given, **keys))


def changing():
    stereo, mono, surround = (44_100, "stereo", 300), (22_050, "mono", 700), (48_000, "5.1", 700)
    for container, codec, suffix, pair in (
        ("mp3", "mp3", "mp3", (stereo, mono)),
        ("adts", "aac", "aac", (mono, surround)),
        ("ac3", "ac3", "ac3.mp4", (stereo, (48_000, "mono", 700))),
        ("flac", "flac", "flac", (stereo, (44_100, "mono", 700))),
        ("ogg", "flac", "ogg", (stereo, mono)),
        ("ogg", "libopus", "opus", ((48_000, "mono", 300), (48_000, "stereo", 700))),
    ):
        what = f"{codec} in {container}, {pair[0][1]} and then {pair[1][1]}"
        yield wild(f"changing {codec}.{suffix}", what, NO_VIDEO, written(joined, container, codec, *pair))
    yield wild("changing sound.ts", "sound that becomes mono in the middle", OK, changing_sound)
    for channels in (3, 9, 24, 100):
        wave = np.repeat(tone(300, 16_000, 1)[:, None], channels, 1)
        what = f"{channels} channels without a layout"
        yield wild(f"{channels} channels.wav", what, NO_VIDEO, written(wav, wave, 16_000))
    yield wild(
        "listed.wav",
        "a CAF whose channels are listed in odd order",
        NO_VIDEO,
        written(caf, tone(300, 48_000, 1), (3, 1, 2)),
    )
    yield wild("7.1.mkv", "7.1 sound", OK, made("matroska", layout="7.1"))


def changing_sound(path):
    shape = {"container": "mpegts", "video": "mpeg2video", "fps": 25, "audio": "aac"}
    path.write_bytes(clip(**shape, layout="stereo") + clip(**shape, rate=22_050, start=SECONDS))


def lost_or_invented():
    wave = tone(300, 48_000, 1)
    holes = np.where(np.arange(48_000) // 10 == 900, np.nan, wave)
    infinite, nothing = np.where(np.isnan(holes), np.inf, holes), np.full_like(wave, np.nan)
    turned = np.where(np.arange(48_000) < 24_000, wave, -wave)
    pairs = [np.stack([wave, other], 1) for other in (-wave, -0.95 * wave, turned)]
    mute = {"videos": [{"codec": "mpeg4"}], "sounds": [{"codec": "pcm_f32le", "loudness": np.nan}]}
    for name, what, status, content in (
        ("opposite.wav", "stereo channels that cancel each other", NO_VIDEO, written(wav, pairs[0])),
        ("nearly opposite.mov", "one of them is a little louder", NO_VIDEO, written(stored, "mov", pairs[1])),
        ("opposite at last.wav", "they do so in the second half", NO_VIDEO, written(wav, pairs[2])),
        ("holes.wav", "ten samples are not numbers", NO_VIDEO, written(wav, holes)),
        ("holes.mkv", "ten of 64 bits in Matroska", NO_VIDEO, written(stored, "matroska", holes, kind="f8")),
        ("infinite.aiff", "ten samples are infinite", NO_VIDEO, written(stored, "aiff", infinite)),
        ("holes caf.wav", "ten in CAF", NO_VIDEO, written(stored, "caf", holes)),
        ("no number.wav", "not one sample is a number", UNDECODABLE, written(wav, nothing)),
        ("no number.mov", "not one sample beside a video is a number", NO_AUDIO, written(tracks, "mov", **mute)),
        ("integers.wav", "integers of 16 bits as floats", NO_VIDEO, written(wav, np.rint(32767 * wave))),
        ("filtered.wav", "such integers after a filter", NO_VIDEO, written(wav, 32767 * wave)),
        ("integers 24.mkv", "integers of 24 bits as floats", NO_VIDEO,
         written(stored, "matroska", np.rint(2.0**23 * wave), kind="f8")),
        ("clipped.wav", "most samples are clipped", NO_VIDEO,
         written(wav, np.clip(8 * wave, -1, 1) * 32767, kind="i2")),
        ("loud.wav", "floats up to 1.5", NO_VIDEO, written(wav, 5 * wave)),
        ("64 bits.wav", "floats of 64 bits", NO_VIDEO, written(wav, wave, kind="f8")),
    ):  # fmt: skip
        yield wild(name, what, status, content)


def several_tracks():
    video, quiet, heard = {"codec": "mpeg4"}, {"codec": "mp3", "loudness": 0}, {"codec": "mp3"}
    still = {"codec": "mjpeg", "pix_fmt": "yuvj420p", "frames": 1, "size": (256, 256)}
    named = [{**heard, "language": language, "default": language == "deu"} for language in ("eng", "deu")]
    for name, container, what, videos, sounds in (
        ("first silent.mkv", "matroska", "of two sound tracks the first is silent", [video], [quiet, heard]),
        ("first silent.avi", "avi", "the same in AVI", [video], [quiet, heard]),
        ("first silent.mp4", "mp4", "the same in MP4", [video], [quiet, heard]),
        ("all silent.mkv", "matroska", "both are silent", [video], [quiet, quiet]),
        ("languages.mkv", "matroska", "two languages", [video], named),
        ("picture first.avi", "avi", "a still picture as the first video", [still, video], [heard]),
        ("picture first.mov", "mov", "the same in MOV", [{**still, "default": True}, video], [heard]),
        (
            "two sizes.mkv",
            "matroska",
            "a small video before a large one",
            [{**video, "size": (32, 32)}, video],
            [heard],
        ),
    ):
        status = NO_AUDIO if heard not in sounds and sounds is not named else OK
        yield wild(name, what, status, written(tracks, container, videos=videos, sounds=sounds))


# --- damaged and hostile


def damaged():
    avi, mp4, flv = "avi", "mp4", "flv"
    yield wild("scratched.avi", "a tenth of it noise", OK, of(avi, partial(noisy, begin=0.6, end=0.7)))
    yield wild(
        "scratched.flv", "a hundredth of it noise", (OK, UNDECODABLE), of(flv, partial(noisy, begin=0.7, end=0.71))
    )
    yield wild("scratched.mp4", "a tenth of it noise", OK, of(mp4, partial(noisy, begin=0.5, end=0.6)))
    yield wild("no index.avi", "an AVI without its index", OK, of(avi, lambda data: data[: data.rindex(b"idx1")]))
    yield wild("many frames.avi", "a header that counts two thousand million frames", OK, counting(0x7FFFFFFF))
    yield wild("many samples.mp4", "a table of 4 thousand million entries", UNDECODABLE, of(mp4, many_entries))
    yield wild("endless.mp4", "an atom of 2^63 bytes", (OK, UNDECODABLE), of(mp4, endless_atom))
    yield wild("deep.mp4", "20000 atoms inside each other", UNDECODABLE, b"\0\0\xff\xffmoov" * 20_000)
    yield wild(
        "unknown.avi", "a video codec that nobody knows", NO_VIDEO, of(avi, lambda data: data.replace(b"FMP4", b"QZQZ"))
    )
    yield wild("doubled.mp4", "a clip twice, one after the other", OK, of(mp4, lambda data: 2 * data))
    yield wild(
        "prefixed.mp4", "64 bytes of text before the clip", (OK, UNDECODABLE), of(mp4, lambda data: b"x" * 64 + data)
    )


def counting(frames):
    def change(data):
        at = data.index(b"avih") + 8 + 16
        return data[:at] + frames.to_bytes(4, "little") + data[at + 4 :]

    def both(data):
        at = data.index(b"strh") + 8 + 32
        return data[:at] + frames.to_bytes(4, "little") + data[at + 4 :]

    return of("avi", lambda data: both(change(data)))


def many_entries(data):
    at = data.index(b"stsz") + 4 + 8
    return data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]


def endless_atom(data):
    at = data.index(b"mdat") - 4
    return data[:at] + b"\0\0\0\1mdat\x7f" + b"\xff" * 7 + data[at + 8 :]


# --- counts that stand for something else


def half_of_video(container, codec, **shape):
    """A file that begins half a second after a keyframe, half a second before the next one."""
    return lambda path: path.write_bytes(muxed(container, codec, encoded(codec, range(50), gop=25)[12:], **shape))


def between_keyframes():
    what = "begins between two keyframes"
    for name, container, codec in (
        ("h264.mp4", "mp4", "libx264"),
        ("hevc.mkv", "matroska", "libx265"),
        ("vp8.webm", "webm", "libvpx"),
        ("vp9.mp4", "mp4", "libvpx-vp9"),
        ("mpeg4.avi", "avi", "mpeg4"),
        ("sorenson.flv", "flv", "flv"),
        ("wmv2.wmv", "asf", "wmv2"),
    ):
        yield wild(f"between {name}", what, NO_AUDIO, half_of_video(container, codec))
    for name, container, codec in (
        ("h264.ts", "mpegts", "libx264"),
        ("mpeg2.ts", "mpegts", "mpeg2video"),
        ("mpeg2.mpg", "mpeg", "mpeg2video"),
    ):
        yield wild(f"between {name}", what, OK, half_of_video(container, codec, sound="mp2"))
    for name, codec in (("raw h264.mpg", "libx264"), ("raw mpeg2.mpg", "mpeg2video")):
        content = partial(write_raw_between, codec)
        yield wild(f"between {name}", f"a stream without a container that {what}", NO_AUDIO, content)


def write_raw_between(codec, path):
    path.write_bytes(raw(encoded(codec, range(50), gop=25)[12:]))


def wrong_headers():
    web, wmv = {"video": "libvpx", "audio": "libopus", "rate": 48_000}, {"video": "wmv2", "audio": "wmav2"}

    def patched_clip(container, change, **shape):
        return lambda path: path.write_bytes(change(clip(container, **shape)))

    def flv(data):
        return doubled_length(data, b"duration\0")

    yield wild("long.webm", "a header that states twice the time", OK, patched_clip("webm", doubled_length, **web))
    yield wild(
        "short.webm", "a header that states a quarter of the time", OK,
        patched_clip("webm", partial(doubled_length, times=0.25), **web),
    )  # fmt: skip
    yield wild("very long.mkv", "a header that states 100 times the time", OK,
               of("mkv", partial(doubled_length, times=100)))  # fmt: skip
    yield wild("long.flv", "a header that states twice the time", OK, of("flv", flv))
    yield wild("long and cut.flv", "such a header, and four tenths of the file", UNDECODABLE,
               of("flv", lambda data: cut(flv(data), 0.4)))  # fmt: skip
    yield wild("long.wmv", "a header that states twice the time", OK, patched_clip("asf", longer_asf, **wmv))
    yield wild("long.mp4", "a header that states 16 times the time", OK, of("mp4", longer_mp4))
    yield wild("twice the frames.avi", "a header that counts 40 frames", OK, counting(40))
    yield wild("a tenth of the frames.avi", "a header that counts 2 frames", OK, counting(2))


def cut_in_other_containers():
    web, wmv = {"video": "libvpx", "audio": "libopus", "rate": 48_000}, {"video": "wmv2", "audio": "wmav2"}
    shapes = {
        "webm": ("webm", {"container": "webm", **web}, UNDECODABLE),
        "wmv": ("wmv", {"container": "asf", **wmv}, UNDECODABLE),
        "live mkv": ("mkv", {"container": "matroska", "video": "libx264", "options": {"live": "1"}}, OK),
        "pieces": ("mp4", {"container": "mp4", "options": {"movflags": "frag_keyframe+empty_moov"}}, OK),
        "ts": ("ts", {"container": "mpegts", "video": "libx264", "audio": "mp2", "fps": 25}, OK),
        "mpg": ("mpg", {"container": "mpeg", "video": "mpeg2video", "audio": "mp2", "fps": 25}, OK),
    }
    for name, (suffix, shape, below_half) in shapes.items():
        for share, status in ((0.3, below_half), (0.7, OK)):
            content = partial(write_cut, shape, share)
            yield wild(f"cut {name} {share}.{suffix}", f"{name} cut off after {share:.0%}", status, content)
    for name in ("avi", "faststart mp4", "flv", "mkv"):
        suffix = name.split()[-1]
        yield wild(f"head of {name}.{suffix}", "the first 700 bytes", UNDECODABLE, of(name, partial(cut, share=700)))


def write_cut(shape, share, path):
    path.write_bytes(cut(clip(**shape), share))


def fields_and_layers():
    def written(container, codec, make, **shape):
        return lambda path: path.write_bytes(muxed(container, codec, make(), **shape))

    tall = (SIZE[0], 2 * SIZE[1])
    for suffix, container in {"mkv": "matroska", "avi": "avi", "ts": "mpegts", "mpg": "mpeg"}.items():
        content = written(container, "mpeg2video", lambda: fields(range(20)), size=tall)
        yield wild(f"fields.{suffix}", "packets that are fields", NO_AUDIO, content)
    yield wild(
        "fields raw.mpg", "fields without a container", NO_AUDIO, lambda path: path.write_bytes(raw(fields(range(20))))
    )
    for name, codec, unit in (("h264", "libx264", b"\x74\x80\0\0"), ("hevc", "libx265", b"\x02\x09")):
        content = written("matroska", codec, partial(layered, codec, unit))
        yield wild(f"layers {name}.mkv", "every second packet is of a second layer", NO_AUDIO, content)
    yield wild(
        "hidden frames.mkv", "AV1 whose hidden frames are packets", NO_AUDIO,
        written("matroska", "libsvtav1", lambda: filtered(
            "matroska", "libsvtav1", encoded("libsvtav1", range(50), size=(64, 64)), "av1_frame_split", size=(64, 64)
        ), size=(64, 64)),
    )  # fmt: skip


def layered(codec, unit):
    return with_layers(encoded(codec, range(20)), unit)


# --- how pixels are shown, and changes in the middle


def shown():
    matrices = {
        "mirrored": (-1, 0, 0, 1), "upside down": (1, 0, 0, -1), "transposed": (0, 1, 1, 0),
        "slanted": (0.8, 0.6, -0.6, 0.8),
    }  # fmt: skip
    for name, matrix in matrices.items():
        yield wild(f"{name}.mp4", f"a display matrix {matrix}", OK, of("mp4", partial(patched_matrix, matrix=matrix)))
    sei = {"turned": {"rotate": "90"}, "mirrored": {"flip": "horizontal"}}
    for name, orientation in sei.items():
        content = partial(lambda path, options: path.write_bytes(turned_by_message(**options)), options=orientation)
        yield wild(f"{name} by a message.ts", "a display orientation in the stream", NO_AUDIO, content)
    yield wild("wide pixels.mp4", "pixels of 2 x 1", NO_AUDIO, lambda path: path.write_bytes(
        muxed("mp4", "libx264", encoded("libx264", range(20), aspect=Fraction(2)), aspect=Fraction(2))))  # fmt: skip


def turned_by_message(**orientation):
    packets = encoded("libx264", range(20))
    made = filtered("mpegts", "libx264", packets, "h264_metadata", display_orientation="insert", **orientation)
    return muxed("mpegts", "libx264", made)


def changing_pictures():
    def sizes(container, codec, **shapes):
        return lambda path: path.write_bytes(
            muxed(container, codec, chained(encoded(codec, range(20)), encoded(codec, range(20), size=(96, 80))))
        )

    for name, container, codec in (
        ("h264.mkv", "matroska", "libx264"),
        ("h264.mp4", "mp4", "libx264"),
        ("hevc.ts", "mpegts", "libx265"),
        ("mpeg4.ts", "mpegts", "mpeg4"),
        ("vp8.webm", "webm", "libvpx"),
        ("vp9.webm", "webm", "libvpx-vp9"),
        ("sorenson.flv", "flv", "flv"),
    ):
        yield wild(f"growing {name}", "frames that change their size in the middle", NO_AUDIO, sizes(container, codec))
    yield wild("pixel formats.avi", "frames that change their pixel format and size", NO_AUDIO, lambda path:
               path.write_bytes(pixel_formats()))  # fmt: skip
    yield wild("wider pixels.ts", "pixels that change their shape in the middle", NO_AUDIO, lambda path:
               path.write_bytes(muxed("mpegts", "libx264", wider_pixels())))  # fmt: skip
    yield wild("noise for video.mkv", "packets of noise beside sound", NO_VIDEO, lambda path: path.write_bytes(
        muxed("matroska", "libvpx", [copied(packet, b"\xff" * 50) for packet in encoded("libvpx", range(50))],
              sound="libopus")))  # fmt: skip


def pixel_formats():
    first = encoded("mjpeg", range(20), pix_fmt="yuvj420p")
    second = encoded("mjpeg", range(20), pix_fmt="yuvj444p", size=(96, 80))
    return muxed("avi", "mjpeg", chained(first, second), pix_fmt="yuvj420p")


def wider_pixels():
    return chained(encoded("libx264", range(20)), encoded("libx264", range(20), aspect=Fraction(2)))


# --- names


def names():
    for name, what in {
        "späße 日本語 🙂.mp4": "a name in Unicode",
        "  spaces  .mp4": "spaces around the name",
        'it\'s "quoted".mp4': "quotes",
        "two\nlines.mp4": "a line break",
        "tab\tand\rreturn.mp4": "a tab and a carriage return",
        "-y.mp4": "a leading dash",
        "100%25.mp4": "a percent sign and two digits",
        "%03d.mp4": "a pattern of numbered pictures",
        "*?[a].mp4": "wildcards",
        "$(touch harm).mp4": "a command",
        "back\\slash.mp4": "a backslash",
        "concat:a|b.mp4": "ffmpeg's protocol concat",
        "file:x.mp4": "ffmpeg's protocol file",
        "fd:0.mp4": "ffmpeg's protocol fd",
        "=1+1,;.mp4": "a formula",
        "<script>alert(1)</script".replace("/", "") + ".mp4": "HTML",
        "x" * 240 + ".mp4": "a name of 244 bytes",
        os.fsdecode(b"latin \xe9\xff.mp4"): "bytes that are no UTF-8",
        " .mp4": "a name that is blank",
        "\u202eneercs.mp4": "a name that is written backwards",
    }.items():
        yield wild(name, what, OK, of("avi"))


# --- no files of their own


def linked():
    def outside(path):
        elsewhere = path.parents[3] / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        (elsewhere / "outside.mp4").write_bytes(whole("mp4"))
        path.symlink_to(elsewhere / "outside.mp4")

    def forbidden(path):
        path.write_bytes(whole("mp4"))
        path.chmod(0)

    may = OK if os.geteuid() == 0 else UNREADABLE  # nothing is forbidden to root
    yield wild("linked.mp4", "a link to a clip outside of the corpus", OK, outside)
    yield wild("dangling.mp4", "a link to nothing", UNREADABLE, lambda path: path.symlink_to("nothing.mp4"))
    yield wild("circle.mp4", "a link to itself", UNREADABLE, lambda path: path.symlink_to(path.name))
    yield wild(
        "folder.mp4", "a link to a file below another file", UNREADABLE, lambda path: path.symlink_to("whole.mp4/x")
    )
    yield wild(
        "device.mp4", "a link to /dev/zero, which never ends", UNREADABLE, lambda path: path.symlink_to("/dev/zero")
    )
    yield wild("pipe.mp4", "a pipe that nobody writes to", UNREADABLE, os.mkfifo)
    yield wild("forbidden.mp4", "a file without permissions", may, forbidden)


def real(shared):
    """Cut and damaged copies of real clips."""
    ravdess = sorted((shared / "data/ravdess_av").glob("*.mp4"))[0].read_bytes()
    cremad = sorted((shared / "data/crema_d").glob("*.flv"))[0].read_bytes()
    yield wild("real cut.mp4", "half of a clip of RAVDESS", UNDECODABLE, cut(ravdess, 0.5))
    yield wild("real cut.flv", "half of a clip of CREMA-D", UNDECODABLE, cut(cremad, 0.5))
    yield wild("real nearly whole.flv", "nine tenths of a clip of CREMA-D", OK, cut(cremad, 0.9))
    yield wild("real scratched.mp4", "a clip of RAVDESS, a twentieth of it noise", OK, noisy(ravdess, 0.5, 0.55))
    yield wild(
        "real scratched.flv",
        "a clip of CREMA-D, a thousandth of it noise",
        (OK, UNDECODABLE),
        noisy(cremad, 0.6, 0.601),
    )


def wild_files(shared=None):
    """All of them; `shared` is the folder of real data."""
    kinds = [
        cut_off(),
        pretenders(),
        misnamed(),
        odd(),
        changing(),
        lost_or_invented(),
        several_tracks(),
        damaged(),
        names(),
        linked(),
        between_keyframes(),
        wrong_headers(),
        cut_in_other_containers(),
        fields_and_layers(),
        shown(),
        changing_pictures(),
        real(shared) if shared else (),
    ]
    return [file for kind in kinds for file in kind]
