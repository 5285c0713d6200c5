"""Which files of a folder are taken for clips and stills, by suffix and first bytes, and what is said of the others."""

import io
import logging
import os
import wave
import zipfile

import av
import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from emopipe import corpora, stills
from emopipe.commands.main import app
from emopipe.corpora import files
from emopipe.corpora.files import AUDIO, IMAGE, KINDS, SIDECARS, VIDEO, clip_files, look
from emopipe.corpora.signatures import kind_of
from emopipe.inference.inputs import expand
from emopipe.media.clip import read_clip
from emopipe.media.decoded import DecodeOptions
from emopipe.stills.archive import Archive, decode_image
from emopipe.training import sources

NOT_CLIPS = {
    # raw samples and pixels, whose rate or size would be a guess
    "302", "al", "bit", "cif", "daud", "qcif", "rgb",
    "sb", "sw", "ub", "ul", "uw", "v210", "yuv", "yuv10", "bitpacked",
    # text, subtitles, data and images
    "adf", "ans", "aqt", "art", "cdata", "cdg", "dat", "diz", "ice", "idf", "imx", "jxl",
    "mcc", "mks", "mpl2", "mpo", "pjs", "rt", "sbg", "stl", "str",
    "sup", "svs", "vpk", "vt",
    # names that other programs use more, so that the first bytes are looked at
    "acm", "avr", "avs",
    "fap", "fwse",
    "laf", "lvf", "msf",
    "mxg", "sdr2", "son",
    "vb", "sdns", "v", "webvtt", "wa", "way", "xl", "xmd",
}  # fmt: skip
"""Suffixes that ffmpeg lists and that are not taken for clips by name, and why."""


def wav(seconds=0.2, rate=16_000):
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setparams((1, 2, rate, 0, "NONE", ""))
        sound.writeframes(np.random.default_rng(0).normal(0, 3000, int(seconds * rate)).astype("<i2").tobytes())
    return buffer.getvalue()


def made(container, codec, *, video):
    """A short file of this container and codec: ten frames of grey, or half a second of noise."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        if video:
            stream = out.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 176, 144, "yuv420p"
            frames = [av.VideoFrame.from_ndarray(np.full((144, 176, 3), 9 * n, np.uint8), "rgb24") for n in range(10)]
        else:
            stream = out.add_stream(codec, rate=8000 if "amr" in codec else 16_000, layout="mono")
            kind, size = stream.codec_context.format.name, stream.codec_context.frame_size or 1024
            noise = np.random.default_rng(0).normal(0, 0.1, (12, 1, size))
            frames = []
            for part in noise:
                one = av.AudioFrame.from_ndarray(part.astype(np.float32), "flt", "mono")
                one.rate = stream.rate
                frames += av.AudioResampler(kind, "mono", stream.rate).resample(one)
        for number, frame in enumerate(frames):
            frame.pts = number if video else number * frame.samples
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return buffer.getvalue()


CONTENT = {
    ("mp4", "mpeg4"): "video", ("mov", "mpeg4"): "video", ("3gp", "mpeg4"): "video", ("avi", "mpeg4"): "video",
    ("matroska", "mpeg4"): "video", ("webm", "libvpx"): "video", ("flv", "flv1"): "video", ("asf", "wmv2"): "video",
    ("mpegts", "mpeg2video"): "video", ("mpeg", "mpeg2video"): "video", ("mpeg1video", "mpeg1video"): "video",
    ("m4v", "mpeg4"): "video", ("nut", "mpeg4"): "video", ("mxf", "mpeg2video"): "video",
    ("ivf", "libvpx"): "video", ("yuv4mpegpipe", "wrapped_avframe"): "video", ("rm", "rv20"): "video",
    ("ogg", "libtheora"): "video", ("swf", "flv1"): "",
    ("wav", "pcm_s16le"): "audio", ("w64", "pcm_s16le"): "audio", ("aiff", "pcm_s16be"): "audio",
    ("au", "pcm_s16be"): "audio", ("caf", "pcm_s16be"): "audio", ("flac", "flac"): "audio",
    ("mp3", "libmp3lame"): "audio", ("mp2", "mp2"): "audio",
    ("adts", "aac"): "audio", ("ipod", "aac"): "audio", ("ogg", "flac"): "audio",
    ("opus", "libopus"): "audio", ("ogg", "libvorbis"): "audio", ("webm", "libopus"): "audio",
    ("matroska", "flac"): "audio", ("wv", "wavpack"): "audio", ("tta", "tta"): "audio", ("ac3", "ac3"): "audio",
    ("eac3", "eac3"): "audio", ("voc", "pcm_u8"): "audio", ("amr", "libopencore_amrnb"): "audio",
}  # fmt: skip
"""Container and codec -> what the first bytes are."""


@pytest.mark.parametrize(("container", "codec"), CONTENT)
def test_the_first_bytes_of_what_ffmpeg_writes_are_known(container, codec):
    kind = CONTENT[container, codec]
    try:
        content = made(container, codec, video=kind != "audio")
    except (av.error.FFmpegError, ValueError) as error:
        pytest.skip(f"this build of ffmpeg does not write it: {error}")
    assert kind_of(content[: files.HEAD]) == kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", ""), (b"\0" * 4096, ""), (b"a,b\n1,2\n" * 400, ""), (b"Great G" * 600, ""), (b"The free text", ""),
        ("\ufeffpath;label\n".encode("utf-16-le") * 99, ""), (b"PK\x03\x04" + b"\0" * 99, ""), (b"%PDF-1.7\n", ""),
        (b"\x7fELF\x02\x01", ""), (b"\x89HDF\r\n\x1a\n", ""), (b"#EXTM3U\n", ""), (b"MThd\0\0\0\x06", ""),
        (b"RIFF\0\0\0\0ACON", ""), (b"....ftypheic", ""), (b"....ftypavif", "image"), (b"....ftypM4A ", "audio"),
        (b"....ftypqt  ", "video"), (b"\0\0\0\x08wide\0\0\0\0mdat", "video"), (b"\0\0\0\x01\x67\x42", "video"),
        (b"NIST_1A\n   1024\n", "audio"), (b"ID3\x04", "audio"), (b"FORM\0\0\0\0AIFC", "audio"), (b"FORM....ILBM", ""),
        (b"\x47" + (b"x" * 187 + b"\x47") * 9, "video"), (b"x" * 50 + (b"\x47" + b"x" * 187) * 9, "video"),
        (b"\0\0\0\0" + (b"\x47" + b"x" * 191) * 9, "video"), (b"P5\n4 4\n255\n", "image"), (b"PS: text", ""),
        (b"BM" + b"\x99\0\0\0" + b"\0" * 20, "image"), (b"BMW and others", ""), (b"\xff\xfe" * 200, ""),
    ],
)  # fmt: skip
def test_the_first_bytes_of_other_files(head, kind):
    assert kind_of(head) == kind


def test_every_suffix_that_ffmpeg_lists_is_known_or_excluded_for_a_reason():
    listed = {suffix for name in av.formats_available for suffix in _extensions(name)}
    assert len(listed) > 200
    unknown = {suffix for suffix in listed if f".{suffix}" not in VIDEO | AUDIO | IMAGE | SIDECARS} - NOT_CLIPS
    assert not unknown, sorted(unknown)
    assert not {f".{suffix}" for suffix in NOT_CLIPS} & (VIDEO | AUDIO) and not NOT_CLIPS - listed
    assert not VIDEO & AUDIO and not (VIDEO | AUDIO) & (IMAGE | SIDECARS)


def _extensions(name):
    try:
        return av.format.ContainerFormat(name, "r").extensions
    except ValueError:
        return ()


def test_every_suffix_of_an_image_is_one_that_opencv_writes_and_reads():
    image, other_names = np.full((32, 32, 3), 90, np.uint8), {".jfif": ".jpg", ".j2k": ".jp2", ".pxm": ".ppm"}
    for suffix in sorted(IMAGE):
        shape = image[..., 0] if suffix in (".pbm", ".pgm") else image
        written, content = cv2.imencode(other_names.get(suffix, suffix), shape)
        assert written and decode_image(content.tobytes()).shape == (32, 32, 3), suffix


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    return folder


def write(root, **contents):
    for name, content in contents.items():
        put(root, name, content)


def put(root, name, content=b""):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(content)


def scan(root, kind="folder", **options):
    return corpora.scan(kind, root, corpora.options_class(kind)(**options))


ODD = [
    ".f4v",
    ".qt",
    ".3g2",
    ".m2t",
    ".amr",
    ".caf",
    ".mxf",
    ".rmvb",
    ".ogm",
    ".w64",
    ".weba",
    ".aifc",
    ".eac3",
    ".Y4M",
]


def test_suffixes_that_ffmpeg_knows_are_clips(root):
    for number, suffix in enumerate(ODD):
        put(root, f"{('Happy', 'Sad')[number % 2]}/{number}{suffix}")
    assert len(scan(root)) == len(ODD)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Sad/take", "Sad/take.xyz", "Sad/take.mp4_", "Sad/take.wav.part", "Sad/take.1"])
@pytest.mark.parametrize("content", [wav(), made("mp4", "mpeg4", video=True)], ids=["wav", "mp4"])
def test_other_files_are_clips_by_their_first_bytes_and_decode(root, name, content):
    put(root, "Happy/a.wav", wav())
    put(root, name, content)
    assert name in scan(root)["path"].tolist()
    assert read_clip(root / name, DecodeOptions(policy="count", count=1)).status in ("no_audio", "no_video", "ok")
    assert expand(root) == [str(root / "Happy/a.wav"), str(root / name)]


def test_what_is_not_taken_is_counted_and_named(root, caplog):
    write(root, **{f"Happy/{n}.mp4": b"" for n in range(3)}, **{f"notes/{n}.txt": b"x" for n in range(10)})
    with caplog.at_level(logging.INFO, "emopipe"):
        scan(root)
    (record,) = [record for record in caplog.records if "not taken" in record.message]
    assert record.message == f"{root}: 10 files were not taken for clips: 10 .txt, such as notes/0.txt."
    assert record.levelno == logging.INFO  # ordinary sidecars
    write(root, **{"a.xyz": b"text", "Happy/b.xyz": b"more", "Happy/none": b"?", "Happy/0.JPG": b"\xff\xd8\xff"})
    caplog.clear()
    scan(root)
    (record,) = [record for record in caplog.records if "not taken" in record.message]
    assert record.message.startswith(
        f"{root}: 14 files were not taken for clips: 10 .txt, 2 .xyz, 1 without a suffix, 1 .jpg, such as "
    )
    assert record.message.endswith((" a.xyz.", " Happy/b.xyz.", " Happy/none.")) and record.levelno == logging.WARNING


def test_nothing_is_said_where_all_is_taken(root, caplog):
    write(root, **{"Happy/a.mp4": b"", "Sad/b.wav": b""})
    with caplog.at_level(logging.INFO, "emopipe"):
        scan(root)
    assert "not taken" not in caplog.text


SYSTEM = [
    ".DS_Store", "._a.mp4", "Thumbs.db", "desktop.ini", "@eaDir/a.mp4", "__MACOSX/a.mp4", "lost+found/a.mp4",
    ".Trash-1000/a.mp4", "$RECYCLE.BIN/a.mp4", "System Volume Information/a.mp4", "~$notes.docx", "Happy/.hidden.mp4",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEM)
def test_hidden_and_system_files_are_passed_over(root, caplog, name):
    write(root, **{"Happy/a.mp4": b"", "Sad/b.mp4": b"", name: wav()})
    with caplog.at_level(logging.INFO, "emopipe"):
        assert scan(root)["path"].tolist() == ["Happy/a.mp4", "Sad/b.mp4"]
    assert "not taken" not in caplog.text and len(expand(root)) == 2


def test_pipes_and_broken_links_do_not_stop_a_scan(root):
    write(root, **{"Happy/a.mp4": b"", "Sad/b.mp4": b""})
    os.mkfifo(root / "Happy/pipe")
    (root / "Happy/gone").symlink_to("nowhere")
    assert look(root).others == {"": 2}


def test_sidecars_are_not_opened(root, monkeypatch):
    opened = []
    monkeypatch.setattr(files, "_kind_by_content", lambda path: opened.append(os.path.basename(path)) or "")
    write(root, **{"a.jpg": b"", "b.TXT": b"", "c.mp4": b"", "d.npy": b"", "e.zip": b"", "f.odd": b"", "g": b""})
    clip_files(root)
    assert sorted(opened) == ["f.odd", "g"]
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in KINDS)


@pytest.mark.parametrize(
    ("kind", "options", "clips"),
    [
        ("ravdess", {"modality": "audio"}, ["03-01-03-01-01-01-01", "03-01-04-01-01-02-01.odd"]),
        ("ravdess", {}, ["01-01-03-01-01-01-01.f4v", "01-01-04-01-01-02-01.qt"]),
        ("cremad", {"modality": "audio"}, ["1001_IEO_SAD_HI.caf", "1002_IEO_SAD_HI.aifc"]),
        ("emodb", {}, ["03a01Fa.amr", "03a01Ta"]),
    ],
)
def test_the_kinds_of_known_corpora_take_the_same_files(root, caplog, kind, options, clips):
    write(root, **dict.fromkeys(clips, wav()), **{"readme.odd": b"text"})
    assert sorted(scan(root, kind, **options)["path"]) == sorted(clips)
    assert "1 file was not taken for clips: 1 .odd, such as readme.odd." in caplog.text


def test_afew_names_what_is_outside_of_its_folders(root, caplog):
    write(
        root, **{"Train_AFEW/Sad/1.avi": b"", "Val_AFEW/Sad/2.avi": b"", "more/3.avi": b"", "Val_AFEW/Sad/2.odd": b""}
    )
    assert len(scan(root, "afew")) == 2
    assert "2 files were not taken for clips: 1 .avi, 1 .odd, such as" in caplog.text


def test_stills_are_taken_by_suffix_and_by_first_bytes(root, caplog):
    image = np.full((8, 8, 3), 200, np.uint8)
    jpeg, png = (cv2.imencode(suffix, image)[1].tobytes() for suffix in (".jpg", ".png"))
    contents = {
        "Happy/a.jfif": jpeg,
        "Happy/b.dib": b"",
        "Sad/c": png,
        "Sad/d.odd": jpeg,
        "Sad/e.odd": b"no",
        "f.txt": b"",
    }
    write(root, **contents)
    with zipfile.ZipFile(root.with_suffix(".zip"), "w") as packed:
        for name, content in contents.items():
            packed.writestr(name, content)
    for path in (root, root.with_suffix(".zip")):
        caplog.clear()
        with caplog.at_level(logging.INFO, "emopipe"):
            assert Archive(path).images() == ["Happy/a.jfif", "Happy/b.dib", "Sad/c", "Sad/d.odd"]
        assert "2 files were not taken for stills: 1 .odd, 1 .txt, such as Sad/e.odd" in caplog.text
        found = stills.read("folder", path, stills.options_class("folder")())
        assert found.read_image("Happy/a.jfif").mean() == pytest.approx(200, abs=2)
        assert found.read_image("Sad/d.odd").mean() == pytest.approx(200, abs=2)


def test_a_source_changes_with_a_clip_of_an_unknown_suffix(root):
    write(root, **{"Happy/a.wav": wav(), "Sad/b.odd": wav(0.3), "Sad/c.odd": b"no"})
    before = sources.content(root)
    put(root, "Sad/c.odd", b"still none")
    assert sources.content(root) == before
    put(root, "Sad/b.odd", wav(0.4))
    assert sources.content(root) != before


def test_emopipe_check_says_what_is_not_taken(root, tmp_path):
    write(root, **{f"{c}/{c}{n}.odd": wav(0.1 + 0.01 * n + (c == "Sad")) for c in ("Happy", "Sad") for n in range(9)})
    put(root, "Sad/x.odd", b"text")
    (tmp_path / "c.yaml").write_text(
        f"run: a\ncorpus: {{name: a, kind: folder}}\ncorpus_root: {root}\n"
        "decode: {one: {policy: count, count: 1}}\nbackbones: {v: {kind: speech, weights: speech_logmel}}\n"
    )
    result = CliRunner().invoke(app, ["check", str(tmp_path / "c.yaml")])
    assert result.exit_code == 0, result.output
    assert "1 file was not taken for clips: 1 .odd, such as Sad/x.odd." in result.output
    assert " is valid: " in result.output and "clips" in result.output
