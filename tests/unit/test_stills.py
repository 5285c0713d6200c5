"""Corpora of stills as they are distributed, a few pictures each; what is wrong with one is told in a sentence."""

import io
import logging
import subprocess
import sys
import zipfile

import cv2
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from emopipe import stills
from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES
from emopipe.stills.archive import MAX_DEPTH, Archive, decode_image
from emopipe.stills.base import Stills
from emopipe.stills.ferplus import EMOTIONS, vote_shares
from emopipe.stills.listed import crop_box
from emopipe.stills.merge import merged

ANGRY, DISGUST, FEAR, HAPPY, NEUTRAL, SAD, SURPRISE = range(7)


def png(level=0, size=(4, 4)):
    """A picture of `size` (height, width) of one grey."""
    return cv2.imencode(".png", np.full((*size, 3), level, np.uint8))[1].tobytes()


def ramp(size=(20, 30)):
    """A picture whose blue is its column and whose green is its row."""
    rows, columns = np.indices(size)
    return cv2.imencode(".png", np.stack([columns, rows, 0 * rows], axis=2).astype(np.uint8))[1].tobytes()


def npy(value):
    file = io.BytesIO()
    np.save(file, np.array(value))
    return file.getvalue()


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


@pytest.fixture(params=["folder", "zip"])
def packed(request, tmp_path):
    """Writes files {path: content} into a folder or a zip file, and gives its path."""

    def pack(files):
        if request.param == "folder":
            (tmp_path / "corpus").mkdir(exist_ok=True)
            return write(tmp_path / "corpus", files)
        with zipfile.ZipFile(tmp_path / "corpus.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return tmp_path / "corpus.zip"

    return pack


def read(kind, path, **options):
    return stills.read(kind, path, stills.options_class(kind).model_validate(options))


def table(found, *columns):
    return list(found.table[list(columns)].itertuples(index=False, name=None))


def labels(found):
    assert found.targets.dtype == np.float32 and set(np.unique(found.targets)) <= {0, 1}
    assert (found.targets.sum(1) == 1).all()
    return [CLASSES[number] for number in found.targets.argmax(1)]


def level(picture):
    """The grey of a picture of one grey."""
    assert picture.dtype == np.uint8 and picture.ndim == 3 and len(np.unique(picture)) == 1
    return int(picture.flat[0])


# The registry


@pytest.mark.slow
def test_kinds_are_loaded_only_when_asked_for():
    code = "import sys, emopipe.stills as s; print(*[r for r in s.KINDS.values() if r.module in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("kind", stills.KINDS)
def test_every_kind_has_options_and_refuses_unknown_ones(kind):
    assert stills.options_class(kind)().labels == {}
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        stills.options_class(kind)(classes=7)


@pytest.mark.parametrize("kind", stills.KINDS)
def test_an_empty_or_missing_corpus_is_told(kind, tmp_path, packed):
    with pytest.raises(CorpusError, match=r"nowhere do not exist\. Correct the path"):
        read(kind, tmp_path / "nowhere")
    with pytest.raises(CorpusError, match=r"corpus.*(Put it there|Check the path)\.$"):
        read(kind, packed({}))


@pytest.mark.parametrize("kind", stills.KINDS)
def test_a_file_that_is_no_zip_is_told(kind, tmp_path):
    (tmp_path / "stills.rar").write_bytes(b"Rar!")
    said = "is not a CSV file" if kind == "table" else r"is neither a folder nor a readable zip file .*\. Give the"
    with pytest.raises(CorpusError, match=rf"stills\.rar {said}"):
        read(kind, tmp_path / "stills.rar")


def test_unknown_kind():
    with pytest.raises(CorpusError, match=r"no corpus of stills of kind 'ferpuls'\. Did you mean ferplus\?"):
        stills.options_class("ferpuls")


# Archives


def test_pictures_and_hidden_files(packed):
    files = {"b/2.JPG": b"", "a/1.png": b"", "a/notes.txt": b"", "__MACOSX/a/._1.png": b"", ".thumbs/x.png": b""}
    assert Archive(packed(files)).images() == ["a/1.png", "b/2.JPG"]


def test_zip_names_are_read_as_paths(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("./a//1.png", "/etc/2.png", "../3.png", "a/"):
            archive.writestr(name, png(7))
    inside = Archive(tmp_path / "x.zip")
    assert inside.images() == ["a/1.png"] and level(inside.read_image("a/1.png")) == 7


def test_find_takes_the_least_deep_file(packed):
    deep = "/".join("d" * MAX_DEPTH)
    archive = Archive(packed({f"{deep}/x.txt": "", "b/label/x.txt": "", "a/label/x.txt": "", f"{deep}/y.txt": ""}))
    assert archive.find("x.txt") == archive.find("label/x.txt") == "a/label/x.txt"
    assert archive.find("y.txt") == f"{deep}/y.txt"
    assert archive.find("abel/x.txt") is None and archive.find("label") is None


def test_folders_are_searched_only_so_deep(tmp_path):
    write(tmp_path, {"/".join("d" * (MAX_DEPTH + 1)) + "/x.txt": "", ".hidden/y.txt": ""})
    assert Archive(tmp_path).find("x.txt") is None and Archive(tmp_path).find("y.txt") is None


@pytest.mark.parametrize("key", ["../secret.png", "a/../../secret.png", "/etc/passwd"])
def test_nothing_outside_is_read(packed, tmp_path, key):
    archive = Archive(packed({"a/1.png": png()}))
    (tmp_path / "secret.png").write_bytes(png())
    for ask in (archive.read, archive.read_image, archive.has, archive.find):
        with pytest.raises(CorpusError, match=r"is outside of .*may only list files inside of it\. Correct the list"):
            ask(key)


@pytest.mark.parametrize("key", ["a/2.png", "a", "", "nul\0.png", "x" * 300])
def test_a_file_that_is_not_there_is_told(packed, key):
    archive = Archive(packed({"a/1.png": png()}))
    assert not archive.has(key)
    with pytest.raises(CorpusError, match=r"corpus.* cannot be read \(.*\)\. Restore the file\."):
        archive.read_image(key)


def test_a_damaged_or_locked_zip_member_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(range(256)) * 40)
        archive.writestr("b.png", png())
    content = bytearray((tmp_path / "x.zip").read_bytes())
    content[60:80] = b"\xff" * 20  # inside of a.png
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # b.png's flag of encryption, in the directory
    (tmp_path / "x.zip").write_bytes(content)
    for key in ("a.png", "b.png"):
        with pytest.raises(CorpusError, match=rf"{key} in .*x\.zip cannot be read \(.+\)\. Restore the file\."):
            Archive(tmp_path / "x.zip").read(key)
    assert Archive(tmp_path / "x.zip").read_image("a.png").size == 0  # one damaged picture is no reason to stop
    with pytest.raises(CorpusError, match="Restore the file"):
        Archive(tmp_path / "x.zip").read_image("b.png")


@pytest.mark.parametrize("content", [b"", b"no picture", png()[:20]])
def test_what_is_no_picture_is_empty(packed, content):
    archive = Archive(packed({"1.png": content}))
    assert archive.read_image("1.png").shape == (0, 0, 3) and archive.read_image("1.png").dtype == np.uint8


def test_a_header_that_claims_too_much_is_no_picture():
    content = bytearray(png())
    content[16:24] = b"\x7f\xff\xff\xff" * 2  # width and height
    assert decode_image(bytes(content)).size == 0


def test_pictures_are_bgr(packed):
    colour = np.full((3, 5, 3), (10, 20, 30), np.uint8)
    path = packed({"happy/1.png": cv2.imencode(".png", colour)[1].tobytes(), "sad/2.png": png(9)})
    found = read("folder", path)
    assert found.read_image("happy/1.png").shape == (3, 5, 3)
    np.testing.assert_array_equal(found.read_image("happy/1.png"), colour)


# Stills


def few():
    """Four stills: train angry, val disgust, train fear, val half happy and half neutral."""
    targets = np.zeros((4, 7), np.float32)
    targets[range(3), range(3)] = 1
    targets[3, 3:5] = 0.5
    rows = {"key": list("abcd"), "split": ["train", "val"] * 2, "subject": ["1", "1", "2", ""]}
    return Stills(pd.DataFrame(rows), targets, lambda key: np.full((2, 2, 3), ord(key), np.uint8))


def test_rows_are_chosen_by_mask_or_number():
    found = few()
    assert table(found.rows(np.array([True, False, False, True])), "key") == [("a",), ("d",)]
    backwards = found.rows(np.array([3, 0]))
    assert table(backwards, "key", "subject") == [("d", ""), ("a", "1")] and list(backwards.table.index) == [0, 1]
    np.testing.assert_array_equal(backwards.targets, found.targets[[3, 0]])
    assert len(found.rows(np.array([], int))) == 0


def test_labels_say_what_classes_count_as(packed):
    path = packed({f"{name}/1.png": png() for name in ("Happiness", "Contempt", "sleepy", "sad")})
    with pytest.raises(CorpusError, match=r"The class 'sleepy' of .* is unknown\. Expected one of Angry"):
        read("folder", path)
    assert labels(read("folder", path, labels={"sleepy": ""})) == ["Happy", "Sad"]
    found = read("folder", path, labels={"SLEEPY": "neutral", "contempt": "Disgust", "sad": ""})
    assert table(found, "key") == [("Contempt/1.png",), ("Happiness/1.png",), ("sleepy/1.png",)]
    assert labels(found) == ["Disgust", "Happy", "Neutral"]


def test_labels_that_cannot_be_meant_are_refused(packed):
    path = packed({"happy/1.png": png(), "contempt/2.png": png()})
    with pytest.raises(ValidationError, match=r"'hapy' is unknown\. .*Did you mean Happy\? Give an empty text"):
        read("folder", path, labels={"contempt": "hapy"})
    with pytest.raises(
        CorpusError, match=r"option labels has the class 'contemt', but .* has the classes contempt, happy\. C"
    ):
        read("folder", path, labels={"contemt": "Disgust"})
    with pytest.raises(CorpusError, match=r"no still of one of the seven classes\. Found: contempt, happy\."):
        read("folder", path, labels={"happy": ""})


# Folders


def test_folders_of_classes(packed):
    found = read("folder", packed({"ANGER/b.png": png(1), "ANGER/a.jpg": png(2), "joy/1.bmp": png(3), "x.txt": ""}))
    assert table(found, "key", "split", "subject") == [
        ("ANGER/a.jpg", "", ""),
        ("ANGER/b.png", "", ""),
        ("joy/1.bmp", "", ""),
    ]
    assert labels(found) == ["Angry", "Angry", "Happy"] and level(found.read_image("ANGER/a.jpg")) == 2


def test_folders_of_splits_below_others(packed):
    names = ("Training/happy/1.png", "Training/sad/2.png", "validation/happy/3.png", "clips/sad/4.png")
    found = read("folder", packed({f"top/corpus/{name}": png() for name in names}))
    assert [split for (split,) in table(found, "split")] == ["train", "train", "clips", "val"]
    assert labels(found) == ["Happy", "Sad", "Sad", "Happy"]


@pytest.mark.parametrize("classes", [("happy",), ("happy", "sad")])
def test_one_split_alone_is_one_too(packed, classes):
    found = read("folder", packed({f"data/train/{name}/1.png": png() for name in classes}))
    assert set(found.table["split"]) == {"train"} and len(found) == len(classes)


@pytest.mark.parametrize(
    ("names", "odd"),
    [
        (("happy/1.png", "train/sad/2.png"), r"happy/1\.png"),
        (("happy/1.png", "2.png"), r"2\.png"),
        (("a/b/happy/1.png", "c/b/sad/2.png"), r"a/b/happy/1\.png, c/b/sad/2\.png"),
    ],
)
def test_pictures_that_lie_otherwise_are_told(packed, names, odd):
    with pytest.raises(
        CorpusError, match=rf"The images {odd} in .* at another depth of folders than the others\. .*Move these images"
    ):
        read("folder", packed({name: png() for name in names}))


def test_a_picture_that_vanishes_is_told(tmp_path):
    found = read("folder", write(tmp_path, {"happy/1.png": png(), "sad/2.png": png()}))
    (tmp_path / "happy/1.png").unlink()
    with pytest.raises(
        CorpusError, match=r"happy/1\.png in .* cannot be read \(the file does not exist\)\. Restore the file"
    ):
        found.read_image("happy/1.png")


def test_fer2013_as_folders(shared):
    found = read("fer2013", shared / "data" / "fer2013.zip")
    assert found.table["split"].value_counts().to_dict() == {"train": 24_333, "clips": 4_376, "val": 3_589}
    assert found.table["key"].is_unique and (found.targets.sum(1) == 1).all()
    held_out = found.rows((found.table["split"] == "val").to_numpy())
    # PublicTest's counts, as published
    assert dict(zip(CLASSES, held_out.targets.sum(0).astype(int), strict=True)) == {
        "Angry": 467,
        "Disgust": 56,
        "Fear": 496,
        "Happy": 895,
        "Neutral": 607,
        "Sad": 653,
        "Surprise": 415,
    }
    picture = held_out.read_image(held_out.table["key"][0])
    assert picture.shape == (48, 48, 3) and picture.std() > 5


# FER2013's CSV


def fer_pixels(number):
    return " ".join([str(number)] * 48 * 48)


def fer_csv(rows, header="emotion,pixels,Usage"):
    return "\n".join([header, *(f"{emotion},{pixels},{usage}" for emotion, pixels, usage in rows)]) + "\n"


FER = (
    (0, fer_pixels(10), "Training"),
    (6, fer_pixels(20), "PublicTest"),
    (3, fer_pixels(30), "PrivateTest"),
    (4, "1 2 3", "Training"),
)


@pytest.mark.parametrize("name", ["fer2013.csv", "fer2013/fer2013.csv", "icml_face_data.csv"])
def test_fer2013_csv_in_a_folder_or_zip(packed, name):
    found = read("fer2013", packed({name: fer_csv(FER)}))
    assert table(found, "key", "split") == [
        ("00000", "train"),
        ("00001", "val"),
        ("00002", "test"),
        ("00003", "train"),
    ]
    assert labels(found) == ["Angry", "Neutral", "Happy", "Sad"]
    assert found.read_image("00001").shape == (48, 48, 3) and level(found.read_image("00001")) == 20
    assert found.read_image("00003").shape == (0, 0, 3)
    with pytest.raises(CorpusError, match=r"no still '9' in the list"):
        found.read_image("9")


def test_fer2013_csv_as_kaggle_spaces_it(tmp_path):
    rows = [f"{emotion}, {usage}, {pixels}" for emotion, pixels, usage in FER]
    write(tmp_path, {"my.csv": "\ufeff" + "\r\n".join(["emotion, Usage, pixels", *rows, ""])})
    found = read("fer2013", tmp_path / "my.csv", labels={"sad": ""})
    assert labels(found) == ["Angry", "Neutral", "Happy"] and level(found.read_image("00002")) == 30


@pytest.mark.parametrize("pixels", ["", "nan " * 2304, "256 " * 2304, "-1 " * 2304, "1.5 " * 2304, "1 " * 2303])
def test_fer2013_pixels_that_are_none(tmp_path, pixels):
    write(tmp_path, {"fer2013.csv": fer_csv([*FER, (0, pixels, "Training")])})
    assert read("fer2013", tmp_path).read_image("00004").shape == (0, 0, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"lacks the columns emotion, pixels, Usage\. Its columns are: none\. Check the path"),
        ("emotion,pixels\n0,1\n", r"lacks the columns Usage\. Its columns are: emotion, pixels\. Check the path"),
        (
            fer_csv([*FER, (7, "1", "Training")]),
            r"Line 6 of .* has '7' as emotion\. Expected a whole number from 0 to 6",
        ),
        (fer_csv([("x", "1", "Training"), ("", "1", "Training")]), r"Line 2 .* 'x' as emotion \(and 1 more lines"),
        (fer_csv([(0, "1", "Train")]), r"Line 2 .* has 'Train' as Usage\. Expected one of Training, PublicTest, Priv"),
        (fer_csv(FER) + "1,2\n1\n", r"The lines 6, 7 of .* do not have 3 cells\. Check"),
        (
            b"emotion,pixels,Usage\n\xff\xfe,1,Training\n",
            r"is not a CSV file in UTF-8 .*\. Check the path, or download the file again",
        ),
        ('emotion,pixels,Usage\n0,"1,Training\n', r"is not a CSV file in UTF-8 \(unexpected end of data\)"),
    ],
)
def test_fer2013_csv_that_is_wrong(tmp_path, text, message):
    write(tmp_path, {"fer2013.csv": text})
    with pytest.raises(CorpusError, match=r"fer2013\.csv in ") as error:
        read("fer2013", tmp_path / "fer2013.csv")
    assert pytest.raises(CorpusError, match=message).matches(error.value), error.value


# FER+

HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
# Rows as they are in the published list, and what they should become.
PLUS = (
    ("Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0", {NEUTRAL: 4 / 9, ANGRY: 3 / 9, DISGUST: 2 / 9}),
    ("Training,fer0000001.png,6,0,1,1,0,0,0,0,2,0", {NEUTRAL: 1}),
    ("Training,,0,0,0,0,0,0,0,0,0,10", None),
    ("PublicTest,fer0000219.png,3,3,0,0,0,0,0,4,0,0", None),
    ("PublicTest,fer0000009.png,0,0,6,0,0,0,4,0,0,0", {SURPRISE: 0.6, FEAR: 0.4}),
    ("PrivateTest,fer0000294.png,3,0,0,0,4,0,0,3,0,0", {NEUTRAL: 3 / 7, ANGRY: 4 / 7}),
    ("PrivateTest,fer0000307.png,4,0,0,3,0,0,0,0,3,0", {NEUTRAL: 4 / 7, SAD: 3 / 7}),
)
PLUS_CSV = "\n".join([HEADER, *(row for row, _ in PLUS), ""])
PLUS_FER = fer_csv([(0, fer_pixels(10 * n), row.partition(",")[0]) for n, (row, _) in enumerate(PLUS)])
PLUS_KEYS = [
    ("FER2013Train/fer0000000.png", "train"),
    ("FER2013Train/fer0000001.png", "train"),
    ("FER2013Valid/fer0000009.png", "val"),
    ("FER2013Test/fer0000294.png", "test"),
    ("FER2013Test/fer0000307.png", "test"),
]
PLUS_LEVELS = [0, 10, 40, 50, 60]


def plus_files(prefix=""):
    """The pictures as the authors' script writes them."""
    levels = zip(PLUS_KEYS, PLUS_LEVELS, strict=True)
    return {f"{prefix}{key}": png(level, (48, 48)) for (key, _), level in levels}


@pytest.mark.parametrize(
    "beside", [{"fer2013.csv": PLUS_FER}, {"fer2013/fer2013.csv": PLUS_FER}, plus_files(), plus_files("data/")]
)
def test_ferplus_votes_are_soft_targets(packed, beside):
    found = read("ferplus", packed({"fer2013new.csv": PLUS_CSV, **beside}))
    assert table(found, "key", "split") == PLUS_KEYS and set(found.table["subject"]) == {""}
    expected = np.zeros((5, 7))
    for row, votes in zip(expected, (votes for _, votes in PLUS if votes), strict=True):
        row[list(votes)] = list(votes.values())
    assert found.targets.dtype == np.float32
    np.testing.assert_allclose(found.targets, expected, atol=1e-6)
    assert [level(found.read_image(key)) for key, _ in PLUS_KEYS] == PLUS_LEVELS
    with pytest.raises(CorpusError, match="no still 'x'"):
        found.read_image("x")


def test_ferplus_labels(packed):
    path = packed({"fer2013new.csv": PLUS_CSV, "fer2013.csv": PLUS_FER})
    found = read("ferplus", path, labels={"contempt": "Disgust", "neutral": ""})
    targets = dict(zip(found.table["key"], found.targets, strict=True))
    assert set(targets) == {  # neutral has the most votes of all others
        "FER2013Valid/fer0000219.png",
        "FER2013Valid/fer0000009.png",
        "FER2013Test/fer0000294.png",
    }
    contempt = targets["FER2013Valid/fer0000219.png"]
    np.testing.assert_allclose(contempt[[HAPPY, DISGUST]], [3 / 7, 4 / 7], atol=1e-6)
    with pytest.raises(CorpusError, match=r"option labels has the class 'nf2', but fer2013new\.csv in"):
        read("ferplus", path, labels={"nf2": "Sad"})
    with pytest.raises(CorpusError, match="no still of one of the seven classes"):
        read("ferplus", path, labels=dict.fromkeys(EMOTIONS, ""))


def test_ferplus_rules():
    counts_as = ["Neutral", "Happy", "Surprise", "Sad", "Angry", "Disgust", "Fear", "", "", ""]
    counts = np.array(
        [
            [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],  # nothing but outliers
            [5, 0, 0, 0, 0, 0, 0, 0, 5, 0],  # as many unknown as neutral
            [4, 0, 0, 0, 0, 0, 0, 0, 6, 0],  # mostly unknown
            [4, 0, 0, 0, 0, 0, 0, 0, 0, 6],  # mostly no face
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
    )
    found = vote_shares(counts, counts_as, CLASSES)
    assert found.sum(1).tolist() == [0, 1, 0, 0, 0] and found[1, NEUTRAL] == 1


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"fer2013.csv": PLUS_FER}, r"has no fer2013new\.csv, FER\+'s list of votes\. Put it there"),
        ({"fer2013new.csv": PLUS_CSV}, r"image FER2013Train/fer0000000\.png of fer2013new\.csv in .* no folder of"),
        (
            {"fer2013new.csv": PLUS_CSV, "fer2013.csv": fer_csv(FER)},
            r"\(7 rows\) and fer2013\.csv beside it \(4 rows\) do not have the same Usage in each row",
        ),
        (
            {"fer2013new.csv": PLUS_CSV, "FER2013Train/fer0000000.png": png()},
            r"images FER2013Train/fer0000001\.png, FER2013Valid/fer0000009\.png, .* and 1 more are in .* but not in",
        ),
        (
            {"fer2013new.csv": PLUS_CSV.replace("6,0,1,1", "6,0,1,?")},
            r"Line 3 of .* has '\?' as sadness\. Expected a whole",
        ),
        (
            {"fer2013new.csv": PLUS_CSV.replace(",NF", ",nonface")},
            r"lacks the columns NF\. Its columns are: usage, image",
        ),
        ({"fer2013new.csv": PLUS_CSV.replace("Training", "Train")}, r"has 'Train' as Usage \(and 2 more lines like it"),
        (
            {"fer2013new.csv": PLUS_CSV.replace("fer0000000", "../../x"), **plus_files()},
            r"'FER2013Train/\.\./\.\./x\.png' is outside of",
        ),
    ],
)
def test_ferplus_that_is_wrong(packed, files, message):
    with pytest.raises(CorpusError, match=message):
        read("ferplus", packed(files))


def test_ferplus_pictures_that_are_named_twice_are_left_out(tmp_path):
    lists = {"fer2013new.csv": PLUS_CSV.replace("fer0000001", "fer0000000"), "fer2013.csv": PLUS_FER}
    assert table(read("ferplus", write(tmp_path, lists)), "key", "split") == PLUS_KEYS[2:]


# RAF-DB

RAF = "train_00001.jpg 5\ntrain_00002.jpg 4 \n\ntest_0001.jpg 7\r\n"
RAF_NAMES = ("train_00001", "train_00002", "test_0001")


def raf(folder="Image/aligned/", label="EmoLabel/list_patition_label.txt"):
    return {label: RAF, **{f"{folder}{name}_aligned.jpg": png(10 * n) for n, name in enumerate(RAF_NAMES)}}


@pytest.mark.parametrize(
    "files",
    [
        raf(),
        raf("basic/Image/aligned/aligned/", "basic/EmoLabel/list_patition_label.txt"),
        raf("aligned/", "list_patition_label.txt"),
    ],
)
def test_rafdb_aligned(packed, files):
    found = read("rafdb", packed(files))
    assert table(found, "key", "split", "subject") == [
        ("train_00001_aligned.jpg", "train", ""),
        ("train_00002_aligned.jpg", "train", ""),
        ("test_0001_aligned.jpg", "test", ""),
    ]
    assert labels(found) == ["Sad", "Happy", "Neutral"]
    assert [level(found.read_image(key)) for key in found.table["key"]] == [0, 10, 20]


def raf_original(box="3.0 2.0\n13.5 9.2 \n"):
    files = {"EmoLabel/list_patition_label.txt": RAF}
    for name in RAF_NAMES:
        files[f"Image/original/{name}.jpg"] = ramp()
        files[f"Annotation/boundingbox/{name}_boundingbox.txt"] = box
    return files


def test_rafdb_original_is_cut_to_the_face(packed):
    found = read("rafdb", packed(raf_original()), pictures="original")
    assert table(found, "key", "split")[2] == ("test_0001.jpg", "test")
    face = found.read_image("test_0001.jpg")
    assert face.shape == (7, 11, 3)
    assert face[0, 0].tolist() == [3, 2, 0] and face[-1, -1].tolist() == [13, 8, 0]


def test_rafdb_original_needs_boxes(packed):
    files = raf_original()
    lost = {name: content for name, content in files.items() if "boundingbox" not in name}
    with pytest.raises(CorpusError, match=r"box train_00001_boundingbox\.txt of .*, or set pictures: aligned\."):
        read("rafdb", packed(lost), pictures="original")


@pytest.mark.parametrize("box", ["", "1 2 3", "1 2 3 4 5", "a b c d"])
def test_rafdb_box_that_is_none(packed, box):
    with pytest.raises(CorpusError, match=r"train_00001_boundingbox\.txt in .* is not a box\. Expected four numbers"):
        read("rafdb", packed(raf_original(box)), pictures="original")


def test_rafdb_in_numbered_folders(packed):
    files = {f"DATASET/{split}/{n}/{split}_{n}_aligned.jpg": png(n) for split in ("train", "test") for n in range(1, 8)}
    found = read("rafdb", packed(files | {"DATASET/train_labels.csv": "image,label\n"}))
    assert found.table["split"].tolist() == ["test"] * 7 + ["train"] * 7
    assert labels(found)[:7] == ["Surprise", "Fear", "Disgust", "Happy", "Sad", "Angry", "Neutral"]
    assert level(found.read_image("DATASET/train/3/train_3_aligned.jpg")) == 3


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (
            {"train/8/1.jpg": png()},
            {},
            r"neither list_patition_label\.txt nor only the folders 1 to 7 .*Found the folder 8\.",
        ),
        (
            {"train/1/1.jpg": png()},
            {"pictures": "original"},
            r"has no list_patition_label\.txt, but pictures: orig",
        ),
        (
            raf() | {"EmoLabel/list_patition_label.txt": RAF + "train_3.jpg 11"},
            {},
            r"Line 5 of .* '11' as label\. Expected",
        ),
        (
            raf() | {"EmoLabel/list_patition_label.txt": RAF + "train_3.jpg"},
            {},
            r"lines 5 of .* do not have 2 cells\. Check",
        ),
        (
            raf() | {"EmoLabel/list_patition_label.txt": RAF + "x_3.jpg 1"},
            {},
            r"image x_3, but RAF-DB's image names begin with",
        ),
        (
            raf() | {"EmoLabel/list_patition_label.txt": b"\xff 1"},
            {},
            r"list_patition_label\.txt .* is not text in UTF-8",
        ),
        (
            raf() | {"EmoLabel/list_patition_label.txt": RAF + "train_3.jpg 1"},
            {},
            r"train_3_aligned\.jpg are in the list .* but not in",
        ),
        (raf("other/") | {"EmoLabel/list_patition_label.txt": "train_9.jpg 1"}, {}, r"train_9_aligned\.jpg .* Unpack"),
        (
            raf() | {"EmoLabel/list_patition_label.txt": ""},
            {},
            r"no still of one of the seven classes\. Found: nothing",
        ),
    ],
)
def test_rafdb_that_is_wrong(packed, files, options, message):
    with pytest.raises(CorpusError, match=message):
        read("rafdb", packed(files), **options)


def test_rafdb_original_never_leaves_the_corpus(tmp_path):
    (tmp_path / "train_1.jpg").write_bytes(png())
    files = {"list_patition_label.txt": "../train_1.jpg 1", "boundingbox/train_1_boundingbox.txt": "0 0 2 2"}
    with pytest.raises(CorpusError, match=r"'\.\./train_1\.jpg' is outside of"):
        read("rafdb", write(tmp_path / "corpus", files), pictures="original")


# AffectNet

AFFECT = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
LANDMARKS = ";".join(["1.5"] * 136)


def affect(*rows, header=True):
    lines = [f"{name},{box},{LANDMARKS},{expression},0.1,-0.2" for name, box, expression in rows]
    return "\n".join([*([AFFECT] if header else []), *lines, ""])


AFFECT_TRAIN = (("689/a.jpg", "3,2,10,7", 6), ("689/b.jpg", "25,15,10,10", 7), ("12/c.png", "NULL,NULL,NULL,NULL", 1))
AFFECT_VAL = (("12/d.jpg", "0,0,-1,-1", 0), ("12/gone.jpg", "1,1,2,2", 10))


def affect_files(header=True, base=""):
    pictures = {f"{base}Manually_Annotated_Images/{name}": ramp() for name, *_ in (*AFFECT_TRAIN, *AFFECT_VAL[:1])}
    lists = f"{base}Manually_Annotated_file_lists/"
    validation = affect(*AFFECT_VAL, header=header)
    return {f"{lists}training.csv": affect(*AFFECT_TRAIN), f"{lists}validation.csv": validation, **pictures}


@pytest.mark.slow
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("base", ["", "AffectNet/"])
def test_affectnet_lists(packed, header, base):
    path = packed(affect_files(header, base))
    found = read("affectnet", path)
    assert table(found, "key", "split") == [("689/a.jpg", "train"), ("12/c.png", "train"), ("12/d.jpg", "val")]
    assert labels(found) == ["Angry", "Happy", "Neutral"]
    assert found.read_image("689/a.jpg").shape == (7, 10, 3)
    assert found.read_image("689/a.jpg")[0, 0].tolist() == [3, 2, 0]
    assert found.read_image("12/c.png").shape == found.read_image("12/d.jpg").shape == (20, 30, 3)  # no box
    mapped = read("affectnet", path, labels={"Contempt": "Disgust", "neutral": ""})
    assert labels(mapped) == ["Angry", "Disgust", "Happy"]
    assert mapped.read_image("689/b.jpg").shape == (5, 5, 3)  # the box reaches beyond the photo


def test_affectnet_one_list_is_enough(packed):
    files = affect_files()
    del files["Manually_Annotated_file_lists/training.csv"]
    assert table(read("affectnet", packed(files)), "key", "split") == [("12/d.jpg", "val")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            affect(("689/a.jpg", "3,2,10,7", 11)),
            r"training\.csv in .* has '11' as expression\. Expected a whole number from",
        ),
        (
            affect(("689/a.jpg", "3,x,10,7", 1)),
            r"Line 2 of .*training\.csv in .* has 'x' as face_y\. Expected a number",
        ),
        (affect(("689/a.jpg", "3,inf,10,7", 1)), r"has 'inf' as face_y\. Expected a number"),
        (affect(("689/z.jpg", "3,2,10,7", 1)), r"image 689/z\.jpg of .* was found in no folder"),
        (
            affect(("689/a.jpg", "3,2,10,7", 1), ("1/z.jpg", "3,2,10,7", 1)),
            r"Images/1/z\.jpg are in the list .* but not in .* remove them",
        ),
        (affect(("../../x.jpg", "3,2,10,7", 1)), r"'\.\./\.\./x\.jpg' is outside of"),
        (affect(("689/a.jpg", "3,2,10,7", 1), ("../x.jpg", "3,2,10,7", 1)), r"Images/\.\./x\.jpg' is outside of"),
        (affect(("/etc/x.jpg", "3,2,10,7", 1)), r"'/etc/x\.jpg' is outside of"),
        (affect(("689/a.jpg", "3,2,10", 1)), r"lines 2 of .* do not have 9 cells"),
        (affect(("689/a.jpg", "3,2,10,7", 8)), r"no still of one of the seven classes\. Found: None\."),
        (
            "name,expression\nx,1\n",
            r"lacks the columns subDirectory_filePath, face_x, .*Its columns are: name, expression",
        ),
    ],
)
def test_affectnet_list_that_is_wrong(packed, text, message):
    files = {name: content for name, content in affect_files().items() if not name.endswith(".csv")}
    with pytest.raises(CorpusError, match=message):
        read("affectnet", packed(files | {"lists/training.csv": text}))


@pytest.fixture
def warned(caplog):
    logger = logging.getLogger("emopipe")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def test_rows_that_contradict_are_left_out(packed, warned):
    rows = [*AFFECT_TRAIN, AFFECT_TRAIN[0], ("12/c.png", "NULL,NULL,NULL,NULL", 2)]
    path = packed(affect_files() | {"Manually_Annotated_file_lists/training.csv": affect(*rows)})
    assert table(read("affectnet", path), "key") == [("689/a.jpg",), ("12/d.jpg",)]
    assert "has contradictory rows for the stills 12/c.png. They are omitted." in warned.text


def affect_sets(base="", train=("3", "7"), val=(0,)):
    """Labels are text in the release; numbers are read as well."""
    files = {f"{base}train_set/annotations/0_val.npy": npy(0.5), f"{base}train_set/annotations/0_lnd.npy": npy([1.0])}
    for folder, values in (("train_set", train), ("val_set", val)):
        for n, value in enumerate(values):
            files[f"{base}{folder}/images/{n}.jpg"] = png(n + 1)
            files[f"{base}{folder}/annotations/{n}_exp.npy"] = npy(value)
    return files


@pytest.mark.parametrize("base", ["", "AffectNet/"])
def test_affectnet_sets(packed, base):
    path = packed(affect_sets(base))
    found = read("affectnet", path)
    assert table(found, "key", "split") == [("train_set/images/0.jpg", "train"), ("val_set/images/0.jpg", "val")]
    assert labels(found) == ["Surprise", "Neutral"] and level(found.read_image("val_set/images/0.jpg")) == 1
    assert labels(read("affectnet", path, labels={"contempt": "anger"})) == ["Surprise", "Angry", "Neutral"]


@pytest.mark.parametrize("value", ["x", "8", -1, [1, 2], 1j, "1.5"])
def test_affectnet_annotation_that_is_none(packed, value):
    with pytest.raises(CorpusError, match=r"0_exp\.npy in .* has no class \(.+\)\. Expected a number from 0 to 7"):
        read("affectnet", packed(affect_sets(train=(value,))))


def test_affectnet_annotations_are_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (write, (tmp_path, {"trapped": ""}))

    file = io.BytesIO()
    np.save(file, np.array([Trap()], dtype=object), allow_pickle=True)
    for content in (file.getvalue(), b"", b"\x80\x04N."):
        write(tmp_path / "corpus", affect_sets() | {"train_set/annotations/0_exp.npy": content})
        with pytest.raises(CorpusError, match=r"0_exp\.npy in .* has no class"):
            read("affectnet", tmp_path / "corpus")
    assert not (tmp_path / "trapped").exists()


def test_affectnet_picture_of_an_annotation_is_missing(packed):
    files = affect_sets()
    del files["val_set/images/0.jpg"]
    with pytest.raises(
        CorpusError, match=r"The images val_set/images/0\.jpg are in the list of the corpus, but not in"
    ):
        read("affectnet", packed(files))


# ExpW

EXPW = (
    "angry_actor_104.jpg 0 2 13 23 9 22.9362 0",  # top, left, right, bottom
    "crowd_1.jpg 0 0 0 5 5 80.5 3",
    "crowd_1.jpg 1 -4 20 34 8 61 6",
    "crowd_1.jpg 0 0 0 5 5 80.5 3",
)


def expw(*lines):
    return {"label/label.lst": "\n".join(lines) + "\n"} | {
        f"image/origin/{name}.jpg": ramp() for name in ("angry_actor_104", "crowd_1")
    }


def test_expw_faces(packed):
    found = read("expw", packed(expw(*EXPW)))
    assert table(found, "key", "split", "subject") == [
        ("angry_actor_104.jpg#0", "", "angry_actor_104.jpg"),
        ("crowd_1.jpg#0", "", "crowd_1.jpg"),
        ("crowd_1.jpg#1", "", "crowd_1.jpg"),
    ]
    assert labels(found) == ["Angry", "Happy", "Neutral"]
    face = found.read_image("angry_actor_104.jpg#0")
    assert face.shape == (7, 10, 3) and face[0, 0].tolist() == [13, 2, 0] and face[-1, -1].tolist() == [22, 8, 0]
    assert found.read_image("crowd_1.jpg#1").shape == (8, 10, 3)  # the box reaches beyond the photo


def test_expw_confidence(packed):
    path = packed(expw(*EXPW))
    assert table(read("expw", path, min_confidence=61), "key") == [("crowd_1.jpg#0",), ("crowd_1.jpg#1",)]
    with pytest.raises(CorpusError, match=r"no face with a confidence of 99 or more\. The highest is 80\.5\. Lower"):
        read("expw", path, min_confidence=99)
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        read("expw", path, min_confidence=-1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "crowd_1.jpg 2 0 0 5 5 80 7",
            r"Line 5 of label/label\.lst in .* has '7' as label\. Expected a whole number from 0",
        ),
        ("crowd_1.jpg 2 0 0 5 5 high 1", r"has 'high' as confidence\. Expected a number\."),
        ("crowd_1.jpg 2 0 0 ? 5 80 1", r"has '\?' as right\. Expected a number\."),
        ("crowd_1.jpg 2 0 0 5 5 80", r"lines 5 of .* do not have 8 cells"),
        ("crowd 1.jpg 2 0 0 5 5 80 1", r"lines 5 of .* do not have 8 cells"),
        (
            "crowd_2.jpg 2 0 0 5 5 80 1",
            r"The images image/origin/crowd_2\.jpg are in the list .* but not in .* remove them",
        ),
        ("../../x.jpg 2 0 0 5 5 80 1", r"'image/origin/\.\./\.\./x\.jpg' is outside of"),
    ],
)
def test_expw_that_is_wrong(packed, line, message):
    with pytest.raises(CorpusError, match=message):
        read("expw", packed(expw(*EXPW, line)))


def test_expw_without_its_list(packed):
    with pytest.raises(CorpusError, match=r"has no label\.lst, ExpW's list of faces and classes\. Put it there"):
        read("expw", packed({"image/origin/a.jpg": png()}))


def test_a_photo_that_is_no_picture_is_empty(tmp_path):
    found = read("expw", write(tmp_path, expw(*EXPW) | {"image/origin/crowd_1.jpg": "not a picture"}))
    assert found.read_image("crowd_1.jpg#1").shape == (0, 0, 3)


# Boxes


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        ((0, 0, 30, 20), (20, 30)),
        ((-5, -5, 100, 100), (20, 30)),
        ((1.4, 2.6, 3.6, 5.2), (2, 3)),
        ((5, 5, 5, 9), (0, 0)),
        ((9, 9, 5, 5), (0, 0)),
        ((40, 0, 50, 10), (0, 0)),
        ((-9, -9, -1, -1), (0, 0)),
    ],
)
def test_boxes_are_cut_as_far_as_they_lie_inside(box, shape):
    picture = decode_image(ramp())
    face = crop_box(picture, box)
    assert face.shape == (*shape, 3) and face.dtype == np.uint8 and not np.shares_memory(face, picture)


# Several corpora


def test_merged_corpora(tmp_path):
    first = read("folder", write(tmp_path / "a", {"train/happy/1.png": png(1), "val/sad/2.png": png(2)}))
    second = read("expw", write(tmp_path / "b", expw(*EXPW)))
    both = merged([first, second], ["fer", "expw"])
    assert table(both, "key", "split", "subject") == [
        ("fer/train/happy/1.png", "train", ""),
        ("fer/val/sad/2.png", "val", ""),
        ("expw/angry_actor_104.jpg#0", "", "expw/angry_actor_104.jpg"),
        ("expw/crowd_1.jpg#0", "", "expw/crowd_1.jpg"),
        ("expw/crowd_1.jpg#1", "", "expw/crowd_1.jpg"),
    ]
    np.testing.assert_array_equal(both.targets, np.concatenate([first.targets, second.targets]))
    assert level(both.read_image("fer/val/sad/2.png")) == 2
    assert both.read_image("expw/angry_actor_104.jpg#0").shape == (7, 10, 3)
    assert table(both.rows((both.table["split"] == "val").to_numpy()), "key") == [("fer/val/sad/2.png",)]
    for key in ("fer/nothing.png", "expw/nothing", "other/1.png", "1.png"):
        with pytest.raises(CorpusError, match=r"cannot be read|no still"):
            both.read_image(key)


def test_the_same_corpus_twice_has_two_names():
    both = merged([few(), few()], ["x", "y"])
    assert both.table["key"].is_unique
    assert both.table["subject"].tolist() == ["x/1", "x/1", "x/2", "", "y/1", "y/1", "y/2", ""]


@pytest.mark.parametrize("names", [["x", "x"], ["x", "a/b"], ["", "x"]])
def test_merged_names_that_cannot_be_told_apart(names):
    with pytest.raises(CorpusError, match=r"need different names without a slash\. Found"):
        merged([few(), few()], names)


def test_merging_nothing_and_too_few_names():
    with pytest.raises(CorpusError, match="There is no corpus of stills to merge"):
        merged([], [])
    with pytest.raises(ValueError, match="argument 2 is longer"):
        merged([few(), few()], ["x"])
