"""Scans of made trees of empty files: the adapters read names, never media."""

import re
import subprocess
import sys

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from emopipe import corpora
from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    return folder


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def scan(kind, root, **options):
    return corpora.scan(kind, root, corpora.options_class(kind)(**options))


def column(table, name):
    return dict(zip(table["clip"], table[name], strict=True))


# The registry


@pytest.mark.slow
def test_kinds_are_loaded_only_when_asked_for():
    code = "import sys, emopipe.corpora as c; print(*[r for r in c.KINDS.values() if r.module in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_kind_is_told_in_the_config():
    from emopipe.commands.main import app  # here: adapters know nothing of configs and commands
    from emopipe.workflow.config import CorpusBlock

    command = re.search("`emopipe (.*)`", CorpusBlock.model_json_schema()["properties"]["kind"]["description"])[1]
    section = CliRunner().invoke(app, [command]).output.partition("Corpora of clips")[2].partition("\n\n")[0]
    assert {line.split()[0] for line in section.splitlines()[1:]} == set(corpora.KINDS)


def test_unknown_kind_and_missing_root(tmp_path):
    with pytest.raises(CorpusError, match=r"no corpus of kind 'afeww'\. Did you mean afew\?"):
        corpora.options_class("afeww")
    with pytest.raises(CorpusError, match=r"corpus folder .*nowhere does not exist: correct its path"):
        scan("afew", tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["cremad", "emodb", "folder", "ravdess"])
def test_empty_corpus_is_told(root, kind):
    with pytest.raises(CorpusError, match=r"found in .*Expected.*Check corpus_root"):
        scan(kind, root)


# AFEW

AFEW = (
    "Train_AFEW/Angry/000046280.avi",
    "Train_AFEW/Happy/000000001.avi",
    "Val_AFEW/Sad/012345678.avi",
)


@pytest.mark.parametrize("test_folder", ["Test_vid_Distribute", "Test_vid_Distribute/Test_vid_Distribute"])
def test_afew_as_distributed(root, test_folder):
    touch(root, *AFEW, f"{test_folder}/000900.avi")
    table = scan("afew", root)
    assert table["clip"].tolist() == ["000000001", "000046280", "000900", "012345678"]
    assert table["split"].tolist() == ["train", "train", "test", "val"]
    assert table["label"].tolist() == ["Happy", "Angry", "", "Sad"]
    assert table["path"][2] == f"{test_folder}/000900.avi"
    assert set(table["subject"]) == {""}


@pytest.mark.parametrize("header", ["clip,subject", "id,split,speaker", "ID;actor"])
def test_afew_with_a_table_of_people(root, header):
    """The table that stands beside the corpus of `make_paired_corpus.py` has the columns id, split, label, speaker."""
    touch(root, *AFEW, "Test_vid_Distribute/000900.avi")
    between = ";" if ";" in header else ","
    middle = [""] * (header.count(between) - 1)
    rows = [("000046280", "Actor_09"), ("000000001", "Actor_10"), ("012345678", "Actor_13")]
    text = "\n".join([header, *(between.join([clip, *middle, who]) for clip, who in rows)])
    (root.parent / "corpus.truth.csv").write_text(text)
    table = scan("afew", root, groups="../corpus.truth.csv")
    assert column(table, "subject") == dict(rows) | {"000900": ""}
    assert column(table, "split") == column(scan("afew", root), "split")
    assert set(scan("afew", root)["subject"]) == {""}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "g.csv",
            "clip,subject\n000046280,a\n9,b\n",
            r"lists 1 clips that the corpus .* does not have: 9\. Expected ids",
        ),
        ("g.csv", "clip,person\n000046280,a\n", r"has the columns clip, person\. Expected one of clip, id and one of"),
        ("g.csv", "name,subject\n000046280,a\n", r"Expected one of clip, id and one of subject, speaker, actor"),
        ("g.csv", "clip,subject\n000046280,a\n000046280,b\n", r"several people for the clips 000046280"),
        ("g.csv", "clip,subject\n000046280,a\n012345678,a\n", r"subject 'a' is in the splits train and val"),
        ("g.txt", "clip,subject\n000046280,a\n", r"g\.txt \(corpus option groups\) is neither \.csv nor \.tsv"),
        ("g.csv", None, r"g\.csv \(corpus option groups\) does not exist"),
    ],
)
def test_a_table_of_people_that_is_wrong_is_refused(root, name, text, message):
    touch(root, *AFEW)
    if text:
        (root / name).write_text(text)
    with pytest.raises(CorpusError, match=message):
        scan("afew", root, groups=name)


def test_people_of_a_table_may_be_in_two_splits_if_the_options_say_so(root):
    touch(root, *AFEW)
    (root / "g.csv").write_text("clip,subject\n000046280,a\n012345678,a\n")
    found = column(scan("afew", root, groups="g.csv", shared_subjects="keep"), "subject")
    assert found == {"000046280": "a", "000000001": "", "012345678": "a"}


def test_a_folder_with_a_table_of_people_is_split_by_them(root):
    clips = [f"{label}/{who}{number}.mp4" for label in ("Happy", "Sad") for who in "abcd" for number in range(2)]
    touch(root, *(path.replace("/", f"/{path[0]}") for path in clips))
    rows = [f"{path[0]}{path.split('/')[1][:-4]},{path.split('/')[1][0]}" for path in clips]
    (root / "g.csv").write_text("\n".join(["clip,subject", *rows]))
    table = scan("folder", root, groups="g.csv")
    assert set(table["subject"]) == {*"abcd"} and set(table["split"]) == {"train", "val"}
    assert (table.groupby("subject")["split"].nunique() == 1).all()
    with pytest.raises(ValidationError, match="subject_pattern and groups both give the subject"):
        corpora.options_class("folder")(groups="g.csv", subject_pattern="(?P<subject>.)")


def test_afew_every_class_in_any_case(root):
    touch(root, *(f"train_afew/{c.upper()}/{i}.MP4" for i, c in enumerate(CLASSES)), "Val_AFEW/sadness/x.mkv")
    assert column(scan("afew", root), "label") == dict(zip("0123456", CLASSES, strict=True)) | {"x": "Sad"}


def test_afew_passes_over_what_is_no_clip(root):
    touch(root, *AFEW, "Train_AFEW/Angry/.DS_Store", "Train_AFEW/Angry/._1.avi", "Train_AFEW/readme.txt")
    touch(root, "Train_AFEW/AlignedFaces/1/001.jpg", "Val_AFEW/.hidden/x.avi", "notes/extra.avi")
    assert len(scan("afew", root)) == 3


@pytest.mark.parametrize("missing", ["Train_AFEW", "Val_AFEW"])
def test_afew_missing_folder(root, missing):
    touch(root, *(path for path in AFEW if not path.startswith(missing)))
    with pytest.raises(CorpusError, match=rf"Expected AFEW's folder {missing} in it\. Set corpus_root"):
        scan("afew", root)


def test_afew_empty_folder(root):
    touch(root, *AFEW[:2])
    (root / "Val_AFEW" / "Sad").mkdir(parents=True)
    with pytest.raises(CorpusError, match=r"Val_AFEW has no video files\. Expected Val_AFEW/<Class>/<id>\.avi"):
        scan("afew", root)


def test_afew_unknown_class_is_named_with_how_many_more(root):
    touch(root, *AFEW, "Train_AFEW/Angri/1.avi", "Train_AFEW/Angri/2.avi", "Val_AFEW/Contempt/3.avi")
    message = r"'Angri' of the clip Train_AFEW/Angri/1.avi \(and 2 more clips .*Did you mean Angry\?$"
    with pytest.raises(CorpusError, match=message):
        scan("afew", root)


def test_afew_clip_outside_of_a_class_folder(root):
    touch(root, *AFEW, "Train_AFEW/1.avi")
    with pytest.raises(CorpusError, match=r"The class 'Train_AFEW' of the clip Train_AFEW/1\.avi is unknown"):
        scan("afew", root)


def test_afew_duplicate_ids(root):
    touch(root, *AFEW, "Val_AFEW/Happy/000000001.avi")
    with pytest.raises(CorpusError, match=r"'000000001' .*Train_AFEW/Happy/000000001.avi, Val_AFEW/Happy"):
        scan("afew", root)


def test_links_are_followed_but_not_in_circles(root, tmp_path):
    touch(tmp_path / "disk", "Angry/1.avi")
    touch(root, "Val_AFEW/Sad/2.avi")
    (root / "Train_AFEW").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "Angry" / "again").symlink_to(tmp_path / "disk")
    assert scan("afew", root)["clip"].tolist() == ["1", "2"]


def test_links_to_each_other_are_no_circle_to_run_in(root):
    touch(root, "Happy/1.avi", "Sad/2.avi", "Sad/3.avi")
    (root / "Happy/other").symlink_to(root / "Sad")
    (root / "Sad/other").symlink_to(root / "Happy")
    found = scan("folder", root, clip_id="path")["path"].tolist()
    assert found == [
        "Happy/1.avi",
        "Happy/other/2.avi",
        "Happy/other/3.avi",
        "Sad/2.avi",
        "Sad/3.avi",
        "Sad/other/1.avi",
    ]


# RAVDESS


def ravdess(*actors, emotions=range(1, 9), modality="01", channel="01", extension="mp4"):
    return [
        f"Actor_{actor}/{modality}-{channel}-{emotion:02d}-01-01-{repetition}-{actor}.{extension}"
        for actor in actors
        for emotion in emotions
        for repetition in ("01", "02")
    ]


def test_ravdess_names(root):
    touch(root, "01-01-05-02-01-02-07.mp4", "deep/er/01-02-06-01-02-01-07.mp4")
    table = scan("ravdess", root)
    assert table.iloc[0].to_dict() == {
        "clip": "01-01-05-02-01-02-07",
        "path": "01-01-05-02-01-02-07.mp4",
        "split": "val",
        "label": "Angry",
        "subject": "07",
        "channel": "speech",
        "intensity": "strong",
        "sentence": "01",
        "repetition": "02",
        "sex": "male",
        "split_by": "repetition",
    }
    assert table.iloc[1][["split", "label", "channel", "sentence"]].tolist() == [
        "train",
        "Fear",
        "song",
        "02",
    ]
    assert len(scan("ravdess", root, channel="song")) == 1


def test_ravdess_calm(root):
    touch(root, *ravdess("01"))
    assert len(scan("ravdess", root)) == 14
    assert list(column(scan("ravdess", root, calm="neutral"), "label").values()).count("Neutral") == 4


def test_ravdess_one_modality_of_each_take(root):
    touch(root, *ravdess("01"), *ravdess("01", modality="02"), *ravdess("01", modality="03", extension="wav"))
    for modality, first in (("av", "01"), ("video", "02"), ("audio", "03")):
        table = scan("ravdess", root, modality=modality)
        assert len(table) == 14 and set(table["clip"].str[:2]) == {first}


def test_ravdess_splits(root):
    touch(root, *ravdess("01", "02", "03", "24"))
    auto = scan("ravdess", root)
    assert auto.groupby("subject")["sex"].first().tolist() == ["male", "female", "male", "female"]
    assert sorted(auto.groupby("subject")["split"].first()) == ["train", "train", "train", "val"]
    listed = scan("ravdess", root, val_subjects=["02"], test_subjects=[24])
    assert listed.groupby("subject")["split"].first().tolist() == ["train", "val", "train", "test"]
    by_repetition = scan("ravdess", root, split="repetition")
    assert set(zip(by_repetition["repetition"], by_repetition["split"], strict=True)) == {
        ("01", "train"),
        ("02", "val"),
    }
    assert set(scan("ravdess", root, split="stratified")["split"]) == {"train", "val"}


def test_ravdess_errors(root):
    touch(root, *ravdess("01"))
    with pytest.raises(CorpusError, match=r"subjects 9 of .*corpus has the subjects 01\. .*quotes"):
        scan("ravdess", root, val_subjects=[9])
    with pytest.raises(CorpusError, match=r"None of the 16 recordings .*modality: video and .*modalities av"):
        scan("ravdess", root, modality="video")
    touch(root, "Actor_01/01-01-09-01-01-01-01.mp4", "take.mp4")
    with pytest.raises(
        CorpusError, match=r"01-01-09-01-01-01-01\.mp4, take\.mp4 in .* do not follow the file names of RAV"
    ):
        scan("ravdess", root)
    with pytest.raises(ValidationError, match="need split: subject"):
        corpora.options_class("ravdess")(split="repetition", val_subjects=["01"])


def test_ravdess_real(shared):
    table = scan("ravdess", shared / "data/ravdess_av")
    assert table["split"].value_counts().to_dict() == {"train": 13, "val": 13}
    assert set(table["label"]) == set(CLASSES) and set(table["subject"]) == {"01"}


# CREMA-D


def test_cremad_names_and_splits(root):
    touch(root, *(f"VideoFlash/{s}_IEO_{e}_HI.flv" for s in range(1001, 1011) for e in ("ANG", "SAD")))
    touch(root, "VideoFlash/1040_ITH_SAD_X.flv", "AudioWAV/1001_IEO_ANG_HI.wav")
    table = scan("cremad", root)
    assert table.iloc[0].to_dict() == {
        "clip": "1001_IEO_ANG_HI",
        "path": "VideoFlash/1001_IEO_ANG_HI.flv",
        "split": table["split"][0],
        "label": "Angry",
        "subject": "1001",
        "sentence": "IEO",
        "level": "HI",
        "split_by": "options",
    }
    assert table.drop_duplicates("subject")["split"].value_counts().to_dict() == {"train": 9, "val": 2}
    listed = scan("cremad", root, val_subjects=[1040])
    assert listed.loc[listed["split"] == "val", "clip"].tolist() == ["1040_ITH_SAD_X"]


def test_cremad_misnamed(root):
    touch(root, "1001_IEO_ANG_HI.flv", "1001_IEO_SUR_HI.flv")
    with pytest.raises(CorpusError, match=r"files 1001_IEO_SUR_HI\.flv in .* not follow the file names of CREMA-D"):
        scan("cremad", root)


def test_cremad_real_has_too_few_clips_for_val(shared):
    table = scan("cremad", shared / "data/crema_d")
    assert len(table) == 6 and set(table["split"]) == {"train"}


def test_cremad_sound_alone(root):
    touch(root, *(f"AudioWAV/{s}_IEO_SAD_HI.wav" for s in range(1001, 1006)), "AudioMP3/1001_IEO_SAD_HI.mp3")
    touch(root, "VideoFlash/1001_IEO_SAD_HI.flv")
    table = scan("cremad", root, modality="audio")
    assert table["path"].tolist() == [f"AudioWAV/{s}_IEO_SAD_HI.wav" for s in range(1001, 1006)]
    assert set(table["label"]) == {"Sad"} and set(table["split"]) == {"train", "val"}
    assert scan("cremad", root)["path"].tolist() == ["VideoFlash/1001_IEO_SAD_HI.flv"]
    with pytest.raises(ValidationError, match="'video' or 'audio'"):
        scan("cremad", root, modality="av")


def test_cremad_sound_in_other_containers(root):
    touch(root, *(f"{s}_IEO_SAD_HI.flac" for s in range(1001, 1006)))
    assert len(scan("cremad", root, modality="audio")) == 5


def test_cremad_without_sound_files(root):
    touch(root, "VideoFlash/1001_IEO_SAD_HI.flv")
    with pytest.raises(CorpusError, match=r"No clips of CREMA-D were found .*Check corpus_root and the corpus options"):
        scan("cremad", root, modality="audio")


# EMO-DB


def test_emodb_names_and_splits(root):
    speakers = ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")
    touch(root, *(f"wav/{s}a01{letter}a.wav" for s in speakers for letter in "WLEAFTN"), "wav/16b10Wb.wav")
    touch(root, "erkennung.txt", "lablaut/03a01Fa.lablaut")
    table = scan("emodb", root)
    assert len(table) == 61  # less ten of boredom
    assert table.iloc[2].to_dict() == {
        "clip": "03a01Fa",
        "path": "wav/03a01Fa.wav",
        "split": table["split"][2],
        "label": "Happy",
        "subject": "03",
        "sentence": "a01",
        "version": "a",
        "sex": "male",
        "age": "31",
        "split_by": "options",
    }
    assert column(table[table["subject"] == "16"], "label") == {
        "16a01Aa": "Fear",
        "16a01Ea": "Disgust",
        "16a01Fa": "Happy",
        "16a01Na": "Neutral",
        "16a01Ta": "Sad",
        "16a01Wa": "Angry",
        "16b10Wb": "Angry",
    }
    assert table.drop_duplicates("subject")["split"].value_counts().to_dict() == {"train": 8, "val": 2}
    speakers = table.drop_duplicates("subject")
    assert speakers["sex"].value_counts().to_dict() == {"male": 5, "female": 5}  # as the paper counts them
    assert speakers["age"].tolist() == ["31", "34", "21", "32", "26", "30", "32", "35", "25", "31"]
    listed = scan("emodb", root, val_subjects=["03"], test_subjects=["16"])
    assert listed.groupby("subject")["split"].first().tolist() == ["val", *["train"] * 8, "test"]


def test_emodb_errors(root):
    touch(root, "03a01La.wav")
    with pytest.raises(CorpusError, match=r"All 1 recordings in .* are of boredom, which is not one of the seven"):
        scan("emodb", root)
    touch(root, "03a01Fa.wav", "03a01Xa.wav", "take.wav")
    with pytest.raises(
        CorpusError, match=r"files 03a01Xa\.wav, take\.wav in .* not follow the file names of EMO-DB\. .*03a01Fa"
    ):
        scan("emodb", root)


# Folders


def test_folder_of_splits(root):
    touch(root, "Training/happiness/a.mp4", "dev/ANGER/deep/b.wav", "test/c.mp4", "test/sad/d.mp4", "x.txt")
    table = scan("folder", root)
    assert table["split"].tolist() == ["train", "val", "test", "test"]
    assert table["label"].tolist() == ["Happy", "Angry", "", "Sad"]


def test_folder_without_val_draws_it_from_train(root):
    touch(root, *(f"train/happy/{i}.mp4" for i in range(20)), "test/happy/t.mp4")
    splits = column(scan("folder", root), "split")
    assert set(splits.values()) == {"train", "val", "test"} and splits["t"] == "test"


def test_folder_of_classes_is_stable(root):
    touch(root, *(f"{c}/{c}{i}.mp4" for c in ("happy", "sad") for i in range(30)))
    before = column(scan("folder", root), "split")
    touch(root, "happy/new.mp4")
    after = column(scan("folder", root), "split")
    assert {clip: after[clip] for clip in before} == before
    assert set(before.values()) == {"train", "val"}


def test_folder_subjects(root):
    touch(root, *(f"happy/s{s}_{i}.mp4" for s in range(5) for i in range(3)))
    table = scan("folder", root, subject_pattern=r"^(?P<subject>s\d)_")
    assert table.drop_duplicates("subject")["split"].value_counts().to_dict() == {"train": 4, "val": 1}
    assert (table.groupby("subject")["split"].nunique() == 1).all()
    touch(root, "happy/odd.mp4")
    with pytest.raises(CorpusError, match=r"files happy/odd\.mp4 have no subject that matches subject_pattern"):
        scan("folder", root, subject_pattern=r"^(?P<subject>s\d)_")


def test_folder_subject_in_two_given_splits(root):
    touch(root, "train/happy/s1_a.mp4", "val/happy/s1_b.mp4", "train/happy/s2_c.mp4")
    with pytest.raises(CorpusError, match="subject 's1' is in the splits train and val"):
        scan("folder", root, subject_pattern="(?P<subject>s.)_")


@pytest.mark.parametrize(("pattern", "message"), [("(", "not a regular expression"), ("s(.)", "no group named")])
def test_folder_bad_pattern(pattern, message):
    with pytest.raises(ValidationError, match=message):
        corpora.options_class("folder")(subject_pattern=pattern)


def test_folder_duplicate_stems(root):
    touch(root, "happy/1.mp4", "sad/1.mp4")
    with pytest.raises(CorpusError, match=r"'1' .*happy/1\.mp4, sad/1\.mp4.*Set clip_id: path"):
        scan("folder", root)
    assert scan("folder", root, clip_id="path")["clip"].tolist() == ["happy__1", "sad__1"]


def test_folder_without_any_class_is_unlabelled(root):
    touch(root, "1.mp4", "2.wav")
    table = scan("folder", root)
    assert table[["split", "label"]].to_numpy().tolist() == [["test", ""]] * 2


@pytest.mark.parametrize("files", [["train/1.mp4"], ["val/1.mp4", "test/2.mp4"]])
def test_folder_of_a_split_has_classes(root, files):
    touch(root, *files)
    with pytest.raises(CorpusError, match=r"files (train|val)/1\.mp4 in .*Expected <split>/<class>/<file>"):
        scan("folder", root)


def test_folder_errors(root):
    touch(root, "happy/1.mp4", "loose.mp4")
    with pytest.raises(CorpusError, match=r"files loose\.mp4 in .* not in a class folder\. Expected <class>/<file>"):
        scan("folder", root)
    (root / "loose.mp4").unlink()
    touch(root, "test/happy/2.mp4")
    with pytest.raises(
        CorpusError, match=r"has folders of splits \(test\) and other folders with media files \(happy\)"
    ):
        scan("folder", root)


def test_folder_below_folders_that_all_share(root):
    touch(root, "wrap/data/angry/deep/1.wav", "wrap/data/happy/2.wav")
    assert scan("folder", root)["label"].tolist() == ["Angry", "Happy"]
    (root / "wrap/data/happy/2.wav").unlink()
    assert scan("folder", root)["label"].tolist() == ["Angry"]  # a class that is alone is no such folder


def test_folder_of_other_classes(root):
    touch(root, "happy/1.mp4", "Calm/2.mp4", "sad/3.mp4")
    with pytest.raises(CorpusError, match=r"'Calm' .* is not one of the seven"):
        scan("folder", root)
    assert scan("folder", root, others="exclude")["label"].tolist() == ["Happy", "Sad"]


def test_folder_unknown_class(root):
    touch(root, "train/hapy/1.mp4", "val/happy/2.mp4")
    with pytest.raises(CorpusError, match=r"'hapy' of the clip train/hapy/1\.mp4 .*Did you mean Happy\?"):
        scan("folder", root)


# A table by the user


def table(root, text, name="clips.csv", encoding="utf-8"):
    (root / name).write_bytes(text.encode(encoding))


def test_table_with_everything(root):
    touch(root, "001.mp4", "b/2.mp4", "c.mp4")
    header = "path,label,split,clip,subject,mood\n"
    rows = "001.mp4,anger,Training,,7,NA\n./b/2.mp4,SAD,dev,two,8,\nc.mp4,,test,,,\n\n"
    table(root, header + rows, encoding="utf-8-sig")
    scanned = scan("table", root)
    assert scanned.to_dict("list") == {
        "clip": ["001", "c", "two"],
        "path": ["001.mp4", "c.mp4", "b/2.mp4"],
        "split": ["train", "test", "val"],
        "label": ["Angry", "", "Sad"],
        "subject": ["7", "", "8"],
        "mood": ["NA", "", ""],
    }


def test_table_without_splits(root):
    touch(root, *(f"{i}.mp4" for i in range(30)), "t.mp4")
    table(root, "label\tpath\n" + "".join(f"joy\t{i}.mp4\n" for i in range(30)) + "\tt.mp4\n", "my.tsv")
    splits = column(scan("table", root, table="my.tsv"), "split")
    assert splits.pop("t") == "test"
    assert set(splits.values()) == {"train", "val"}


def test_table_by_subject(root):
    touch(root, *(f"{i}.mp4" for i in range(6)))
    table(root, "path,label,subject\n" + "".join(f"{i}.mp4,joy,{i // 2}\n" for i in range(6)))
    assert scan("table", root, val_subjects=[1])["split"].tolist() == ["train"] * 2 + ["val"] * 2 + ["train"] * 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"lacks the column path and the column label\. Its columns are: none"),
        ("path,class\na.mp4,joy\n", r"lacks the column label\. Its columns are: path, class"),
        ("path,label\na.mp4,joy,x\nb.mp4\n", "has 2 columns, but the lines 2, 3 have"),
        ("path,label,digest\na.mp4,joy,x\n", "has the columns 'digest'"),
        ("path,label,label\na.mp4,joy,joy\n", "has the columns 'label'"),
        ("path,label\n", "No clips were found"),
        ("path,label\nz.mp4,joy\n", "files z.mp4 are not in the corpus folder"),
        ("path,label\n,joy\n", "The clip with the path '' has an empty id"),
        ("path,label\na.mp4,joyful-ish\n", "class 'joyful-ish' of the clip a.mp4 is unknown"),
        ("path,label,split\na.mp4,joy,\n", "'a' has the split ''"),
        ("path,label,split\na.mp4,,train\n", "clips a of the splits train and val have no label"),
        ('path,label\n"a.mp4,joy\n', "not a CSV file in UTF-8"),
    ],
)
def test_table_errors(root, text, message):
    touch(root, "a.mp4")
    table(root, text)
    with pytest.raises(CorpusError, match=message):
        scan("table", root)


def test_table_unreadable(root):
    with pytest.raises(CorpusError, match=r"clips\.csv cannot be read \(No such file.*set the corpus option"):
        scan("table", root)
    with pytest.raises(CorpusError, match=r"clips\.xlsx is neither \.csv nor \.tsv"):
        scan("table", root, table="clips.xlsx")
    table(root, "path,label\nä.mp4,joy\n", encoding="latin-1")
    with pytest.raises(CorpusError, match="not a CSV file in UTF-8"):
        scan("table", root)
