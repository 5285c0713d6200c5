"""Adapters of published corpora on look-alikes: clips, labels, splits and people are exact; errors are sentences."""

import re
import shutil

import h5py
import pytest
from pydantic import ValidationError

from emopipe import corpora
from emopipe.core.errors import ConfigError, CorpusError
from emopipe.core.label_block import LabelsBlock
from emopipe.core.validation import checked
from emopipe.corpora import recognition
from emopipe.corpora.labelling import Labelling, in_run
from emopipe.media.frame_folders import RATE
from emopipe.media.pairs import SOUND_FILE
from tests.pages import REPOSITORY
from tests.unit import corpora_look_alikes as look_alikes
from tests.unit.corpora_look_alikes import DRAWN, touch, write

pytestmark = pytest.mark.slow


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    return folder


def scan(kind, root, **options):
    return corpora.scan(kind, root, corpora.options_class(kind)(**options))


def labelling(labels):
    """The label space of a run: a kind for the seven classes, or the key `labels` of its config."""
    return Labelling.of(LabelsBlock.model_validate({"kind": labels} if labels in ("votes", "multi") else labels))


def scan_in(labels, kind, root, **options):
    """The clips in the label space of a run."""
    context = in_run(labelling(labels))
    given = checked(corpora.options_class(kind), options, "corpus.options", context=context)
    return corpora.scan(kind, root, given)


def as_clips(table):
    """What a look-alike returns, as the adapter has it."""
    columns = [table[name] for name in ("clip", "path", "split", "label", "subject")]
    return {clip: tuple(rest) for clip, *rest in zip(*columns, strict=True)}


def with_split(clips, split):
    """The clips with another split."""
    return {clip: (path, split, label, subject) for clip, (path, _, label, subject) in clips.items()}


def check_drawn(table, expected):
    """The clips are exact; those of the training list are train or val, the others have their published split."""
    found = as_clips(table)
    listed = {clip for clip, (_, split, _, _) in expected.items() if split == DRAWN}
    assert {found[clip][1] for clip in listed} == {"train", "val"}
    drawn = {clip: (path, found[clip][1] if clip in listed else split, *rest)
             for clip, (path, split, *rest) in expected.items()}  # fmt: skip
    assert found == drawn


def check_apart(table, expected):
    """The clips are exact, and the drawn splits keep people apart."""
    assert with_split(as_clips(table), "") == expected
    assert (table.groupby("subject")["split"].nunique() == 1).all() and set(table["split"]) == {"train", "val"}


# DFEW


@pytest.mark.slow
@pytest.mark.parametrize("fold", [1, 2, 3, 4, 5])
def test_dfew_folds(root, fold):
    expected = look_alikes.dfew(root, fold)
    check_drawn(scan("dfew", root, fold=fold), expected)


def test_dfew_tests_each_clip_once(root):
    look_alikes.dfew(root)
    tests = [set(table.loc[table["split"] == "test", "clip"]) for table in (scan("dfew", root, fold=k)
             for k in range(1, 6))]  # fmt: skip
    assert sum(map(len, tests)) == len(set.union(*tests)) == 28
    with pytest.raises(ValidationError, match="1, 2, 3, 4 or 5"):
        scan("dfew", root, fold=6)


def test_dfew_faces_and_the_older_lists(root):
    look_alikes.dfew(root)
    table = scan("dfew", root, clips="clip_224x224_avi")
    assert table["path"][0] == "Clip/clip_224x224_avi/00001.avi" and len(table) == 28
    for split in ("train", "test"):
        (root / f"EmoLabel_DataSplit/{split}(single-labeled)/set_1.csv").rename(root / f"single_{split}set_1.csv")
    assert scan("dfew", root)["clip"].tolist() == table["clip"].tolist()


def test_dfew_frames(root):
    expected = look_alikes.dfew(root)
    table = scan("dfew", root, clips="clip_224x224", frame_rate=30)
    check_drawn(table, {clip: (f"Clip/clip_224x224/{clip}", *rest) for clip, (_, *rest) in expected.items()})
    assert set(table[RATE]) == {"30"} and SOUND_FILE not in table


def test_dfew_votes(root):
    look_alikes.dfew(root)
    header = "order,1happy,2sad,3neutral,4angry,5surprise,6disgust,7fear,annotation"
    write(root, "votes.csv", header, "1,8,1,1,0,0,0,0,1", "2,5,5,0,0,0,0,0,0")
    found = scan("dfew", root, votes="votes.csv").set_index("clip")
    assert found.loc["00001", [f"votes_{c}" for c in ("Happy", "Sad", "Fear")]].tolist() == ["8", "1", "0"]
    assert set(found.loc["00003"].filter(like="votes_")) == {""}
    table = scan_in("votes", "dfew", root, votes="votes.csv")
    assert table.set_index("clip").loc[["00001", "00002", "00003"], "label"].tolist() == [
        "Happy",
        "Happy;Sad",
        "Neutral",
    ]
    write(root, "votes.csv", header.replace("7fear", "7fright"), "1,8,1,1,0,0,0,0,1")
    with pytest.raises(CorpusError, match=r"option votes\) has no column for Fear\. Expected the number of a clip"):
        scan("dfew", root, votes="votes.csv")
    write(root, "votes.csv", header, "1,8,1,0.5,0,0,0,0,1")
    with pytest.raises(CorpusError, match=r"option votes\) has the row 1, 8, 1, 0\.5, 0"):
        scan("dfew", root, votes="votes.csv")


def test_dfew_with_a_table_of_people(root):
    look_alikes.dfew(root)
    train = sorted(n for n in range(1, 29) if n % 5)
    write(root, "cast.csv", "clip,subject", *(f"{n:05d},p{n % 4}" for n in train))
    table = scan("dfew", root, groups="cast.csv", val_subjects=["p2"])
    assert set(table.loc[table["split"] == "val", "subject"]) == {"p2"}
    assert set(table.loc[table["split"] == "train", "subject"]) == {"p0", "p1", "p3"}
    assert set(table.loc[table["split"] == "test", "subject"]) == {""}


def test_dfew_errors(root):
    look_alikes.dfew(root)
    with pytest.raises(
        CorpusError, match=r"has videos in the folders Clip/clip_224x224, Clip/clip_224x224_avi, Clip/original\..*"
    ):
        scan("dfew", root, clips="nowhere")
    touch(root, "Clip/original/part_2/7.mp4")
    with pytest.raises(CorpusError, match=r"clip 00007 of DFEW is in .* twice: Clip/original/7\.mp4 and .*part_2"):
        scan("dfew", root)
    (root / "Clip/original/7.mp4").unlink()
    assert "Clip/original/part_2/7.mp4" in scan("dfew", root)["path"].tolist()
    (root / "Clip/original/8.mp4").unlink()
    with pytest.raises(CorpusError, match=r"name 28 clips, and 1 of them have no file in .*: 00008\..*Unpack"):
        scan("dfew", root)
    write(root, "EmoLabel_DataSplit/test(single-labeled)/set_1.csv", "video_name,label", "5,0")
    with pytest.raises(CorpusError, match=r"set_1\.csv has the video_name '5' with the label '0'\. Expected a number"):
        scan("dfew", root)
    write(root, "EmoLabel_DataSplit/test(single-labeled)/set_1.csv", "name,label", "5,1")
    with pytest.raises(CorpusError, match=r"has the columns name, label\. Expected video_name, label"):
        scan("dfew", root)


def test_lists_that_are_not_there(root):
    message = r"has no CSV file\. Expected the list EmoLabel_DataSplit/train\(single-labeled\)/set_1\.csv of DFEW"
    with pytest.raises(CorpusError, match=message):
        scan("dfew", root)
    write(root, "a/train/set_1.csv", "x")
    write(root, "b/train/set_1.csv", "x")
    with pytest.raises(CorpusError, match=r"has 2 lists of DFEW of the same name: a/train/set_1\.csv, b/train"):
        scan("dfew", root)


# FERV39k


def test_ferv39k(root):
    expected = look_alikes.ferv39k(root)
    table = scan("ferv39k", root)
    check_drawn(table, expected)
    assert set(table["scene"]) == {"Action", "Interview", "War"}


def test_ferv39k_plays_frames_at_a_rate_and_with_their_sound(root):
    look_alikes.ferv39k(root)
    touch(root, "2_ClipsforFaceCrop/War/Sad/0000.wav")
    table = scan("ferv39k", root).set_index("clip")
    assert set(table[RATE]) == {"auto"} and set(scan("ferv39k", root, frame_rate=12.5)[RATE]) == {"12.5"}
    assert table.loc["War__Sad__0000", SOUND_FILE] == "2_ClipsforFaceCrop/War/Sad/0000.wav"
    assert (table[SOUND_FILE] != "").sum() == 1


def test_ferv39k_a_video_goes_before_its_frames(root):
    expected = look_alikes.ferv39k(root)
    touch(root, *(f"{path}.mp4" for path, *_ in expected.values()))
    table = scan("ferv39k", root)
    check_drawn(table, {clip: (f"{path}.mp4", *rest) for clip, (path, *rest) in expected.items()})
    assert RATE not in table


def test_ferv39k_errors(root):
    look_alikes.ferv39k(root)
    shutil.rmtree(root / "2_ClipsforFaceCrop/War/Sad/0000")
    with pytest.raises(CorpusError, match=r"FERV39k name 63 clips, and 1 of them have no file in .*: War/Sad/0000\."):
        scan("ferv39k", root)
    touch(root, "2_ClipsforFaceCrop/War/Sad/0000.mp4", "2_ClipsforFaceCrop/again/War/Sad/0000.mp4")
    with pytest.raises(CorpusError, match=r"clip War/Sad/0000 of FERV39k is in .* twice: .*Set clips"):
        scan("ferv39k", root)
    write(root, "4_setups/All_scenes/test_All.csv", "War/Sad Sad")
    with pytest.raises(
        CorpusError, match=r"test_All\.csv has the line 'War/Sad Sad'\. Expected <Scene>/<Class>/<clip>"
    ):
        scan("ferv39k", root)


def test_ferv39k_pictures_that_are_not_frames(root):
    expected = look_alikes.ferv39k(root)
    for path, *_ in expected.values():
        shutil.rmtree(root / path)
        touch(root, f"{path}/ann.jpg", f"{path}/bob.jpg")
    with pytest.raises(CorpusError, match=r"no video, but 126 pictures.*numbered pictures.*Name such folders in a ta"):
        scan("ferv39k", root)


# MAFW

MAFW = list(look_alikes.MAFW_CLASSES.values())


@pytest.mark.slow
@pytest.mark.parametrize("fold", [1, 5])
def test_mafw(root, fold):
    expected = look_alikes.mafw(root, fold)
    check_drawn(scan_in(MAFW, "mafw", root, fold=fold), expected)
    frames = {clip: (f"data/frames/{clip}", *rest) for clip, (_, *rest) in expected.items()}
    table = scan_in(MAFW, "mafw", root, fold=fold, clips="frames")
    check_drawn(table, frames)
    assert set(table[RATE]) == {"auto"}


def test_mafw_compound(root):
    expected = look_alikes.mafw(root, 2, "compound")
    assert {label for *_, label, _ in expected.values()} >= {"Angry", "Angry;Disgust"}
    ordered = {clip: (*rest, ";".join(sorted(label.split(";"), key=MAFW.index)), person)
               for clip, (*rest, label, person) in expected.items()}  # fmt: skip
    check_drawn(scan_in({"names": MAFW, "kind": "multi"}, "mafw", root, fold=2, set="compound"), ordered)


def test_mafw_in_the_seven_classes(root):
    expected = look_alikes.mafw(root)
    with pytest.raises(CorpusError, match=r"'Contempt' of the clip data/clips/00007\.mp4 \(and 11 more"):
        scan("mafw", root)
    table = scan_in({"others": "exclude"}, "mafw", root)
    assert set(table["clip"]) == {clip for clip, (_, _, label, _) in expected.items() if label in MAFW[:7]}


def test_mafw_errors(root):
    look_alikes.mafw(root)
    touch(root, "data/clips/more/00007.mp4")
    with pytest.raises(CorpusError, match=r"clip 00007 of MAFW is in .* twice: data/clips/00007\.mp4 and .*Move the"):
        scan("mafw", root)
    for file in ("more/00007.mp4", "00009.mp4"):
        (root / "data/clips" / file).unlink()
    with pytest.raises(CorpusError, match=r"MAFW name 33 clips, and 1 of them have no file in .*: 00009\."):
        scan("mafw", root)
    write(root, "Train & Test Set/single/no_caption/set_1/test.txt", "00001.mp4 rage")
    with pytest.raises(CorpusError, match=r"test\.txt has the line '00001\.mp4 rage'\. Expected <clip>\.mp4 <class>"):
        scan("mafw", root)
    (root / "Train & Test Set/single/no_caption/set_1/train.txt").unlink()
    with pytest.raises(
        CorpusError, match=r"Expected the list Train & Test Set/single/no_caption/set_1/train\.txt of MA"
    ):
        scan("mafw", root)


# CAER


def test_caer(root):
    expected = look_alikes.caer(root)
    assert as_clips(scan("caer", root)) == expected


def test_caer_with_a_table_of_people(root):
    look_alikes.caer(root)
    write(root, "cast.csv", "clip,actor", "train__Sad__0001,Ann", "test__Sad__0001,Ann")
    with pytest.raises(CorpusError, match=r"'Ann' is in the splits test and train.*shared_subjects: keep"):
        scan("caer", root, groups="cast.csv")
    table = scan("caer", root, groups="cast.csv", shared_subjects="keep")
    assert table.loc[table["subject"] == "Ann", "split"].tolist() == ["test", "train"]


def test_caer_errors(root):
    touch(root, "train/Anger/0001.png", "test/Anger/0001.png")
    with pytest.raises(
        CorpusError, match=r"has the folders test, train\. Expected CAER's folders train, validation, t"
    ):
        scan("caer", root)
    touch(root, "validation/Anger/0001.png")
    with pytest.raises(CorpusError, match=r"has 3 pictures and no video\. .* the stills of CAER-S"):
        scan("caer", root)
    touch(root, "train/Anger/0001.avi", "train/Joy/0001.avi", "x.avi")
    with pytest.raises(CorpusError, match=r"files x\.avi, train/Joy/0001\.avi in .* not in a folder of CAER"):
        scan("caer", root)
    for stray in ("x.avi", "train/Joy/0001.avi"):
        (root / stray).unlink()
    with pytest.raises(CorpusError, match=r"folder .*validation has no video files\. Expected validation/<Class>"):
        scan("caer", root)


# MELD


def test_meld(root, caplog):
    expected = look_alikes.meld(root)
    with caplog.at_level("INFO", logger="emopipe"):
        table = scan("meld", root)
    assert as_clips(table) == expected
    assert "has no file for dev_dia110_utt7, which is omitted" in caplog.text
    assert table.set_index("clip").loc["test_dia1_utt3", ["dialogue", "episode", "sentiment"]].tolist() == [
        "test_dia1", "s04e07", "neutral",
    ]  # fmt: skip


def test_meld_shares_its_people(root):
    look_alikes.meld(root)
    with pytest.raises(CorpusError, match=r"subject 'Chandler' is in the splits test and train and val"):
        scan("meld", root, shared_subjects="refuse")


def test_meld_in_folders_of_the_splits(root):
    expected = look_alikes.meld(root)
    (root / "output_repeated_splits_test").rename(root / "test")
    (root / "dev_splits_complete").rename(root / "dev")
    assert set(scan("meld", root)["clip"]) == set(expected)


def test_meld_errors(root):
    look_alikes.meld(root)
    (root / "train/train_splits/dia1_utt2.mp4").unlink()
    with pytest.raises(CorpusError, match=r"MELD name 42 clips, and 1 of them have no file in .*: train_dia1_utt2\."):
        scan("meld", root)
    touch(root, "train/train_splits/dia1_utt2.mp4", "train/more/dia1_utt2.mp4")
    with pytest.raises(
        CorpusError, match=r"clip train_dia1_utt2 of MELD is in .* twice: train/more/.* and train/train"
    ):
        scan("meld", root)
    write(root, "dev_sent_emo.csv", "Utterance,Speaker", "Hi,Ross")
    with pytest.raises(CorpusError, match=r"dev_sent_emo\.csv has the columns Utterance, Speaker\. Expected Speaker, "):
        (root / "train/more/dia1_utt2.mp4").unlink()
        scan("meld", root)
    (root / "test_sent_emo.csv").unlink()
    write(root, "dev_sent_emo.csv", ",".join(("Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season", "Episode")))
    with pytest.raises(CorpusError, match=r"Expected the list test_sent_emo\.csv of MELD, at any depth"):
        scan("meld", root)


# CREMA-D


def test_cremad(root):
    expected = look_alikes.cremad(root)
    table = scan("cremad", root)
    check_apart(table, expected)
    assert "intended" not in table
    found = table.set_index("clip").loc["1002_IEO_HAP_XX"]
    for prefix, chosen in (("voice_votes_", 4), ("face_votes_", 6), ("votes_", 8)):
        names = [f"{prefix}{name}" for name in ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad")]
        assert found[names].tolist() == ["0", "0", "0", str(chosen), str(10 - chosen), "0"]
    actors = table.drop_duplicates("subject").set_index("subject")[["sex", "age", "ethnicity", "race"]]
    assert actors.T.to_dict("list") == {
        "1001": ["male", "51", "Not Hispanic", "Caucasian"],
        "1002": ["female", "21", "Not Hispanic", "Asian"],
        "1003": ["female", "34", "Not Hispanic", "African American"],
        "1047": ["female", "22", "Hispanic", ""],
    }


def test_cremad_perceived(root):
    expected = look_alikes.cremad(root)
    with pytest.raises(CorpusError, match=r"'Fear;Sad' of the clip VideoFlash/1001_IEO_SAD_XX\.flv"):
        scan("cremad", root, label="perceived")  # a tie is not a class
    table = scan_in({"set": "cremad6", "others": "exclude"}, "cremad", root, label="perceived").set_index("clip")
    assert set(expected) - set(table.index) == {"1001_IEO_SAD_XX"} and (table["label"] == table["intended"]).all()
    for options in ({}, {"label": "perceived"}):
        soft = scan_in({"set": "cremad6", "kind": "votes"}, "cremad", root, **options).set_index("clip")
        assert soft.loc["1001_IEO_SAD_XX", ["label", "intended"]].tolist() == ["Fear;Sad", "Sad"]
    sound = scan_in("votes", "cremad", root, modality="audio")
    assert sound["path"][0] == "AudioWAV/1001_IEO_ANG_XX.wav" and sound["votes_Surprise"].tolist() == ["0"] * 24


def test_cremad_maps_votes_and_intended_classes(root):
    look_alikes.cremad(root)
    labels = {"names": ["good", "bad"], "kind": "votes", "map": {"Happy": "good", "Neutral": "good", "Surprise": ""}}
    labels["map"] |= dict.fromkeys(("Angry", "Disgust", "Fear", "Sad"), "bad")
    table = scan_in(labels, "cremad", root).set_index("clip")
    assert table.loc["1001_IEO_NEU_XX", ["label", "intended", "votes_good", "votes_bad", "voice_votes_good"]].tolist() \
        == ["good", "good", "8", "2", "4"]  # fmt: skip


def test_cremad_errors(root):
    look_alikes.cremad(root)
    table = root / "processedResults/tabulatedVotes.csv"
    table.write_text(table.read_text().replace('"300002",0,8', '"300002",0,8.5'))
    with pytest.raises(CorpusError, match=r"has the row 300002, 0, 8\.5, .*whole numbers of votes"):
        scan("cremad", root)
    table.write_text(table.read_text().replace('"300002",0,8.5', '"300002",0,8').replace('"3000', '"4000'))
    with pytest.raises(CorpusError, match=r"has the row 400001, .*begins with 1, 2, 3"):
        scan("cremad", root)
    lines = [line for line in table.read_text().splitlines() if not line.startswith('"4')]
    table.write_text("\n".join(lines))
    with pytest.raises(CorpusError, match=r"need the raters' votes, but .* has no table .*label: intended"):
        scan("cremad", root, label="perceived")


def test_cremad_omits_clips_without_votes(root, caplog):
    expected = look_alikes.cremad(root)
    table = root / "processedResults/tabulatedVotes.csv"
    table.write_text(re.sub(r'"300003".*\n', "", table.read_text()))
    with caplog.at_level("INFO", logger="emopipe"):
        found = scan_in("votes", "cremad", root)
    assert set(expected) - set(found["clip"]) == {"1001_IEO_FEA_XX"}
    assert "1 clips without votes, such as 1001_IEO_FEA_XX, are omitted" in caplog.text


# MER


@pytest.mark.parametrize("test", ["none", "test1", "test2", "test3"])
def test_mer_2023(root, test):
    expected = look_alikes.mer(root)
    table = scan_in("mer6", "mer", root, test=test)
    check_drawn(table, {clip: row for clip, row in expected.items() if row[0].startswith(("train/", f"{test}/"))})
    valence = table.set_index("clip")["valence"]
    assert valence["tn_00000002"] == "-0.75"
    assert set(valence[table["split"].to_numpy() == "test"] == "") == {"none": set(), "test3": {True}}.get(
        test, {False}
    )
    with pytest.raises(CorpusError, match=r"class 'worried' of the clip train/tn_00000004\.avi \(and 2 more clips"):
        scan("mer", root)


def test_mer_2024(root):
    expected = look_alikes.mer(root, 2024)
    table = scan_in("mer6", "mer", root, release=2024)
    check_drawn(table, expected)
    assert "valence" not in table
    with pytest.raises(ConfigError, match=r"test is test1, but only the release of 2023 has such lists"):
        scan_in("mer6", "mer", root, release=2024, test="test1")


def test_mer_errors(root):
    look_alikes.mer(root)
    (root / "train/tn_00000003.avi").unlink()
    with pytest.raises(CorpusError, match=r"MER name 18 clips, and 1 of them have no file in .*: tn_00000003\."):
        scan_in("mer6", "mer", root)
    touch(root, "train/tn_00000003.avi", "train/more/tn_00000003.avi")
    with pytest.raises(CorpusError, match=r"clip tn_00000003 of MER is in .* twice: train/more/.*Move the others"):
        scan_in("mer6", "mer", root)
    write(root, "train-label.csv", "name,emotion")
    with pytest.raises(CorpusError, match=r"has the columns name, emotion\. Expected name, discrete"):
        scan_in("mer6", "mer", root)
    with pytest.raises(CorpusError, match=r"Expected the list label-disdim\.csv of MER"):
        scan_in("mer6", "mer", root, release=2024)


# CMU-MOSEI

MOSEI = {"names": ["Happy", "Sad", "Angry", "Surprise", "Disgust", "Fear"], "kind": "multi"}


@pytest.mark.parametrize("kind", ["segmented", "full"])
def test_mosei(root, kind, caplog):
    expected = look_alikes.mosei(root, kind)
    with caplog.at_level("INFO", logger="emopipe"):
        table = scan_in(MOSEI, "mosei", root, clips=kind)
    assert as_clips(table) == expected
    assert "1 videos are in no fold, such as lost, and are omitted" in caplog.text
    row = table[(table["subject"] == "v5") & (table["label"] == "Sad;Angry")].iloc[0]
    columns = ["sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear"]
    assert row[columns].tolist() == ["-2", "0", "1", "0.333333", "0", "0", "0"]
    assert ("start" in table) == (kind == "full")
    if kind == "full":
        assert row[["start", "end"]].tolist() == ["2.125", "9"]


def test_mosei_sentiment_and_intensities(root):
    look_alikes.mosei(root)
    names = {"names": ["happy", "anger"], "kind": "dimensions", "range": [0, 3]}
    table = scan_in(names, "mosei", root)
    assert table["label"].value_counts().to_dict() == {"0.666667;0": 6, "0;0.333333": 6, "0;0": 12}
    names = {"names": ["sentiment", "happy"], "kind": "dimensions", "range": [-3, 3]}
    assert set(scan_in(names, "mosei", root)["label"]) == {"1;0.666667", "-2;0", "0;0", "-3;0"}


def test_mosei_sentences_without_a_transcript_are_omitted(root, caplog):
    expected = look_alikes.mosei(root)
    (root / "Raw/Transcript/Segmented/Combined/v4.txt").unlink()
    with caplog.at_level("INFO", logger="emopipe"):
        table = scan_in(MOSEI, "mosei", root)
    assert set(expected) - set(table["clip"]) == {f"v4_{n}" for n in (0, 3, 4, 7)}
    assert "4 of 24 sentences are in no transcript, and are omitted" in caplog.text


def test_mosei_errors(root):
    look_alikes.mosei(root)
    (root / "Raw/Videos/Segmented/Combined/v4_7.mp4").unlink()
    with pytest.raises(CorpusError, match=r"CMU-MOSEI name 24 clips, and 1 of them have no file in .*: v4_7\."):
        scan_in(MOSEI, "mosei", root)
    write(root, "Raw/Transcript/Segmented/Combined/v4.txt", "v4___1___soon___later___x")
    with pytest.raises(CorpusError, match=r"v4\.txt has the line v4___1___soon___later___x\. Expected <video>___<num"):
        scan_in(MOSEI, "mosei", root)
    shutil.rmtree(root / "Raw/Transcript")
    with pytest.raises(CorpusError, match=r"None of the 24 labelled sentences .* or set clips: full"):
        scan_in(MOSEI, "mosei", root)
    write(root, "my_folds.py", "standard_train_fold = open('x')", "standard_valid_fold = []", "standard_test_fold = []")
    with pytest.raises(CorpusError, match=r"my_folds\.py \(corpus option folds\) cannot be read"):
        scan_in(MOSEI, "mosei", root, folds="my_folds.py")
    write(root, "my_folds.py", "standard_train_fold = ['v4']")
    with pytest.raises(CorpusError, match=r"it has the lists standard_train_fold\)\. Expected the SDK's"):
        scan_in(MOSEI, "mosei", root, folds="my_folds.py")
    (root / "CMU_MOSEI_Labels.csd").write_text("no labels")
    with pytest.raises(CorpusError, match=r"CMU_MOSEI_Labels\.csd cannot be read .*Expected an HDF5 file with All Lab"):
        scan_in(MOSEI, "mosei", root)
    with h5py.File(root / "CMU_MOSEI_Labels.csd", "w") as file:
        file["All Labels/data/v4/features"], file["All Labels/data/v4/intervals"] = [[1.0]], [[0.0, 1.0]]
    with pytest.raises(CorpusError, match=r"v4 has features \(1, 1\) and intervals \(1, 2\)"):
        scan_in(MOSEI, "mosei", root)


# eNTERFACE'05


def test_enterface(root):
    expected = look_alikes.enterface(root)
    table = scan("enterface", root)
    check_apart(table, expected)
    assert table.set_index("path").loc["subject 3/fear/sentence 5/s_3_fe_5.avi", "sentence"] == "fear_5"
    listed = scan("enterface", root, val_subjects=["3"], test_subjects=["11"])
    assert listed.groupby("subject")["split"].first().to_dict() == {"1": "train", "3": "val", "11": "test"}
    assert set(scan("enterface", root, omit_folders=["subject 11"])["subject"]) == {"1", "3"}


def test_enterface_with_other_separators(root):
    touch(root, "db/subject-01/anger/sentence-1/s1_an_1.avi", "db/subject_2/sadness/s2_sa_1.avi")
    table = scan("enterface", root)
    assert table[["clip", "subject", "sentence"]].to_numpy().tolist() == [
        ["subject_1__anger__sentence_1__s1_an_1", "1", "anger_1"], ["subject_2__sadness__s2_sa_1", "2", ""],
    ]  # fmt: skip


def test_enterface_errors(root):
    with pytest.raises(CorpusError, match=r"No clips of eNTERFACE'05 were found .*Expected files such as subject 1"):
        scan("enterface", root)
    touch(root, "subject 1/joy/sentence 1/a.avi", "subject 1/anger/sentence 1/a.avi")
    with pytest.raises(
        CorpusError, match=r"files subject 1/joy/sentence 1/a\.avi in .* not in the folders of eNTERFACE"
    ):
        scan("enterface", root)
    (root / "subject 1/joy/sentence 1/a.avi").unlink()
    touch(root, "copy/subject 1/anger/sentence 1/a.avi")
    with pytest.raises(CorpusError, match=r"rows have the clip 'subject_1__anger__sentence_1__a' .*omit_folders"):
        scan("enterface", root)


# IEMOCAP


@pytest.mark.parametrize("modality", ["audio", "video"])
def test_iemocap_in_four_classes(root, modality):
    expected = look_alikes.iemocap(root, modality)
    table = scan("iemocap", root, modality=modality)
    assert as_clips(table) == expected
    row = table.set_index("clip").loc["Ses02M_script01_1b_F002"]
    columns = ["session", "dialogue", "scenario", "sex", "valence", "arousal", "dominance"]
    assert row[columns].tolist() == [
        "2", "Ses02M_script01_1b", "scripted", "female", "2.5000", "4.0000", "3.5000",
    ]  # fmt: skip
    assert row[["votes_Happy", "votes_Sad", "votes_Angry", "votes_Fear"]].tolist() == ["3", "1", "0", "0"]
    assert ("start" in table) == (modality == "video")
    if modality == "video":
        assert row[["start", "end"]].tolist() == ["2.25", "3.5"]


def test_iemocap_in_six_classes_and_folds(root):
    look_alikes.iemocap(root)
    for fold, val in ((1, "2"), (4, "5"), (5, "1")):
        table = scan_in("iemocap6", "iemocap", root, emotions=6, fold=fold)
        sessions = table.groupby("split")["session"].unique().map(sorted).to_dict()
        rest = sorted(set("12345") - {str(fold), val})
        assert sessions == {"test": [str(fold)], "val": [val], "train": rest}
    assert table["label"].value_counts().to_dict() == dict.fromkeys(
        ("Angry", "Excited", "Frustrated", "Happy", "Neutral", "Sad"), 10
    )
    assert set(scan("iemocap", root, scenario="improvised")["scenario"]) == {"improvised"}


def test_iemocap_votes_without_agreement(root):
    look_alikes.iemocap(root)
    labels = {"set": "iemocap6", "kind": "votes", "others": "exclude"}
    table = scan_in(labels, "iemocap", root, emotions="all").set_index("clip")
    # 6 classes and those without agreement; of Disgust, Fear, Other and Surprise, the vote for Sad remains.
    assert len(table) == 5 * 2 * 12
    xxx = table.loc["Ses01F_impro01_F010"]
    assert xxx[["label", "votes_Angry", "votes_Frustrated", "votes_Sad"]].tolist() == ["Angry", "3", "1", "1"]


def test_iemocap_dimensions(root):
    look_alikes.iemocap(root)
    labels = {"names": ["valence", "arousal"], "kind": "dimensions", "range": [1, 5]}
    table = scan_in(labels, "iemocap", root, emotions="all")
    assert len(table) == 120 and set(table["label"]) == {"2.5;4"}


def test_iemocap_errors(root):
    with pytest.raises(CorpusError, match=r"No evaluations of IEMOCAP were found .*Session1/dialog/EmoEvaluation/Ses"):
        scan("iemocap", root)
    look_alikes.iemocap(root)
    wav = root / "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
    wav.unlink()
    with pytest.raises(
        CorpusError, match=r"IEMOCAP name 50 clips, and 1 of them have no file in .*: Ses01F_impro01_F0"
    ):
        scan("iemocap", root)
    touch(root, *(f"{folder}/sentences/wav/Ses01F_impro01_F000.wav" for folder in ("Session1", "copy")))
    with pytest.raises(
        CorpusError, match=r"file Ses01F_impro01_F000 of IEMOCAP is in .* several times: Session1/.*omit"
    ):
        scan("iemocap", root)
    shutil.rmtree(root / "copy")
    text = root / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    good = text.read_text()
    text.write_text(good.replace("\tang\t", "\tmad\t"))
    with pytest.raises(CorpusError, match=r"has the line .*mad.*with a code of ang, dis, exc"):
        scan("iemocap", root)
    text.write_text(good.replace("C-E2:\tAnger", "C-E2:\tRage"))
    with pytest.raises(CorpusError, match=r"has a vote for 'Rage'\. Expected names that begin with ang, dis"):
        scan("iemocap", root)
    for file in (root / f"Session{n}/dialog/EmoEvaluation/Ses0{n}M_script01_1b.txt" for n in range(1, 6)):
        file.unlink()
    text.write_text(good)
    with pytest.raises(CorpusError, match=r"None of the 60 utterances .*emotions: 4 and scenario: scripted"):
        scan("iemocap", root, scenario="scripted")


# SAVEE


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_savee(root, modality):
    expected = look_alikes.savee(root, modality)
    table = scan("savee", root, modality=modality)
    check_apart(table, expected)
    assert table.drop_duplicates("subject")["split"].value_counts().to_dict() == {"train": 3, "val": 1}
    assert set(table["sex"]) == {"male"} and table["sentence"][0] == "a01"


def test_savee_in_one_folder(root):
    touch(root, "ALL/DC_a01.wav", "ALL/KL_su15.wav")
    table = scan("savee", root, modality="audio", split="stratified")
    assert table[["clip", "label", "subject"]].to_numpy().tolist() == [
        ["DC_a01", "Angry", "DC"], ["KL_su15", "Surprise", "KL"],
    ]  # fmt: skip


def test_savee_errors(root):
    with pytest.raises(CorpusError, match=r"No clips of SAVEE were found .*AudioVisualClip/DC/a01\.avi"):
        scan("savee", root)
    touch(root, "DC/a01.avi", "XY/a01.avi", "DC/x01.avi", "DC/take.avi")
    with pytest.raises(CorpusError, match=r"files DC/take\.avi, DC/x01\.avi, XY/a01\.avi in .* file names of SAVEE"):
        scan("savee", root)
    for stray in ("XY/a01.avi", "DC/x01.avi", "DC/take.avi"):
        (root / stray).unlink()
    touch(root, "ALL/DC_a1.avi")
    with pytest.raises(CorpusError, match=r"rows have the clip 'DC_a01' .*omit_folders"):
        scan("savee", root)


# TESS


def test_tess(root):
    expected = look_alikes.tess(root)
    table = scan("tess", root)
    check_apart(table, expected)
    odd = table.set_index("clip").loc["OA_bite_neutral"]
    assert odd[["subject", "sentence", "sex", "age"]].tolist() == ["OAF", "bite", "female", "64"]
    assert set(table.loc[table["subject"] == "YAF", "age"]) == {"26"}


def test_tess_errors(root):
    look_alikes.tess(root)
    touch(root, "OAF_calm/OAF_back_calm.wav")
    with pytest.raises(
        CorpusError, match=r"files OAF_calm/OAF_back_calm\.wav in .* file names of TESS\. .*OAF_back_angry"
    ):
        scan("tess", root)
    (root / "OAF_calm/OAF_back_calm.wav").unlink()
    look_alikes.tess(root / "TESS Toronto emotional speech set data")
    with pytest.raises(CorpusError, match=r"42 recordings of TESS are there more than once.*omit_folders"):
        scan("tess", root)


# ESD


@pytest.mark.parametrize("split", ["auto", "published"])
def test_esd_published(root, split):
    expected = look_alikes.esd(root)
    table = scan("esd", root, split=split)
    assert as_clips(table) == expected
    assert (
        table.groupby("sentence")["split"].nunique().max() == 1 == table.groupby("sentence")["language"].nunique().max()
    )
    assert set(table["sentence"]) == {f"{language}{n:03d}" for language in ("en", "zh") for n in (1, 21, 51)}


@pytest.mark.slow
@pytest.mark.parametrize("folders", [True, False])
def test_esd_by_subject(root, folders):
    expected = look_alikes.esd(root, folders)
    table = scan("esd", root, split="subject" if folders else "auto")
    check_apart(table, with_split(expected, ""))
    assert table.groupby("subject")["sex"].first().tolist() == ["female", "male", "male", "male"]
    listed = scan("esd", root, val_subjects=["0020"], language="en")
    assert listed.groupby("subject")["split"].first().to_dict() == {"0011": "train", "0020": "val"}
    assert set(scan("esd", root, language="zh")["subject"]) == {"0001", "0010"}


def test_esd_errors(root):
    look_alikes.esd(root, folders=False)
    with pytest.raises(CorpusError, match=r"not all in folders train, evaluation, test .*set split: subject"):
        scan("esd", root, split="published")
    touch(root, "0011/Joyous/0011_000002.wav")
    with pytest.raises(CorpusError, match=r"'Joyous' of the clip 0011/Joyous"):
        scan("esd", root)
    (root / "0011/Joyous/0011_000002.wav").unlink()
    touch(root, "0011_000002.wav")
    with pytest.raises(CorpusError, match=r"files 0011_000002\.wav in .* are in no folder of a class"):
        scan("esd", root)
    touch(root, "0021_000001.wav")
    with pytest.raises(CorpusError, match=r"files 0021_000001\.wav in .* do not follow the file names of ESD"):
        scan("esd", root)


def test_esd_of_one_language(root):
    touch(root, "0011/Angry/0011_000351.wav")
    with pytest.raises(CorpusError, match=r"None of the 1 recordings in .* is of language: zh"):
        scan("esd", root, language="zh")


# emopipe init


@pytest.mark.parametrize(
    "kind", ["caer", "cremad", "dfew", "enterface", "esd", "ferv39k", "iemocap", "meld", "savee", "tess"]
)
def test_each_look_alike_is_recognised(root, kind):
    expected = getattr(look_alikes, kind)(root)
    found = recognition.in_folder(root)
    assert (found.kind, found.options) == (kind, {})
    assert with_split(as_clips(found.table), "") == with_split(expected, "")
    assert bool(found.drawn) == (kind not in ("caer", "meld", "esd", "iemocap"))


@pytest.mark.parametrize(
    ("kind", "labels", "options"),
    [
        ("iemocap", "iemocap6", {"emotions": 6}),
        ("iemocap", "iemocap4", {}),
        ("mafw", MAFW, {}),
        ("mer", "mer6", {}),
        ("mosei", MOSEI, {}),
    ],
)
def test_corpora_in_other_classes_are_recognised(root, kind, labels, options):
    getattr(look_alikes, kind)(root)
    found = recognition.in_folder(root, labelling(labels))
    assert (found.kind, found.options) == (kind, options)


@pytest.mark.slow
def test_options_are_recognised(root):
    look_alikes.dfew(root)
    for folder in ("original", "clip_224x224_avi"):
        shutil.rmtree(root / "Clip" / folder)
        found = recognition.in_folder(root)
        rest = {"original": "clip_224x224_avi", "clip_224x224_avi": "clip_224x224"}[folder]
        assert (found.kind, found.options) == ("dfew", {"clips": rest})


def test_sound_of_savee_is_recognised(root):
    touch(root, *(f"AudioData/{who}/{code}01.wav" for who in ("DC", "KL") for code in ("a", "sa")))
    found = recognition.in_folder(root)
    assert (found.kind, found.options) == ("savee", {"modality": "audio"})


# docs/corpora.md


def test_each_published_corpus_has_its_rows_in_the_docs():
    text = (REPOSITORY / "docs/corpora.md").read_text()
    for table in text.split("\n## "):
        kinds = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
        assert sorted(kinds) == sorted(set(corpora.KINDS) - {"demo", "folder", "table"})
