"""Folders of frames are clips: which folders these are, and that they decode as videos do."""

import os
import shutil
import struct
import wave
from pathlib import Path

import av
import cv2
import numpy as np
import pandas as pd
import pytest

from emopipe import corpora
from emopipe.cache import status
from emopipe.core import tables
from emopipe.core.errors import CorpusError, MediaError
from emopipe.corpora.digests import content_digests
from emopipe.corpora.files import clip_files, look
from emopipe.corpora.picture_sizes import size_of
from emopipe.inference import inputs
from emopipe.media import shown
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions, Span
from emopipe.media.frame_clips import read_folder
from emopipe.media.frame_folders import RATE, FrameFolder, frames_among, sound_of
from emopipe.media.pairs import SOUND_FILE
from emopipe.media.sandbox import ClipReader, PartReader
from emopipe.stages import decode

ALL = DecodeOptions(policy="all")
COUNT = DecodeOptions(policy="count", count=3)


def pictures(count, size=(32, 48)):
    """Random pictures (H, W, 3) of one tint each."""
    random = np.random.default_rng(0)
    return [random.integers(0, 255, (*size, 3), np.uint8) for _ in range(count)]


def frames(folder, count=10, name="{:05d}.png", first=1, **more):
    """Write a folder of frames."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures(count, **more), start=first):
        cv2.imwrite(str(folder / name.format(number)), picture)
    return folder


def sound(path, seconds=1.0):
    """Write a sound file."""
    samples = (8000 * np.sin(np.arange(int(seconds * AUDIO_RATE)) / 20)).astype("<i2")
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, AUDIO_RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


def video(path, codec, pixels, shown_pictures, rate):
    """Write pictures without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = shown_pictures[0].shape[:2]
        stream.pix_fmt = pixels
        for picture in shown_pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        container.mux(stream.encode())
    return path


def read(folder, options=ALL, how=None, spans=(None,)):
    """Decode in this process."""
    (media,) = read_folder(folder, options, how or FrameFolder(sound=sound_of(folder)), spans)
    return media


# --- which folders are clips


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["2.jpg", "10.jpg", "1.jpg"], ("1.jpg", "2.jpg", "10.jpg")),
        (["f_2.PNG", "f_1.png", "notes.txt", "a.wav", ".0.jpg"], ("f_1.png", "f_2.PNG")),
        (["c1_frame_2_face.jpg", "c1_frame_1_face.jpg"], ("c1_frame_1_face.jpg", "c1_frame_2_face.jpg")),
        (["1.jpg"], None),
        (["1.jpg", "2.png"], None),
        (["1.jpg", "01.jpg"], None),
        (["a1.jpg", "b2.jpg"], None),
        (["1.jpg", "cover.jpg"], None),
        (["9" * 30 + ".jpg", "1.jpg"], None),
        ([], None),
    ],
)
def test_images_whose_names_differ_in_their_number_are_frames(names, found):
    assert getattr(frames_among(names), "names", None) == found


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["clip/a.wav", "b.wav"], "clip/a.wav"),
        (["clip.wav", "b.wav"], "clip.wav"),
        (["clip/a.wav", "clip/b.wav", "clip.wav"], ""),
        (["clip.wav", "clip.mp3"], ""),
        (["b.wav"], ""),
        ([], ""),
    ],
)
def test_the_sound_is_in_the_folder_or_beside_it(tmp_path, files, expected):
    folder = frames(tmp_path / "clip", 2)
    for file in files:
        (tmp_path / file).touch()
    assert sound_of(folder) == (str(tmp_path / expected) if expected else "")


def test_a_folder_with_the_name_frames_has_the_sound_beside_it(tmp_path):
    folder = frames(tmp_path / "clip/frames", 2)
    sound(tmp_path / "clip/audio.wav")
    assert sound_of(folder) == str(tmp_path / "clip/audio.wav")


# --- decoding


@pytest.mark.slow
@pytest.mark.parametrize(("codec", "pixels", "name"), [("ffv1", "bgr0", "a.mkv"), ("png", "rgb24", "a.mov")])
@pytest.mark.parametrize(
    "options",
    [ALL, COUNT, DecodeOptions(policy="fps", fps=5), DecodeOptions(policy="all", max_side=20)],
    ids=["all", "count", "fps", "small"],
)
def test_a_folder_gives_what_a_lossless_video_of_its_frames_gives(tmp_path, monkeypatch, codec, pixels, name, options):
    seen = []
    encode = shown.encode_jpeg
    monkeypatch.setattr(shown, "encode_jpeg", lambda image, quality: seen.append(image) or encode(image, quality))
    folder = frames(tmp_path / "clip")
    file = video(tmp_path / name, codec, pixels, pictures(10), 10)
    with ClipReader(options) as reader:
        whole, clip = reader(file), reader(folder, None, FrameFolder(10.0))
    assert clip.jpegs == whole.jpegs and len(clip.jpegs) > 2
    np.testing.assert_allclose(clip.times, whole.times, atol=1e-9)
    assert (clip.status, whole.status) == ("no_audio", "no_audio")
    # before JPEG, too
    mine = read(folder, options, FrameFolder(10.0))
    from_folder = seen[:]
    seen.clear()
    from emopipe.media.clip import read_clip

    assert read_clip(file, options).jpegs == mine.jpegs
    assert len(seen) == len(from_folder) and all(map(np.array_equal, seen, from_folder))
    if options is ALL:
        assert all(map(np.array_equal, seen, pictures(10)))


def test_frames_are_as_long_as_their_sound_unless_a_rate_is_given(tmp_path):
    folder = frames(tmp_path / "clip")
    assert read(folder).times.tolist() == pytest.approx(np.arange(10) / 25)
    sound(folder / "a.wav", 2.0)
    media = read(folder)
    assert (media.status, media.reason, media.audio_start) == ("ok", "", 0.0) and len(media.audio) == 2 * AUDIO_RATE
    assert media.times.tolist() == pytest.approx(np.arange(10) / 5)
    given = read(folder, how=FrameFolder(30.0, str(folder / "a.wav")))
    assert given.times.tolist() == pytest.approx(np.arange(10) / 30) and len(given.audio) == 2 * AUDIO_RATE
    limited = read(folder, DecodeOptions(policy="all", max_audio_seconds=0.5))
    assert limited.times.tolist() == media.times.tolist() and len(limited.audio) == AUDIO_RATE // 2
    assert read(folder, DecodeOptions(policy="fps", fps=2)).times.tolist() == pytest.approx([0.2, 0.6, 1.2, 1.6])


@pytest.mark.parametrize("content", [b"", b"RIFF nothing", None], ids=["empty", "broken", "too short"])
def test_a_sound_that_says_nothing_leaves_the_default_rate(tmp_path, content):
    folder = frames(tmp_path / "clip", 20)
    if content is None:
        sound(folder / "a.wav", 0.01)
    else:
        (folder / "a.wav").write_bytes(content)
    assert read(folder).times.tolist() == pytest.approx(np.arange(20) / 25)


def test_only_sampled_frames_are_read(tmp_path, monkeypatch):
    folder, opened = frames(tmp_path / "clip", 20), []
    from emopipe.media import files

    before = files.opened
    monkeypatch.setattr(files, "opened", lambda path: opened.append(path.name) or before(path))
    media = read(folder, COUNT)
    assert opened == ["00004.png", "00011.png", "00017.png"]
    assert media.times.tolist() == pytest.approx([3 / 25, 10 / 25, 16 / 25])


def test_missing_numbers_leave_gaps_and_are_reported(tmp_path):
    folder = frames(tmp_path / "clip", 20)
    for number in (5, 6, 7):
        (folder / f"{number:05d}.png").unlink()
    media = read(folder)
    assert media.times.tolist() == pytest.approx([n / 25 for n in range(20) if n not in (4, 5, 6)])
    assert "Of 20 numbers of frames, 3 are missing." in status.text(media.reason)


def test_every_fifth_number_is_a_rate_not_a_loss(tmp_path):
    folder = tmp_path / "clip"
    for number in range(4):
        frames(folder, 1, first=10 + 5 * number)
    media = read(folder)
    assert media.times.tolist() == pytest.approx(np.arange(4) / 25)
    assert status.codes(media.reason) == ["no_audio_stream"]


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\nnothing", b"text"], ids=["empty", "broken", "text"])
def test_a_damaged_frame_is_replaced_by_its_neighbour_and_reported(tmp_path, content):
    folder = frames(tmp_path / "clip", 10)
    whole = read(folder, ALL)
    (folder / "00005.png").write_bytes(content)
    media = read(folder, DecodeOptions(policy="count", count=5))  # the frame is not needed, and not read
    assert (media.status, status.codes(media.reason)) == ("no_audio", ["no_audio_stream"])
    assert media.jpegs == [whole.jpegs[n] for n in (1, 3, 5, 7, 9)]
    (folder / "00006.png").rename(tmp_path / "kept.png")
    (folder / "00006.png").write_bytes(content)
    media = read(folder, DecodeOptions(policy="count", count=1))
    assert media.jpegs == [whole.jpegs[6]] and "lost_frames" in media.reason
    (tmp_path / "kept.png").rename(folder / "00006.png")
    media = read(folder, ALL)
    assert media.jpegs == whole.jpegs[:4] + whole.jpegs[5:]
    assert status.codes(media.reason) == ["lost_frames", "damaged_video", "no_audio_stream"]
    assert "90 %" in status.text(media.reason) and "00005.png" in status.text(media.reason)


def test_a_folder_of_which_little_decodes_is_undecodable_and_its_sound_remains(tmp_path):
    folder = frames(tmp_path / "clip", 10)
    for number in range(3, 11):
        (folder / f"{number:05d}.png").write_bytes(b"")
    assert read(folder).status == "undecodable" and "lost_frames" in read(folder).reason
    sound(folder / "a.wav")
    assert read(folder).status == "no_video" and len(read(folder).audio) == AUDIO_RATE
    for number in (1, 2):
        (folder / f"{number:05d}.png").write_bytes(b"")
    assert "None of 10 frames can be decoded." in status.text(read(folder).reason)


def test_frames_of_several_sizes_keep_their_sizes(tmp_path):
    folder = frames(tmp_path / "clip", 2)
    cv2.imwrite(str(folder / "00003.png"), np.zeros((20, 30, 3), np.uint8))
    sizes = [cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1).shape[:2] for jpeg in read(folder).jpegs]
    assert sizes == [(32, 48), (32, 48), (20, 30)]


@pytest.mark.slow
def test_what_the_system_refuses_is_unreadable_not_a_property_of_the_clip(tmp_path):
    folder = frames(tmp_path / "clip", 3)
    (folder / "00002.png").unlink()
    os.mkfifo(folder / "00002.png")
    with ClipReader(ALL) as reader:
        with pytest.raises(MediaError, match=r"not a regular file"):
            reader(folder)
        (folder / "00002.png").unlink()
        (folder / "00002.png").symlink_to(tmp_path / "absent.png")
        with pytest.raises(MediaError, match="No such file"):
            reader(folder)
        (folder / "00002.png").unlink()
        (folder / "00002.png").symlink_to(folder / "00001.png")
        assert len(reader(folder).jpegs) == 3


@pytest.mark.slow
def test_limits_hold(tmp_path):
    folder = frames(tmp_path / "clip", 3, size=(2000, 3000))
    with ClipReader(DecodeOptions(policy="all", clip_seconds=0.01)) as reader:
        assert "too_much_time" in reader(folder).reason
    (tmp_path / "other").mkdir()
    with ClipReader(ALL) as reader:
        assert status.codes(reader(tmp_path / "other").reason)[0] == "not_frames"


@pytest.mark.slow
def test_parts_of_a_folder(tmp_path):
    folder = frames(tmp_path / "clip", 20)
    sound(tmp_path / "clip.wav", 2.0)
    with ClipReader(ALL) as reader:
        whole = reader(folder)
        first, second, third = (
            each() for each in reader.readings([(folder, None), (folder, Span(0.5, 1.0)), (folder, Span(5.0))])
        )
    assert first.jpegs == whole.jpegs and second.jpegs == whole.jpegs[5:10]
    assert second.times.tolist() == pytest.approx(np.arange(5) / 10)
    np.testing.assert_array_equal(second.audio, whole.audio[AUDIO_RATE // 2 : AUDIO_RATE])
    assert third.status == "undecodable"
    with PartReader(ALL, 0.8) as parts:
        *pieces, last = parts(folder)
    assert [len(piece.jpegs) for piece in pieces] == [8, 8, 4] and last.status == "ok"
    np.testing.assert_array_equal(np.concatenate([piece.audio for piece in pieces]), whole.audio)


# --- corpora


@pytest.fixture
def corpus(tmp_path):
    """Clips of all forms in folders of classes."""
    root = tmp_path / "corpus"
    frames(root / "train/happy/a.1", 3)
    sound(root / "train/happy/a.1.wav")
    sound(frames(root / "train/happy/b", 4) / "audio.wav")
    sound(frames(root / "train/sad/c/frames", 5).parent / "sound.wav")
    frames(root / "train/sad/d", 2, "img_{}.jpg", 0)
    frames(root / "val/sad/e", 2)
    frames(root / "val/happy/f", 3)  # the frames of the video
    video(root / "val/happy/f.avi", "ffv1", "bgr0", pictures(3), 10)
    sound(root / "val/happy/g.wav")
    return root


def scanned(root, kind="folder", **options):
    return corpora.scan(kind, root, corpora.options_class(kind).model_validate(options))


def test_the_kind_folder_finds_folders_of_frames_and_files(corpus):
    table = scanned(corpus).set_index("clip")
    assert table["path"].to_dict() == {
        "a.1": "train/happy/a.1", "b": "train/happy/b", "c": "train/sad/c/frames", "d": "train/sad/d",
        "e": "val/sad/e", "f": "val/happy/f.avi", "g": "val/happy/g.wav",
    }  # fmt: skip
    assert table[SOUND_FILE].to_dict() == {
        "a.1": "train/happy/a.1.wav", "b": "train/happy/b/audio.wav", "c": "train/sad/c/sound.wav",
        "d": "", "e": "", "f": "", "g": "",
    }  # fmt: skip
    assert table["label"].to_list() == ["Happy", "Happy", "Sad", "Sad", "Sad", "Happy", "Happy"]
    assert table[RATE].to_list() == ["auto"] * 5 + ["", ""]
    assert scanned(corpus, frame_rate=12.5)[RATE].to_list() == ["12.5"] * 5 + ["", ""]


def test_folders_of_stills_by_class_are_not_clips(tmp_path):
    for label in ("happy", "sad", "train/angry"):
        frames(tmp_path / label, 3)
    with pytest.raises(CorpusError, match=r"No video or audio files were found .*; found|No video or audio files"):
        scanned(tmp_path)
    sound(tmp_path / "happy/a.wav")
    frames(tmp_path / "happy/clip", 2)
    shutil.rmtree(tmp_path / "train")
    assert scanned(tmp_path)["path"].tolist() == ["happy/a.wav", "happy/clip"]


def test_other_readers_of_files_still_find_each_image(corpus):
    assert len(clip_files(corpus, ("image",))) == 3 + 4 + 5 + 2 + 2 + 3
    assert look(corpus).frames == {}


def test_a_table_may_name_folders(corpus):
    paths = ["train/happy/a.1", "train\\sad\\c\\frames", "val/sad/e"]
    rows = {"path": paths, "label": ["happy", "sad", "sad"], "split": ["train", "train", "val"]}
    tables.write(pd.DataFrame(rows), corpus / "clips.csv")
    table = scanned(corpus, "table", frame_rate=10)
    assert table["clip"].tolist() == ["a.1", "c", "e"] and table[RATE].tolist() == ["10"] * 3
    assert table[SOUND_FILE].tolist() == ["train/happy/a.1.wav", "train/sad/c/sound.wav", ""]
    tables.write(pd.DataFrame([("train", "sad", "train")], columns=["path", "label", "split"]), corpus / "clips.csv")
    with pytest.raises(CorpusError, match="A folder is a clip if it holds frames"):
        scanned(corpus, "table")
    tables.write(pd.DataFrame([("..", "sad", "train")], columns=["path", "label", "split"]), corpus / "clips.csv")
    with pytest.raises(CorpusError, match="not below the corpus folder"):
        scanned(corpus, "table")


def test_digests_are_of_frames_order_sound_and_rate(corpus, tmp_path):
    def digests(**options):
        return content_digests(corpus, scanned(corpus, **options), tmp_path / "index.csv").set_index("clip")["digest"]

    first = digests()
    assert first.nunique() == 7 and (first.str.len() == 64).all()
    assert digests().equals(first)
    faster = digests(frame_rate=50)
    assert (faster != first).tolist() == [True] * 5 + [False] * 2
    shutil.copytree(corpus / "val/sad/e", corpus / "val/sad/same")  # other names, same frames
    assert digests()["same"] == first["e"]
    os.rename(corpus / "val/sad/e/00002.png", corpus / "val/sad/e/00003.png")
    assert digests()["e"] != first["e"]
    sound(corpus / "train/happy/a.1.wav", 0.5)
    assert digests()["a.1"] != first["a.1"]
    image = corpus / "train/sad/d/img_1.jpg"
    image.write_bytes(image.read_bytes() + b"\0")
    changed = digests()
    assert changed["d"] != first["d"] and changed["b"] == first["b"]


def test_unchanged_folders_are_not_read_again(corpus, tmp_path, monkeypatch):
    table, index = scanned(corpus), tmp_path / "index.csv"
    first = content_digests(corpus, table, index)
    from emopipe.corpora import digests

    read_again = []
    monkeypatch.setattr(digests, "_digest", lambda path: read_again.append(path.name) or "")
    assert content_digests(corpus, table, index).equals(first) and read_again == []
    os.utime(corpus / "train/sad/d/img_0.jpg", ns=(1, 1))
    content_digests(corpus, table, index)
    assert read_again == ["d"]


@pytest.mark.slow
def test_the_stage_decodes_folders_at_their_rate(corpus, tmp_path):
    from emopipe.cache.store import Reader

    table = content_digests(corpus, scanned(corpus, frame_rate=10), None)
    tables.write(table, tmp_path / "shard.csv")
    recipe = {"options": ALL.model_dump()}
    decode.run(recipe, corpus, tmp_path / "shard.csv", tmp_path / "00.h5", tmp_path / "00.status.h5")
    with Reader(tmp_path / "00.h5") as reader:
        rows = {clip: reader[clip] for clip in reader.clips}
    assert {clip: row.status for clip, row in rows.items()} == {
        "a.1": "ok", "b": "ok", "c": "ok", "d": "no_audio", "e": "no_audio", "f": "no_audio", "g": "no_video",
    }  # fmt: skip
    assert rows["b"].arrays["time"].tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3])


# --- predict


def test_a_folder_that_is_given_to_predict(tmp_path):
    clip = frames(tmp_path / "clip", 3)
    sound(tmp_path / "clip.wav")
    assert inputs.expand(str(clip)) == [str(clip)]
    assert inputs.expand(str(tmp_path)) == [str(clip)]
    video(tmp_path / "a.avi", "ffv1", "bgr0", pictures(3), 10)
    assert inputs.expand(str(tmp_path)) == [str(tmp_path / "a.avi"), str(clip)]


@pytest.mark.parametrize("what", ["a gap", "from 7", "two sizes", "a video", "two sounds", "another image"])
def test_other_folders_are_all_their_files(tmp_path, what):
    frames(tmp_path, 3, first=7 if what == "from 7" else 1)
    if what == "a gap":
        (tmp_path / "00002.png").unlink()
    if what == "two sizes":
        frames(tmp_path, 1, size=(20, 20))
    for name in {"a video": ["a.mp4"], "two sounds": ["a.wav", "b.wav"], "another image": ["ann.jpg"]}.get(what, []):
        (tmp_path / name).touch()
    assert inputs.expand(str(tmp_path)) == sorted(str(path) for path in tmp_path.iterdir())


def test_sizes_are_those_of_the_headers(tmp_path):
    for name in ("a.jpg", "a.png", "a.bmp"):
        cv2.imwrite(str(tmp_path / name), np.zeros((20, 30, 3), np.uint8))
    assert [size_of(tmp_path / name) for name in ("a.jpg", "a.png", "a.bmp")] == [(30, 20), (30, 20), None]
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8" + struct.pack(">BBH", 0xFF, 0xE0, 40))
    assert size_of(tmp_path / "a.jpg") is None
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(OSError, match="not a regular file"):
        size_of(Path(tmp_path / "pipe.jpg"))


def test_a_drawn_video_of_a_folder_takes_its_sound(tmp_path):
    from emopipe.inference.drawn_video import _with_sound

    clip = frames(tmp_path / "clip", 2)
    assert _with_sound(clip) == clip
    heard = sound(tmp_path / "clip.wav")
    assert _with_sound(clip) == heard and _with_sound(heard) == heard


def test_a_column_of_folders_is_a_column_of_paths(corpus):
    from emopipe.corpora.listing import Listing

    cells = {"where": ["train/happy/a.1", "val/sad/e"], "what": ["happy", "sad"], "note": ["train", "val"]}
    assert Listing(corpus / "list.csv", ",", cells).candidates("path") == ["where"]
