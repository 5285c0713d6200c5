"""Corpora in other layouts: each message gives options, and with these options the corpus is read."""

import re
import unicodedata
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from typer.testing import CliRunner

from emopipe import corpora
from emopipe.commands.main import app
from emopipe.core.errors import ConfigError, CorpusError
from emopipe.corpora import recognition
from emopipe.corpora.ids import safe_id
from emopipe.inference.inputs import expand
from emopipe.media import lengths
from emopipe.workflow import config as configs
from emopipe.workflow import preconditions, scan
from emopipe.workflow.plan import Plan
from tests.pages import REPOSITORY
from tests.unit.test_files_taken import put, wav

CLASSES = ("anger", "happiness", "sadness")
TORONTO = ("angry", "Fear", "Pleasant_surprise")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    return tmp_path / "corpus"


def fill(root, *paths):
    """Sounds that all differ."""
    for number, path in enumerate(paths):
        put(root, path, wav(0.1 + number / 1000))


def read(root, kind="folder", **options):
    return corpora.scan(kind, root, corpora.options_class(kind)(**options))


def refused(root, kind="folder", **options):
    with pytest.raises(CorpusError) as error:
        read(root, kind, **options)
    return str(error.value)


def advised(message):
    """The options that a message gives, as YAML reads them."""
    return yaml.safe_load("{" + re.search(r"set ([a-z_]+: .*?) in the corpus options", message)[1] + "}")


def planned(root, kind, **options):
    """The clip table of a whole plan: the config is accepted, and enough clips are there."""
    config = configs.parse({
        "run": "a", "corpus": {"name": "a", "kind": kind, "options": options}, "corpus_root": str(root),
        "decode": {"one": {"policy": "count", "count": 1}},
        "backbones": {"voice": {"kind": "speech", "weights": "speech_logmel"}},
    })  # fmt: skip
    table = scan.scan(config)
    preconditions.check_clips(config, table)
    assert Plan(config, table, REPOSITORY / "workflow_scripts").corpus()["rows"]
    return table


def column(table, name):
    return dict(zip(table["path"], table[name], strict=True))


# --- classes and people anywhere in the path

LAYOUTS = {
    "person first": (
        [f"subject {n}/{c}/s{n}_{c}.wav" for n in (1, 2, 3) for c in CLASSES],
        {"subject 1/anger/s1_anger.wav": ("Angry", "subject 1")},
    ),
    "person first, equal names": (
        [f"S{n}/{c}/{k}.wav" for n in (1, 2) for c in CLASSES for k in "ab"],
        {"S2/sadness/b.wav": ("Sad", "S2")},
    ),
    "data set, person, session, class": (
        [f"Data/P{n}/session {k}/{c}/{c}{n}{k}.wav" for n in (1, 2) for k in (1, 2) for c in CLASSES],
        {"Data/P1/session 2/anger/anger12.wav": ("Angry", "P1")},
    ),
    "class in the folder's name": (
        [f"{p}_{c}/{p}_{w}_{c}.wav" for p in ("OAF", "YAF") for c in TORONTO for w in "xy"],
        {"YAF_Pleasant_surprise/YAF_x_Pleasant_surprise.wav": ("Surprise", "YAF")},
    ),
    "numbered classes": (
        [f"{n}-{c}/{c}{k}.wav" for n, c in enumerate(CLASSES) for k in "abc"],
        {"1-happiness/happinessa.wav": ("Happy", "")},
    ),
    "class in the file's name": (
        [f"{p}_{c}_{k}.wav" for p in ("ann", "bob") for c in CLASSES for k in (1, 2)],
        {"bob_sadness_2.wav": ("Sad", "bob")},
    ),
    "class at the end of the file's name": (
        [f"wavs/{p}-{k}-{c}.wav" for p in ("a1", "a2") for c in CLASSES for k in ("x-1", "y")],
        {"wavs/a1-x-1-anger.wav": ("Angry", "a1")},
    ),
    "other classes as well": (
        [f"{p}/{c}/{p}{c}.wav" for p in ("a1", "a2") for c in (*CLASSES, "calm")],
        {"a2/anger/a2anger.wav": ("Angry", "a2")},
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_layout_is_refused_with_options_that_fit(root, layout):
    paths, expected = LAYOUTS[layout]
    fill(root, *paths)
    message = refused(root)
    assert f"but another layout fits all {len(paths)} paths: set pattern: '" in message and "As it is: " in message
    table = planned(root, "folder", **advised(message))
    for path, (label, subject) in expected.items():
        assert column(table, "label")[path] == label
        assert column(table, "subject")[path] == subject
    assert len(table) == len(paths) - sum("calm" in path for path in paths)


def test_no_layout_is_advised_where_none_fits(root):
    fill(root, "x/a.wav", "y/b.wav", "Happy/c.wav")
    assert "another layout" not in refused(root)
    assert "The class 'x' of the clip x/a.wav" in refused(root)


def test_a_pattern_gives_class_person_and_split(root):
    fill(root, *(f"{s}ing set/{p}/{c}/{p}{c}.wav" for s, p in (("train", "p1"), ("test", "p2")) for c in CLASSES))
    pattern = "^(?P<split>[a-z]+)ing set/(?P<subject>[^/]+)/(?P<label>[^/]+)/"
    table = planned(root, "folder", pattern=pattern)
    assert column(table, "split")["training set/p1/anger/p1anger.wav"] in ("train", "val")
    assert column(table, "split")["testing set/p2/anger/p2anger.wav"] == "test"
    assert set(table["subject"]) == {"p1", "p2"} and set(table["label"]) == {"Angry", "Happy", "Sad"}


def test_a_pattern_of_people_alone_leaves_classes_to_the_folders(root):
    fill(root, *(f"{s}/{c}/S0{n}/{n}.wav" for s, n in (("train", 1), ("val", 2)) for c in ("Happy", "Sad")))
    message = refused(root, clip_id="path", subject_pattern=r"(?P<subject>S\d+)")
    assert r"set pattern: '(?P<subject>S\d+)' in the corpus options, and remove subject_pattern." in message
    table = planned(root, "folder", clip_id="path", **advised(message))
    assert column(table, "subject") == {path: path.split("/")[2] for path in table["path"]}
    assert column(table, "split") == {path: path.split("/")[0] for path in table["path"]}


def test_paths_that_do_not_match_are_named(root):
    fill(root, "a/Happy/1.wav", "b/Sad/2.wav", "odd.wav")
    message = refused(root, pattern="^(?P<subject>[^/]+)/(?P<label>[^/]+)/")
    assert message.startswith("1 of 3 paths do not match pattern '^(?P<subject>[^/]+)/(?P<label>[^/]+)/': odd.wav. ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pattern": "("}, "is not a regular expression"),
        ({"pattern": "abc"}, "has no named group. Expected one or more of label, subject, split, as in"),
        ({"pattern": "(?P<class>a)"}, "has the groups class. Expected"),
        ({"pattern": "(?P<subject>a)", "subject_pattern": "(?P<subject>b)"}, "both give the subject"),
    ],
)
def test_wrong_patterns_are_refused(options, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        corpora.options_class("folder")(**options)


# --- a sound beside its video


@pytest.mark.parametrize(
    "paths",
    [
        ["Happy/a.mp4", "Happy/a.wav", "Sad/b.mp4", "Sad/b.wav", "Sad/c.wav"],
        ["train/Happy/video/a.avi", "train/Happy/audio/a.flac", "val/Sad/b.mkv", "val/Sad/b.m4a", "val/Sad/c.wav"],
    ],
)
def test_a_sound_beside_its_video(root, paths):
    fill(root, *paths)
    message = refused(root)
    assert message.startswith("2 sound files stand beside videos of the same name, such as ")
    assert f"such as {paths[1]} beside {paths[0]}. Set beside in the corpus options: video uses" in message
    assert set(planned(root, "folder", beside="video")["path"]) == {paths[0], paths[2], paths[4]}
    assert set(planned(root, "folder", beside="audio")["path"]) == {paths[1], paths[3], paths[4]}


def test_two_videos_of_one_name_need_a_path_or_another_name(root):
    fill(root, "Happy/a.mp4", "Happy/a.avi", "Sad/b.wav")
    assert "Set clip_id: path in the corpus options." in refused(root)
    assert "Rename one of them, or move it out of the corpus." in refused(root, clip_id="path")


# --- classes of other corpora

IEMOCAP = ("ang", "hap", "sad", "neu", "exc", "fru", "xxx", "oth", "fea", "sur", "dis")


def as_folder(root, codes):
    fill(root, *(f"{code}/{code}{n}.wav" for code in codes for n in range(3)))
    return "folder"


def as_table(root, codes):
    fill(root, *(f"{code}{n}.wav" for code in codes for n in range(3)))
    lines = "".join(f"{code}{n}.wav,{code}\n" for code in codes for n in range(3))
    (root / "clips.csv").write_text(f"path,label\n{lines}")
    return "table"


both = pytest.mark.parametrize("made", [as_folder, as_table])


@pytest.mark.slow
@both
def test_codes_of_iemocap(root, made):
    kind = made(root, IEMOCAP)
    message = refused(root, kind)
    assert "is not one of the seven." in message and "Or set others: exclude, which omits all clips" in message
    assert len(planned(root, kind, others="exclude")) == 3 * 7
    table = planned(root, kind, others="exclude", labels={"exc": "Happy", "fru": "anger"})
    assert table["label"].value_counts()[["Happy", "Angry"]].tolist() == [6, 6]
    table = planned(root, kind, labels={"exc": "Happy", "fru": "", "xxx": "", "oth": ""})
    assert len(table) == 3 * 8


@both
def test_codes_that_nobody_knows(root, made):
    kind = made(root, ("1", "2", "ps"))
    message = refused(root, kind)
    assert 'Set labels in the corpus options, such as labels: {"1": Happy} (an empty text omits its clips).' in message
    options = yaml.safe_load("{labels: {1: Happy, 2: sadness, PS: ''}}")
    table = planned(root, kind, **options)
    assert column(table, "label") == {
        path: "Happy" if path.split("/")[-1][0] == "1" else "Sad" for path in table["path"]
    }
    assert "The option labels has the class 'x', but the corpus has the classes 1, 2, ps" in refused(
        root, kind, labels={"1": "Happy", "x": "Sad"}
    )


@both
def test_labels_replace_what_a_name_means_by_default(root, made):
    kind = made(root, ("Calm", "Happy", "Sad"))
    assert sorted(set(planned(root, kind, labels={"calm": "Neutral"})["label"])) == ["Happy", "Neutral", "Sad"]
    with pytest.raises(ConfigError, match=r"corpus\.options\.labels\.Calm: The class 'calmer' is unknown"):
        planned(root, kind, labels={"Calm": "calmer"})


# --- a corpus that was unpacked twice


@pytest.mark.parametrize(
    ("kind", "options", "paths", "folder"),
    [
        ("ravdess", {"modality": "audio"}, [f"Actor_01/03-01-0{e}-01-01-0{n}-01.wav" for e in (3, 4) for n in (1, 2)],
         "all"),
        ("emodb", {}, [f"wav/{s}a01{e}a.wav" for s in ("03", "08", "09") for e in "FT"], "EmoDB/copy"),
        ("cremad", {"modality": "audio"}, [f"AudioWAV/100{n}_DFA_{e}_XX.wav" for n in (1, 2) for e in ("ANG", "SAD")],
         "x"),
        ("folder", {}, [f"Happy/h{n}.wav" for n in range(3)] + [f"Sad/s{n}.wav" for n in range(3)], "copy (2)"),
        ("folder", {}, [f"a/Happy/h{n}.wav" for n in range(3)] + [f"a/Sad/s{n}.wav" for n in range(3)], "old"),
    ],
)  # fmt: skip
def test_a_corpus_that_was_unpacked_twice(root, kind, options, paths, folder):
    for number, path in enumerate(paths):
        for name in (path, f"{folder}/{path}"):
            put(root, name, wav(0.1 + number / 100))
    message = refused(root, kind, **options)
    assert f"The folder {folder} repeats the corpus folder itself: {len(paths)} files have the same names" in message
    advice = advised(message)
    assert advice == {"omit_folders": [folder]}
    assert sorted(planned(root, kind, **options, **advice)["path"]) == sorted(paths)


def test_folders_beside_each_other_that_repeat_each_other(root):
    for number, path in enumerate(f"{c}/{c}{n}.wav" for c in ("Happy", "Sad") for n in range(3)):
        for top in ("one", "two"):
            put(root, f"{top}/{path}", wav(0.1 + number / 100))
    message = refused(root)
    assert message.startswith("The folder two repeats the folder one: 6 files have the same names in both.")
    assert len(planned(root, "folder", **advised(message))) == 6


def test_people_with_equal_file_names_are_no_copies(root):
    fill(root, *(f"{p}/{c}/{n}.wav" for p in ("one", "two") for c in ("Happy", "Sad") for n in range(3)))
    assert "repeats" not in refused(root)


@pytest.mark.parametrize("kind", ["folder", "ravdess", "cremad", "emodb"])
def test_a_folder_to_omit_must_exist(root, kind):
    fill(root, "a/b.wav")
    assert "The corpus option omit_folders names 'nowhere', which is not a folder in" in refused(
        root, kind, omit_folders=["nowhere"]
    )


# --- splits that share people

CAST = "path,label,split,subject\n1.wav,joy,train,Ann\n2.wav,anger,train,Bob\n3.wav,joy,dev,Ann\n4.wav,sad,test,Ann\n"


def test_official_splits_that_share_people_in_a_table(root):
    fill(root, *(f"{n}.wav" for n in range(1, 5)))
    (root / "clips.csv").write_text(CAST)
    message = refused(root, "table")
    assert message.startswith("The subject 'Ann' is in the splits test and train and val. ")
    assert "set shared_subjects: keep in the corpus options to use the splits as they are: scores then say" in message
    table = planned(root, "table", **advised(message))
    assert table["split"].tolist() == ["train", "train", "val", "test"]


def test_official_splits_that_share_people_in_folders(root):
    fill(root, *(f"{s}/{c}/{p}_{c}{s}.wav" for s in ("train", "val") for c in ("Happy", "Sad") for p in ("ann", "bob")))
    pattern = {"subject_pattern": "^(?P<subject>[a-z]+)_"}
    message = refused(root, **pattern)
    assert "The subject 'ann' is in the splits train and val (and 1 more like it)." in message
    planned(root, "folder", **pattern, **advised(message))


@pytest.mark.slow
def test_the_price_stands_in_the_tables(root):
    fill(root, *(f"{n}.wav" for n in range(1, 5)))
    (root / "clips.csv").write_text(CAST)
    raw = {
        "run": "a", "corpus": {"name": "a", "kind": "table", "options": {"shared_subjects": "keep"}},
        "corpus_root": str(root), "decode": {"one": {"policy": "count", "count": 1}},
        "backbones": {"voice": {"kind": "speech", "weights": "speech_logmel"}},
    }  # fmt: skip
    config = configs.parse(raw)
    plan = Plan(config, scan.scan(config), REPOSITORY / "workflow_scripts")
    assert plan.report()["remarks"] == [
        "1 person is in several splits (Ann): scores say how well models know these people, which is usually better "
        "than how well they do with others."
    ]
    config = configs.parse({**raw, "protocol": {"kind": "kfold"}})
    assert "remarks" not in Plan(config, scan.scan(config), REPOSITORY / "workflow_scripts").report()


# --- tables as spreadsheets write them

PLAIN = "path,label\nHappy/1.wav,happy\nSad/2.wav,sad\n"
SPREADSHEETS = {
    "sep line": "sep=,\r\n" + PLAIN,
    "sep line, semicolons, byte order mark": "\ufeffsep=;\r\n" + PLAIN.replace(",", ";").replace("\n", "\r\n"),
    "quoted sep line, another separator": '"sep=|"\n' + PLAIN.replace(",", "|"),
    "semicolons": PLAIN.replace(",", ";"),
    "tabs": PLAIN.replace(",", "\t"),
    "empty columns": PLAIN.replace("\n", ",,,\n"),
    "empty cells after the rows alone": "path,label\nHappy/1.wav,happy,,\nSad/2.wav,sad,\n",
    "empty names after the header alone": PLAIN.replace("label", "label,,"),
    "an empty column in front, empty lines": "\n,path,label\n,Happy/1.wav,happy\n,,\n,Sad/2.wav,sad\n",
    "backslashes": PLAIN.replace("/", "\\"),
    "dot and backslash": PLAIN.replace("Happy/", ".\\Happy\\"),
    "byte order mark": "\ufeff" + PLAIN,
}


@pytest.mark.slow
@pytest.mark.parametrize("made", SPREADSHEETS)
def test_tables_as_spreadsheets_write_them(root, made):
    fill(root, "Happy/1.wav", "Sad/2.wav")
    (root / "clips.csv").write_bytes(SPREADSHEETS[made].encode())
    table = planned(root, "table")
    assert table[["clip", "path", "label"]].to_numpy().tolist() == [
        ["1", "Happy/1.wav", "Happy"],
        ["2", "Sad/2.wav", "Sad"],
    ]
    assert {path.removeprefix(f"{root}/") for path in expand(root / "clips.csv")} == {"Happy/1.wav", "Sad/2.wav"}


def test_a_file_whose_name_has_a_backslash_is_that_file(root):
    fill(root, "a\\b.wav", "a/b.wav", "c.wav")
    (root / "clips.csv").write_text("path,label,clip\na\\b.wav,happy,x\nc.wav,sad,y\n")
    assert planned(root, "table")["path"].tolist() == ["a\\b.wav", "c.wav"]


@pytest.mark.parametrize(("of_table", "of_disk"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_are_compared_by_their_normalised_form(root, of_table, of_disk):
    names = ["Grüße.wav", "Straße/Łódź é.wav", "2.wav"]
    fill(root, *(unicodedata.normalize(of_disk, name) for name in names))
    rows = "".join(
        f"{unicodedata.normalize(of_table, name)},{label}\n" for name, label in zip(names, CLASSES, strict=True)
    )
    (root / "clips.csv").write_text(f"path,label\n{rows}")
    table = planned(root, "table")
    assert set(table["path"]) == {unicodedata.normalize(of_disk, name) for name in names}
    assert unicodedata.normalize(of_table, "Grüße") in table["clip"].tolist()
    assert all((root / path.removeprefix(f"{root}/")).exists() for path in expand(root / "clips.csv"))


def test_names_of_which_two_files_are_a_form_are_not_guessed(root):
    fill(root, *(unicodedata.normalize(form, "q\u0323\u0307.wav") for form in ("NFC", "NFD")), "q\u0307\u0323.wav")
    (root / "clips.csv").write_text("path,label\nq\u0323\u0307\u0301.wav,happy\n")
    assert "are not in the corpus folder" in refused(root, "table")
    fill(root, "\u212b.wav", "\u00c5.wav")  # the sign of a unit, and the letter
    (root / "clips.csv").write_text("path,label\nA\u030a.wav,happy\n")
    assert "are not in the corpus folder" in refused(root, "table")
    (root / "clips.csv").write_text("path,label\n\u212b.wav,happy\n")
    assert read(root, "table")["path"].tolist() == ["\u212b.wav"]


@pytest.mark.slow
@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize(("of_table", "of_disk"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC")])
def test_parts_of_files_in_tables_as_spreadsheets_write_them(root, separator, of_table, of_disk):
    fill(root, unicodedata.normalize(of_disk, "Gespräche/Jörg.wav"), "b.wav")
    rows = [["path", "label", "start", "", "end", ""], ["Gespräche\\Jörg.wav", "happy", "0:00", "", "0.05", ""]]
    rows += [["Gespräche\\Jörg.wav", "sad", "0.05", "", "", ""], ["b.wav", "fear", "", "", "", ""]]
    text = "\r\n".join(map(separator.join, rows))
    (root / "clips.csv").write_bytes(f"\ufeffsep={separator}\r\n{unicodedata.normalize(of_table, text)}".encode())
    table, path = planned(root, "table"), unicodedata.normalize(of_disk, "Gespräche/Jörg.wav")
    assert table[["path", "label", "start", "end"]].to_numpy().tolist() == [
        [path, "Happy", "0", "0.05"],
        [path, "Sad", "0.05", ""],
        ["b.wav", "Fear", "", ""],
    ]
    # The ids are those of the table's own spelling, whatever the disk's is.
    name = unicodedata.normalize(of_table, "Gespräche/Jörg.wav")
    assert table["clip"].tolist() == [safe_id(f"{name}#t=0,0.05"), safe_id(f"{name}#t=0.05"), "b"]
    assert [file.removeprefix(f"{root}/") for file in expand(root / "clips.csv")] == [
        f"{path}#t=0,0.05", f"{path}#t=0.05", "b.wav",
    ]  # fmt: skip


@pytest.mark.slow
def test_init_keeps_parts_of_a_table_of_other_columns(root):
    fill(root, *(f"talks/{name}.wav" for name in "abc"))
    rows = [f"talks\\{n}.wav;{('joy', 'anger')[t % 2]};0.0{t};0.0{t + 2}" for n in "abc" for t in range(6)]
    Path("mine.csv").write_text("\n".join(["sep=;", "Datei;emotion;Onset;Offset", *rows]))
    for path in list(root.iterdir()):
        path.rename(Path(path.name))
    result = CliRunner().invoke(app, ["init", "mine.csv", "--yes"])
    assert result.exit_code == 0, result.output
    assert "18 of the clips are parts of files: talks/a.wav, talks/b.wav, talks/c.wav" in result.output
    assert Path("mine_clips.csv").read_text().splitlines()[:2] == ["path,label,start,end", "talks/a.wav,joy,0.00,0.02"]


# --- clips without classes


@pytest.mark.parametrize("paths", [("a.wav", "b.wav"), ("talk one.wav", "talk two.wav")])
def test_a_folder_that_no_layout_fits_is_unlabelled(root, paths):
    fill(root, *paths)
    assert read(root)[["split", "label"]].to_numpy().tolist() == [["test", ""]] * 2
    assert read(root, pattern=r"(?P<subject>\w)[^/]*$")["subject"].all()


@pytest.mark.parametrize("paths", [("ann_happy_1.wav", "ben_sad_1.wav"), ("in/anger-1.wav", "in/fear-1.wav")])
def test_a_folder_whose_names_give_classes_is_not_unlabelled(root, paths):
    fill(root, *paths)
    for lenient in (True, False):
        with pytest.raises(CorpusError, match=r"another layout fits all 2 paths: set pattern: "):
            corpora.scan("folder", root, corpora.options_class("folder")(), lenient=lenient)
    assert read(root, **advised(refused(root)))["label"].isin(["Happy", "Sad", "Angry", "Fear"]).all()


def test_others_and_a_line_of_a_wrong_length(root):
    fill(root, "1.wav", "2.wav", "3.wav")
    (root / "clips.csv").write_text("path,label\n1.wav,happy\n2.wav,sad\n3.wav,contempt\n")
    assert "Or set others: exclude" in refused(root, "table")
    assert planned(root, "table", others="exclude")["path"].tolist() == ["1.wav", "2.wav"]
    (root / "clips.csv").write_text("sep=,\npath,label,,\n1.wav,happy,,\n2.wav,sad,x,\n")
    assert "has 2 columns, but the lines 4 have other numbers of cells" in refused(root, "table")


# --- emopipe init


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_init_finds_other_layouts(root, layout):
    paths, expected = LAYOUTS[layout]
    fill(root, *paths)
    found = recognition.in_folder(root)
    assert found.kind == "folder" and "pattern" in found.options
    assert {
        path: (column(found.table, "label")[path], column(found.table, "subject")[path]) for path in expected
    } == expected


@pytest.mark.slow
def test_init_writes_what_it_takes(root, monkeypatch):
    monkeypatch.setattr(lengths, "look_at", lambda paths: lengths.Look([1.0], 0, 1))
    fill(root, *(f"{c}/{c}{n}{x}" for c in ("Happy", "Sad") for n in range(9) for x in (".mp4", ".wav")))
    put(root, "Sad/x.xyz", b"text")
    result = CliRunner().invoke(app, ["init", "corpus", "--yes"])
    assert result.exit_code == 0, result.output
    assert "kind     folder (beside: video)" in result.output and "clips    18: " in result.output
    assert "others   1 .xyz" in result.output
    assert configs.read(Path("corpus.yaml"))["corpus"]["options"] == {"beside": "video"}
    for name in ("Happy/Happy1.mp4", "Happy/Happy2.mp4"):
        put(root, name.replace("Happy", "Sad", 1), (root / name).read_bytes())
    result = CliRunner().invoke(app, ["init", "corpus", "--yes", "--force"])
    assert result.exit_code == 0, result.output
    assert "4 clips share 2 contents across splits or labels, such as Happy/Happy1.mp4" in result.output
    assert "Not asked; taken: exclude." in result.output
    assert configs.read(Path("corpus.yaml"))["corpus"]["duplicates"] == "exclude"
    assert CliRunner().invoke(app, ["check", "corpus.yaml"]).exit_code == 0


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("sep=;\nfile;emotion;;\n1.wav;happy;;\n2.wav;sad;;\n3.wav;happy;;\n4.wav;sad;;\n", {}),
        ("path,label\n1.wav,happy\n2.wav,sad\n3.wav,happy\n4.wav,sad\n5.wav,contempt\n", {"others": "exclude"}),
    ],
)
def test_init_reads_tables_as_spreadsheets_write_them(root, monkeypatch, text, options):
    monkeypatch.setattr(lengths, "look_at", lambda paths: lengths.Look([1.0], 0, 1))
    fill(root, *(f"{n}.wav" for n in range(1, 6)))
    (root / "list.csv").write_text(text)
    result = CliRunner().invoke(app, ["init", "corpus/list.csv", "--yes"])
    assert result.exit_code == 0, result.output
    written = configs.read(Path("list.yaml"))["corpus"]["options"]
    assert {name: value for name, value in written.items() if name != "table"} == options
    assert CliRunner().invoke(app, ["check", "list.yaml"]).exit_code == 0
