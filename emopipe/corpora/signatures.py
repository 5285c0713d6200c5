"""What a file is by its first bytes: video, sound, an image, or nothing that is known.

The table is for files whose suffix says nothing. A container that may hold either is taken for video; decoding decides.
"""

import re
from typing import Literal

Kind = Literal["video", "audio", "image", ""]

HEAD = 4096
"""How many bytes are looked at: enough for twenty packets of a transport stream."""

# fmt: off
STARTS: tuple[tuple[Kind, tuple[bytes, ...]], ...] = (
    ("video", (
        b"FLV\x01", b".RMF", b"DKIF", b"YUV4MPEG2 ", b"nut/multimedia container", b"NSVf", b"NSVs", b"BBCD", b"DHAV",
        b"BIKb", b"BIKf", b"BIKg", b"BIKh", b"BIKi", b"BIKk", b"SMK2", b"SMK4", b"THP\0",
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF and WMV
        b"\xb7\xd8\x00\x20\x37\x49\xda\x11",  # WTV
        b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02",  # MXF
        b"\0\0\0\0\x01\xbc",  # GXF
        b"\0\0\x01\xba", b"\0\0\x01\xb3", b"\0\0\x01\xb0",  # MPEG: program stream, video, MPEG-4 video
        b"\x1f\x07\x00\x3f", b"\x1f\x07\x00\xbf",  # DV
        b"\0\0\0\x01\x40\x01", b"\0\0\0\x01\x46\x01",  # HEVC
    )),
    ("audio", (
        b"fLaC", b"ID3", b"#!AMR", b"caff", b".snd", b"wvpk", b"MAC ", b"TTA1", b"TTA2", b"MP+", b"MPCK", b".ra\xfd",
        b"Creative Voice File\x1a", b"NIST_1A\n", b"ADIF", b"ajkg", b"tBaK", b"DSD ", b"FRM8", b"TWIN97", b"ea3\x03",
        b"riff\x2e\x91\xcf\x11",  # Sony Wave64
        b"\x7f\xfe\x80\x01", b"\xfe\x7f\x01\x80", b"\x1f\xff\xe8\x00", b"\xff\x1f\x00\xe8",  # DTS
    )),
    ("image", (
        b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"\x59\xa6\x6a\x95",
        b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"#?RADIANCE", b"#?RGBE",
    )),
)
"""Kind -> what its files begin with."""
RIFF: dict[bytes, Kind] = {
    b"AVI ": "video", b"CDXA": "video", b"AMV ": "video", b"WAVE": "audio", b"QLCM": "audio", b"WEBP": "image",
}
"""Form of a RIFF file -> its kind."""
BRANDS: dict[bytes, Kind] = {
    **dict.fromkeys((b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "), "audio"),
    **dict.fromkeys((b"avif", b"avis"), "image"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"crx "), ""),  # OpenCV reads none
}
"""Brand of an MP4 file that is not video -> its kind."""
# fmt: on

_PACKETS = re.compile(rb".{0,203}?(?:\x47(?:.{187}\x47){5}|\x47(?:.{191}\x47){5}|\x47(?:.{203}\x47){5})", re.DOTALL)
_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # what a QuickTime file without a brand begins with
_PORTABLE_MAP = re.compile(rb"P[1-6][ \t\r\n]+[0-9#]")
# Bits per second / 1000 of MPEG audio, layer III of version 1 and of versions 2 and 2.5, and layer II of version 1.
_RATES = {
    (3, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HERTZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def kind_of(head: bytes) -> Kind:
    """Return what a file is by its first HEAD bytes; "" for text, for other files, and for what is too short.

    >>> kind_of(b"RIFF....WAVEfmt "), kind_of(b"...."), kind_of(b"....ftypisom")
    ('audio', '', 'video')
    """
    for kind, starts in STARTS:
        if head.startswith(starts):
            return kind
    start, form = head[:4], head[8:12]
    if start in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return RIFF.get(form, "")
    if start == b"FORM":
        return "audio" if form in (b"AIFF", b"AIFC", b"8SVX", b"16SV") else ""
    if head[4:8] == b"ftyp":
        return BRANDS.get(form, "video")
    if start == b"OggS":
        return "video" if re.search(rb"\x80theora|BBCD\0|fishead", head) else "audio"
    if start == b"\x1a\x45\xdf\xa3":
        return _matroska(head)
    return _without_a_name(head)


def _matroska(head: bytes) -> Kind:
    """Return whether a Matroska or WebM file names codecs of sound alone."""
    if b"matroska" not in head and b"webm" not in head:
        return ""
    return "audio" if re.search(rb"\x86.A_", head, re.DOTALL) and b"V_" not in head else "video"


def _without_a_name(head: bytes) -> Kind:
    """Return the kind of what begins with numbers: packets, units and atoms that follow each other."""
    if head[4:8] in _ATOMS and head[:1] == b"\0":  # a size comes first
        return "video"
    unit = re.match(rb"\0\0\0?\x01(.)", head, re.DOTALL)
    if _PACKETS.match(head) or (unit and unit[1][0] & 0x9F in (7, 9)):  # H.264 begins with parameters or a delimiter
        return "video"
    if _begins_with_frames(head) or (head[:2] == b"\x0b\x77" and len(head) > 5 and 1 <= head[5] >> 3 <= 16):  # AC-3
        return "audio"
    bitmap = head[:2] == b"BM" and head[6:10] == bytes(4)
    return "image" if bitmap or _PORTABLE_MAP.match(head) else ""


def _begins_with_frames(head: bytes) -> bool:
    """Return whether two frames of MPEG audio or AAC follow each other; text may begin like one, but not like two."""
    length = _frame_length(head)
    return length > 0 and _frame_length(head[length:]) > 0


def _frame_length(head: bytes) -> int:
    """Return the length in bytes of a frame of MPEG audio (layer II or III) or AAC (ADTS); 0 if there is none."""
    if len(head) < 6 or head[0] != 0xFF:
        return 0
    if head[1] & 0xF6 == 0xF0:
        return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    version, layer, rate, hertz = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    if head[1] < 0xE0 or version == 1 or layer not in (1, 2) or rate in (0, 15) or hertz == 3:
        return 0
    samples = 72 if layer == 1 and version != 3 else 144
    kilobits = _RATES[3 if version == 3 else 2, layer][rate - 1]
    return samples * kilobits * 1000 // _HERTZ[version][hertz] + (head[2] >> 1 & 1)
