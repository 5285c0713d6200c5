"""`emopipe init`: what it says about a folder or table, the config that it writes, and what it asks."""

import csv
import re
import shlex
from pathlib import Path

import pytest
import yaml
from snakemake.cli import get_argument_parser
from typer.testing import CliRunner

from emopipe.commands import init as command
from emopipe.commands.main import app
from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES
from emopipe.corpora import listing, recognition
from emopipe.media import lengths
from emopipe.media.lengths import Look
from emopipe.workflow import config as configs
from emopipe.workflow import launch, preconditions, scan, starter
from tests.conftest import write_clip
from tests.pages import REPOSITORY, commands_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder. No clip is opened: all last a second and have sound."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lengths, "look_at", lambda paths: Look([1.0, 2.5], 0, 2))
    return tmp_path


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def init(*arguments, answers=None, monkeypatch=None):
    if monkeypatch:
        monkeypatch.setattr(command, "is_terminal", lambda: True)
    return CliRunner().invoke(app, ["init", *map(str, arguments)], input=answers, env={"COLUMNS": "300"})


def written(path):
    """The config as a run sees it: it is accepted, and its clips are enough."""
    raw = configs.read(path)
    config = configs.parse(raw)
    preconditions.check_clips(config, scan.clips(config))
    return raw


CLASSY = [f"{label}/{label}_{number:02d}.mp4" for label in ("Happy", "sadness") for number in range(10)]
PEOPLE = [f"{label}/p{person}_{label}.mp4" for label in ("Happy", "Sad") for person in range(8)]


# --- folders


OWN = [
    f"{split}/{label}/{label}{n}.mp4" for split in ("train", "val") for label in ("bored", "at ease") for n in range(6)
]


def test_own_classes_are_named_by_the_user(folder):
    touch(folder / "mine", *OWN)
    refused = init("mine")
    assert refused.exit_code != 0
    advice = re.search(r"If the folders at ease, bored are your own classes, name them: emopipe (.*)", refused.output)
    command = shlex.split(advice[1])
    assert command == ["init", str(folder / "mine"), "--labels", "at ease,bored"]
    result = init(*command[1:])
    assert result.exit_code == 0, result.output
    assert "  classes  2: 12 at ease, 12 bored" in result.output.splitlines()
    assert written(folder / "mine.yaml")["labels"] == ["at ease", "bored"]


def test_a_table_may_have_classes_of_a_set(folder):
    touch(folder, *(f"{name}{n}.mp4" for name in ("worry", "joy") for n in range(8)))
    rows = "".join(f"{name}{n}.mp4,{name}\n" for name in ("worry", "joy") for n in range(8))
    (folder / "list.csv").write_text(f"file,feeling\n{rows}")
    assert init("list.csv", "--labels", "mer6").exit_code == 0
    raw = written(folder / "list.yaml")
    assert raw["labels"] == "mer6"
    assert sorted(set(scan.clips(configs.parse(raw))["label"])) == ["Happy", "Worried"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("header", "cells", "labels", "expected", "said"),
    [
        ("votes_joy,votes_grief", ["2,1", "0,3", "1,1"], None, {"names": ["joy", "grief"], "kind": "votes"},
         "  classes  3: 4 grief, 4 joy, 4 joy;grief"),
        ("votes_Angry,votes_Sad", ["2,1", "0,3", "1,"], "iemocap4", {"set": "iemocap4", "kind": "votes"},
         "  labels   votes of raters (kind: votes)"),
        ("emotion", ["a;b", "b", "(none)"], "a,b", {"names": ["a", "b"], "kind": "multi"},
         "  classes  3: 4 (none), 4 a;b, 4 b"),
        ("A,b", ["1,1", "0,1", "0,0"], "a,b", {"names": ["a", "b"], "kind": "multi"},
         "  classes  3: 4 (none), 4 a;b, 4 b"),
        ("valence,arousal", ["-0.5,1", "0.25,0", "0,0"], "valence,arousal",
         {"names": ["valence", "arousal"], "kind": "dimensions", "range": [-1.0, 1.0]},
         "  labels   numbers (kind: dimensions): valence -0.5 to 0.25, arousal 0 to 1; range: -1 to 1"),
        ("valence,arousal", ["1,4.5", "2,3", "3,3"], "valence,arousal",
         {"names": ["valence", "arousal"], "kind": "dimensions", "range": [1.0, 5.0]},
         "  labels   numbers (kind: dimensions): valence 1 to 3, arousal 3 to 4.5; range: 1 to 5"),
        ("label,votes_Happy,votes_Sad", ["Happy,2,1", "Sad,0,3", "Sad,1,1"], None, None,
         "  classes  2: 4 Happy, 8 Sad"),
    ],
)  # fmt: skip
def test_the_columns_of_a_table_say_the_kind_of_labels(folder, header, cells, labels, expected, said):
    touch(folder, *(f"c{n:02}.mp4" for n in range(12)))
    rows = "".join(f"c{n:02}.mp4,p{n // 3},{cells[n % 3]}\n" for n in range(12))
    (folder / "list.csv").write_text(f"path,subject,{header}\n{rows}")
    result = init("list.csv", *(["--labels", labels] if labels else []))
    assert result.exit_code == 0, result.output
    assert said in result.output.splitlines()
    assert written(folder / "list.yaml").get("labels") == expected


def test_a_table_that_is_written_again_keeps_the_other_columns(folder):
    touch(folder, *(f"c{n:02}.mp4" for n in range(12)))
    rows = "".join(f"c{n:02}.mp4;p{n // 3};f;{n % 2};{1 - n % 2};x\n" for n in range(12))
    (folder / "list.csv").write_text(f"path;person;sex;votes_Happy;votes_Sad;digest\n{rows}")
    assert init("list.csv").exit_code == 0
    lines = (folder / "list_clips.csv").read_text().splitlines()
    assert lines[:2] == ["path,subject,sex,votes_Happy,votes_Sad", "c00.mp4,p0,f,0,1"]
    table = scan.clips(configs.parse(written(folder / "list.yaml")))
    assert (table["sex"] == "f").all() and sorted(set(table["label"])) == ["Happy", "Sad"]


@pytest.mark.parametrize(
    "labels, found", [("basic8", "two or more names with commas between them"), ("a,A", "'A' is listed twice")]
)
def test_wrong_labels_are_refused(folder, labels, found):
    touch(folder / "mine", *OWN)
    result = init("mine", "--labels", labels)
    assert result.exit_code != 0 and found in result.output


def test_a_folder_of_classes(folder):
    touch(folder / "my clips", *CLASSY, "notes.txt", "more/a.TXT", "Makefile", ".hidden")
    result = init("my clips")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[:2] == [f"Found in {folder / 'my clips'}:", "  kind     folder"]
    assert "  classes  2: 10 Happy, 10 Sad" in lines and "  people   not known" in lines
    assert "  lengths  1.0 to 2.5 s (of 2 clips that were opened)" in lines
    assert "  others   1 without a suffix, 2 .txt" in lines
    assert "The corpus has no val split of its own: " in result.output
    assert "Keep this val split? Not asked; taken: yes. If not, every clip is predicted" in result.output
    assert lines[-3:] == ["", "  emopipe run my_clips.yaml -n    # shows what would run", "  emopipe run my_clips.yaml"]
    raw = written(folder / "my_clips.yaml")
    assert raw["corpus"] == {"name": "my_clips", "kind": "folder"} and raw["corpus_root"] == str(folder / "my clips")
    assert list(raw["models"]) == ["face_only", "audio_only", "fused_both"]
    assert all("pretrain" not in block and block["weights"] for block in raw["backbones"].values())


def test_every_key_of_the_config_has_a_comment_where_it_is_not_plain(folder):
    touch(folder / "mine", *CLASSY)
    init("mine")
    text = (folder / "mine.yaml").read_text()
    assert text.startswith(f"# Made by `emopipe init {folder / 'mine'}`.")
    for comment in ("# results/mine/", "# cache/mine/", "# frames of each clip", "# The shipped networks as they are"):
        assert comment in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clips", "expected"),
    [
        ([f"{s}/{c}/{s}{c}{n}.mp4" for s in ("train", "dev") for c in CLASSES for n in range(3)], ("folder", None)),
        ([f"{c}/x/{n}.mp4" for c in CLASSES for n in range(9)], ("folder", {"clip_id": "path"})),
        ([*CLASSY, "calm/x.mp4"], ("folder", {"others": "exclude"})),
        ([f"Actor_{a:02d}/01-01-{e}-01-01-01-{a:02d}.mp4" for a in range(1, 9) for e in ("03", "04")],
         ("ravdess", None)),
        ([f"03-01-{e}-01-01-01-{a:02d}.wav" for a in range(1, 9) for e in ("03", "04")],
         ("ravdess", {"modality": "audio"})),
        ([f"VideoFlash/{s}_DFA_{e}_XX.flv" for s in range(1001, 1009) for e in ("ANG", "SAD")], ("cremad", None)),
        ([f"AudioWAV/{s}_DFA_{e}_XX.wav" for s in range(1001, 1009) for e in ("ANG", "SAD")],
         ("cremad", {"modality": "audio"})),
        ([f"wav/{s:02d}a01{e}a.wav" for s in range(3, 11) for e in "WF"], ("emodb", None)),
        ([f"{s}_AFEW/{c}/{s}{c}{n}.avi" for s in ("Train", "Val") for c in ("Happy", "Sad") for n in range(3)],
         ("afew", None)),
    ],
)  # fmt: skip
def test_kinds_are_recognised(folder, clips, expected):
    touch(folder / "mine", *clips)
    result = init("mine", "--yes")
    assert result.exit_code == 0, result.output
    corpus = written(folder / "mine.yaml")["corpus"]
    assert (corpus["kind"], corpus.get("options")) == expected


@pytest.mark.parametrize("clips", [["a.mp4", "b.mp4"], ["holiday-01.wav", "x/voice.wav"]])
def test_a_folder_without_classes_is_no_corpus_to_train_on(folder, clips):
    touch(folder / "mine", *clips)
    result = init("mine", "--yes")
    assert result.exit_code == 1 and not (folder / "mine.yaml").exists()
    assert "not in a class folder. Expected <class>/<file>." in result.output


def test_sound_alone_needs_no_faces(folder):
    touch(folder / "mine", *(path.replace(".mp4", ".wav") for path in CLASSY))
    init("mine")
    raw = written(folder / "mine.yaml")
    assert list(raw["models"]) == ["audio_only"] and "faces" not in raw and list(raw["backbones"]) == ["voice"]


def test_silent_videos_need_no_voice(folder, monkeypatch):
    monkeypatch.setattr(lengths, "look_at", lambda paths: Look([1.0], 1, 0))
    touch(folder / "mine", *CLASSY)
    result = init("mine")
    assert "1.0 to 1.0 s (of 2 clips that were opened; 1 cannot be decoded; 1 without sound)" in result.output
    assert list(written(folder / "mine.yaml")["models"]) == ["face_only"]


def test_videos_that_nobody_could_open_may_have_sound(folder, monkeypatch):
    monkeypatch.setattr(lengths, "look_at", lambda paths: Look([], 5, 0))
    touch(folder / "mine", *CLASSY)
    assert "not known: none of 5 clips that were opened can be decoded" in init("mine").output
    assert len(written(folder / "mine.yaml")["models"]) == 3


def test_people_are_read_from_the_file_names(folder):
    touch(folder / "mine", *PEOPLE)
    result = init("mine")
    assert "File names begin with what may be 8 people (p0, p1, p2 and 5 more). Are they people?" in result.output
    assert "  people   8: p0, p1, p2, p3, p4, p5, p6, p7" in result.output
    assert "2 of 8 subjects" in result.output
    assert "subject_pattern" in written(folder / "mine.yaml")["corpus"]["options"]


@pytest.mark.parametrize(
    "clips",
    [
        CLASSY,  # the class
        [f"{c}/{n:02d}_{c}.mp4" for c, n in zip(["Happy", "Sad"] * 10, range(20), strict=True)],  # a number of its own
        [f"{c}/clip_{c}{n}.mp4" for c in ("Happy", "Sad") for n in range(10)],  # one word for all
        [f"{c}/p{'12' if c == 'Sad' else '34'}_{c}{n}.mp4" for c in ("Happy", "Sad") for n in range(10)],  # one class
        [*PEOPLE, "Happy/other.mp4"],  # not all
        [f"{s}/{c}/p{n}_{c}{s}.mp4" for s in ("train", "val") for c in ("Happy", "Sad") for n in range(5)],  # in both
    ],
)
def test_other_beginnings_are_no_people(folder, clips):
    touch(folder / "mine", *clips)
    assert recognition.with_people(recognition.in_folder(folder / "mine")) is None


def test_a_folder_that_is_no_corpus_is_refused_and_nothing_is_written(folder):
    touch(folder / "mine", "a/x.mp4", "b/y.mp4")
    result = init("mine")
    assert result.exit_code == 1 and "The class 'a' of the clip a/x.mp4" in result.output
    result = init("absent")
    assert result.exit_code == 1 and f"The corpus folder {folder / 'absent'} does not exist" in result.output
    assert not list(folder.glob("*.yaml"))


def test_one_class_is_refused_after_what_was_found(folder):
    touch(folder / "mine", *(f"Happy/{n}.mp4" for n in range(9)))
    result = init("mine")
    assert result.exit_code == 1 and "  classes  1: 9 Happy" in result.output
    assert "are of the class Happy, so every prediction would be Happy" in result.output
    assert not list(folder.glob("*.yaml"))


@pytest.mark.parametrize(
    ("is_table", "why"),
    [
        (False, r"val_fraction: 0\.2, seed: 0\)\. The other clips are too few to train on, so every clip is predicted"),
        (True, r"^No labelled clip is in val or test, so every clip is predicted .* \(protocol: kfold\)\.$"),
    ],
)
def test_few_clips_get_fewer_folds_and_each_is_predicted(folder, is_table, why):
    clips = [f"{label}/{label}{number}.mp4" for label in ("Happy", "Sad") for number in range(2)]
    touch(folder / "mine", *clips)
    if is_table:
        rows = [[f"mine/{clip}", clip.partition("/")[0], "train"] for clip in clips]
        write_table(folder / "mine.csv", ["path", "label", "split"], *rows)
    result = init("mine.csv" if is_table else "mine")
    assert re.search(why, result.output, re.M), result.output
    assert written(folder / "mine.yaml")["protocol"] == {"kind": "kfold", "folds": 4}


def test_few_training_clips_get_fewer_folds(folder):
    clips = [f"{split}/{label}/{split}_{label}{number}.mp4" for split in ("train", "val") for label in ("Happy", "Sad")
             for number in range(2)]  # fmt: skip
    touch(folder / "mine", *clips)
    assert init("mine").exit_code == 0
    assert written(folder / "mine.yaml")["protocol"] == {"folds": 4}
    assert "# fewer folds than by default (5), because there are few clips" in (folder / "mine.yaml").read_text()


# --- what it asks


def test_on_a_terminal_it_asks(folder, monkeypatch):
    touch(folder / "mine", *PEOPLE)
    result = init("mine", answers="n\nn\n", monkeypatch=monkeypatch)
    assert result.exit_code == 0, result.output
    assert "Not asked" not in result.output and "nothing is known about people" in result.output
    raw = written(folder / "mine.yaml")
    assert "options" not in raw["corpus"] and raw["protocol"] == {"kind": "kfold"}


def test_yes_asks_nothing_on_a_terminal(folder, monkeypatch):
    touch(folder / "mine", *PEOPLE)
    assert "Not asked; taken: yes." in init("mine", "--yes", monkeypatch=monkeypatch).output


def test_a_corpus_without_questions_is_not_asked_about(folder, monkeypatch):
    touch(folder / "mine", *(f"{s}/{c}/{s}{c}{n}.mp4" for s in ("train", "val") for c in CLASSES for n in range(3)))
    result = init("mine", answers="", monkeypatch=monkeypatch)
    assert result.exit_code == 0 and "?" not in result.output


@pytest.mark.slow
def test_a_file_is_not_overwritten(folder, monkeypatch):
    touch(folder / "mine", *CLASSY)
    (folder / "mine.yaml").write_text("precious")
    for options in ([], ["--yes"], ["--output", "mine.yaml"]):
        result = init("mine", *options)
        assert result.exit_code == 1
        assert "mine.yaml exists, and it was not overwritten. Give another --output, or --force." in result.output
    assert init("mine", answers="n\n", monkeypatch=monkeypatch).exit_code == 1
    assert (folder / "mine.yaml").read_text() == "precious"
    assert init("mine", answers="y\n\n", monkeypatch=monkeypatch).exit_code == 0
    assert init("mine", "--yes", "--output", "other.yaml").exit_code == 0
    assert (folder / "mine.yaml").read_text() == (folder / "other.yaml").read_text()
    (folder / "mine.yaml").write_text("old")
    assert init("mine", "--yes", "--force").exit_code == 0 and written(folder / "mine.yaml")["run"] == "mine"


# --- tables


def write_table(path, header, *rows, delimiter=","):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])


def rows_of(*columns):
    """Twenty rows: a file, then what the columns make of number and class."""
    return [
        [f"clips/{number:02d}.mp4", *(column(number, ("Happy", "Sad")[number % 2]) for column in columns)]
        for number in range(20)
    ]


CLIPS = [f"clips/{number:02d}.mp4" for number in range(20)]


def test_a_table_with_our_columns_is_read_as_it_is(folder):
    touch(folder / "data", *CLIPS)
    write_table(folder / "data/list.tsv", ["path", "label"], *rows_of(lambda n, label: label), delimiter="\t")
    result = init("data/list.tsv")
    assert result.exit_code == 0, result.output
    raw = written(folder / "list.yaml")
    assert raw["corpus"] == {"name": "list", "kind": "table", "options": {"table": "list.tsv"}}
    assert raw["corpus_root"] == str(folder / "data") and not list(folder.glob("*.csv"))


def test_columns_of_other_names_are_written_to_a_table_of_our_own(folder):
    touch(folder / "data", *CLIPS)
    columns = rows_of(lambda n, label: f"s{n // 4}", lambda n, label: "dev" if n > 15 else "train",
                      lambda n, label: label.lower(), lambda n, label: n)  # fmt: skip
    write_table(folder / "data/list.csv", ["File", "Speaker", "Set", "Emotion", "age"], *columns, delimiter=";")
    result = init("data/list.csv")
    assert result.exit_code == 0, result.output
    assert "Wrote list.yaml and list_clips.csv." in result.output
    assert written(folder / "list.yaml")["corpus"]["options"] == {"table": str(folder / "list_clips.csv")}
    first, second, *_ = (folder / "list_clips.csv").read_text().splitlines()
    assert (first, second) == ("path,label,split,subject,age", "clips/00.mp4,happy,train,s0,0")
    assert "  clips    20: 16 train, 4 val" in result.output


def test_of_two_columns_of_classes_one_is_asked_for(folder, monkeypatch):
    touch(folder / "data", *CLIPS)
    table = rows_of(lambda n, label: label, lambda n, label: CLASSES[n % 7])
    write_table(folder / "data/list.csv", ["path", "intended", "perceived"], *table)
    question = f"Which column of {folder / 'data/list.csv'} is the label? (intended or perceived)"
    result = init("data/list.csv")
    assert f"{question} Not asked; taken: intended." in result.output and "2: 10 Happy, 10 Sad" in result.output
    result = init("data/list.csv", "--force", answers="other\nperceived\n\n", monkeypatch=monkeypatch)
    assert question in result.output and "'other' is none of intended, perceived." in result.output
    assert "classes  7: " in result.output


def test_files_of_one_name_get_an_id(folder):
    files = [f"clips/{number}/a.mp4" for number in range(20)]
    touch(folder, *files)
    write_table(folder / "list.csv", ["path", "emotion"], *zip(files, ["Happy", "Sad"] * 10, strict=True))
    assert init("list.csv").exit_code == 0
    assert (folder / "list_clips.csv").read_text().splitlines()[1] == "clips/0/a.mp4,Happy,clips__0__a"


def test_absolute_paths_are_made_relative(folder):
    touch(folder / "far", *CLIPS)
    rows = [[str(folder / "far" / path), label] for path, label in rows_of(lambda n, label: label)]
    write_table(folder / "list.csv", ["path", "label"], *rows)
    assert init("list.csv").exit_code == 0
    assert written(folder / "list.yaml")["corpus_root"] == str(folder / "far/clips")


def test_the_users_table_is_never_the_one_that_is_written(folder):
    touch(folder, *CLIPS)
    write_table(folder / "mine_clips.csv", ["path", "emotion"], *rows_of(lambda n, label: label))
    before = (folder / "mine_clips.csv").read_text()
    assert init("mine_clips.csv", "--output", "mine.yaml", "--force").exit_code == 0
    assert (folder / "mine_clips.csv").read_text() == before and (folder / "mine_clips_read.csv").is_file()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\n", "it has no rows"),
        ("path,label\na.mp4\n", "The header of the table .* has 2 columns, but the lines 2 have other numbers"),
        ("path,path\na.mp4,b.mp4\n", "two columns have the same name"),
        ("name,label\nx,Happy\n", "No column of the table .* can be the path; its columns are name, label. Expected"),
        ("path,label\na.mp4,3\n", "No column of the table .* can be the label; .* with classes alone"),
        ("path,label\nb.mp4,Happy\n", "The file b.mp4, which the column path of .* names, is neither in .* nor in"),
        ("path,label\n\udcff.mp4,Happy\n", "is not a CSV file in UTF-8"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(folder, text, message):
    path = folder / "list.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CorpusError, match=message):
        own = listing.read(path)
        for column in ("path", "label"):
            listing.refuse_without(own, column, own.candidates(column))
        own.root("path")
    assert init("list.csv").exit_code == 1 and not list(folder.glob("*.yaml"))


# --- the docs' own commands


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/config.md"])
def test_the_commands_of_the_docs(folder, page):
    """Each `emopipe init` is run, in a folder like the reader's, and then what the page says to run on its config."""
    touch(folder / "data/mine", *CLASSY)
    write_table(
        folder / "data/list.csv", ["path", "emotion"], *[[f"mine/{path}", path.split("/")[0]] for path in CLASSY]
    )
    touch(folder / "data/class", "bored/1.mp4", "bored/2.mp4", "engaged/1.mp4", "engaged/2.mp4")
    numbers = "".join(f"mine/{path},{number / 10},0\n" for number, path in enumerate(CLASSY[:10]))
    (folder / "data/numbers.csv").write_text(f"path,valence,arousal\n{numbers}")
    for words in commands_of(page, "emopipe", "init"):
        result = init(*(word.replace("/data", str(folder / "data")) for word in words), "--force")
        assert result.exit_code == 0 and written(folder / "mine.yaml")["run"] in ("mine", "list")
    for words in commands_of(page, "emopipe", "run"):
        if words[0] == "mine.yaml":
            known = get_argument_parser().parse_args(launch.command(words, folder)[3:])
            assert [path.name for path in known.configfile] == ["mine.yaml"] and not known.targets
    if page == "README.md":
        assert CliRunner().invoke(app, ["check", "mine.yaml"]).exit_code == 0


# --- parts


@pytest.mark.parametrize(
    ("source", "name"), [("/data/AFEW 7.0", "AFEW_7"), ("/x/list.csv", "list"), ("/x/..", "mine"), ("/x/ä", "mine")]
)
def test_names(source, name):
    assert starter.name_for(Path(source)) == name


@pytest.mark.slow
def test_a_few_clips_are_opened(tmp_path):
    paths = [write_clip(tmp_path / f"{number}.avi", audio="mp3" if number else None) for number in range(2)]
    (tmp_path / "2.avi").write_text("no video")
    look = lengths.look_at([*paths, tmp_path / "2.avi", tmp_path / "absent.avi"], 4)
    assert look.failed == 2 and look.with_sound == 1
    assert look.seconds == pytest.approx([1.0, 1.0], abs=0.25)


def test_at_most_so_many_clips_are_opened_evenly(monkeypatch):
    opened = []

    class Reader:
        def __init__(self, options):
            pass

        def __enter__(self):
            return lambda path: opened.append(path) or lengths.Media("undecodable")

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(lengths, "ClipReader", Reader)
    assert lengths.look_at(list(range(100)), 4) == Look([], 4, 0)
    assert opened == [0, 25, 50, 75]


def test_the_shipped_config_is_ten_lines_and_trains_no_network():
    text = (REPOSITORY / "configs/folder.yaml").read_text()
    assert len(text.splitlines()) == 10
    raw = yaml.safe_load(text)
    assert all("pretrain" not in block for block in raw["backbones"].values())
    assert text in (REPOSITORY / "README.md").read_text()
