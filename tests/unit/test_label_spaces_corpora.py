"""Labels of corpora in any label space: names, votes, several classes and numbers become the column `label`."""

import itertools
import logging
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe import corpora
from emopipe.core.errors import ConfigError, CorpusError
from emopipe.core.label_block import LabelsBlock
from emopipe.core.labels import BASIC7, SETS, LabelSpace
from emopipe.core.options import Options
from emopipe.core.validation import checked
from emopipe.corpora.classes import SYNONYMS, names_of
from emopipe.corpora.label_columns import is_label
from emopipe.corpora.labelling import Labelling, in_run, labelled
from emopipe.corpora.table import from_rows


def labelling(labels):
    return Labelling.of(LabelsBlock.model_validate(labels))


def table_of(*cells, **columns):
    """A clip table with a row for each cell of `label`, or with columns of texts."""
    count = len(cells) or len(next(iter(columns.values())))
    rows = [{"clip": f"c{n}", "path": f"c{n}.mp4", "split": "train"} for n in range(count)]
    table = from_rows(rows)
    return table.assign(**({"label": list(cells)} if cells else {}), **{k: list(v) for k, v in columns.items()})


def labels_of(labels, *cells, **columns):
    return labelled(table_of(*cells, **columns), labelling(labels))["label"].tolist()


def corpus(root, kind, space, **options):
    """Scan a corpus as a run does whose config has the key `labels`."""
    context = in_run(labelling(space))
    return corpora.scan(kind, root, checked(corpora.options_class(kind), options, "corpus.options", context=context))


def wavs(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


# --- one class


@pytest.mark.parametrize(
    ("labels", "cells", "expected"),
    [
        ("basic7", ["anger", "HAP", ""], ["Angry", "Happy", ""]),
        (["bored", "engaged", "very_tired"], ["Boredom", "ENGAGED", " Very tired"], ["bored", "engaged", "very_tired"]),
        ("iemocap6", ["exc", "fru", "hap", "Anger"], ["Excited", "Frustrated", "Happy", "Angry"]),
        (["joy", "grief"], ["happiness", "JOY", "grief"], ["joy", "joy", "grief"]),
        # Each of these is a class of its own.
        (["joy", "happy", "sad"], ["Joy", "HAPPY", "sadness"], ["joy", "happy", "sad"]),
        ({"set": "iemocap4", "map": {"Excited": "happiness", "xxx": ""}}, ["excited", "sad", "XXX"], ["Happy", "Sad"]),
        ({"names": [1, 2], "map": {0: 1}}, ["0", "1", "2"], ["1", "1", "2"]),
    ],
)
def test_names_become_classes_of_the_space(labels, cells, expected):
    assert labels_of(labels, *cells) == expected


def test_the_map_goes_before_all_names():
    swapped = {"set": "basic7", "map": {"happy": "Sad", "Sad": "Happy"}}
    assert labels_of(swapped, "Happy", "sad", "fear") == ["Sad", "Happy", "Fear"]


def test_synonyms_of_a_name_in_the_map_count_as_it():
    labels = {"names": ["joy", "bad"], "map": {"Fear": "bad", "Happy": "bad", "sad": "bad", "sadness": "joy"}}
    # joy is a class itself, and sadness is in the map itself.
    cells = ["fearful", "happiness", "JOY", "sad", "sadness"]
    assert labels_of(labels, *cells) == ["bad", "bad", "joy", "bad", "joy"]


@pytest.mark.slow
@given(st.permutations(["Excited", "bored", "XXX", "happy", "frustrated"]))
def test_the_order_of_the_map_changes_nothing(names):
    targets = {"Excited": "Happy", "bored": "", "XXX": "Sad", "happy": "Neutral", "frustrated": "Angry"}
    cells = ["excited", "Bored", "xxx", "Happy", "fru", "frustrated", "sad"]
    labels = {"set": "iemocap4", "map": {name: targets[name] for name in names}, "others": "exclude"}
    assert labels_of(labels, *cells) == ["Happy", "Sad", "Neutral", "Angry", "Angry", "Sad"]


@pytest.mark.slow
@given(st.permutations(SETS["ferplus8"]))
def test_the_order_of_the_names_changes_no_label(names):
    cells = ["anger", "contempt", "Happy", "neu"]
    assert labels_of(list(names), *cells) == ["Angry", "Contempt", "Happy", "Neutral"]


def test_names_of_the_seven_are_what_they_were():
    assert names_of(SETS["basic7"]) == {name: label for label, names in SYNONYMS.items() for name in names}
    for classes in SETS.values():
        assert {name: names_of(classes)[name.casefold()] for name in classes} == {name: name for name in classes}


def test_other_classes_are_refused_with_what_to_do():
    with pytest.raises(CorpusError) as error:
        labels_of("iemocap4", "angry", "Disgust", "Fear")
    said = str(error.value)
    assert said.startswith("The label 'Disgust' of the clip c1.mp4 (and 1 more clips of such classes) is not in the ")
    assert "Expected one of Angry, Happy, Neutral, Sad." in said
    assert "labels: {map: {'Disgust': 'Angry'}}" in said and "labels.others: exclude" in said
    assert said.endswith("or add it to labels.")
    with pytest.raises(
        CorpusError, match=r"'Calm' of the clip c0\.mp4 is not one of the seven.*key labels of the conf"
    ):
        labels_of("basic7", "Calm")


def test_other_classes_are_omitted_counted_and_logged(caplog):
    with caplog.at_level(logging.INFO):
        found = labels_of({"set": "iemocap4", "others": "exclude"}, "angry", "Disgust", "typo", "Disgust", "")
    assert found == ["Angry", ""]
    assert "3 of 5 clips are omitted, because their label is not in the label space (Angry, Happy, Neutral, Sad): " in (
        caplog.text
    )
    assert "Disgust 2, typo 1 (labels.others: exclude)." in caplog.text


def test_a_corpus_without_any_label_of_the_space_is_refused():
    with pytest.raises(CorpusError, match=r"None of the 2 clips has a label in the label space, and labels\.others is"):
        labels_of({"set": "iemocap4", "others": "exclude"}, "fear", "disgust")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            {"set": "iemocap4", "map": {"x": "Fear"}},
            r"labels\.map\.x is 'Fear', which is not a label of the label space",
        ),
        (
            {"set": "iemocap4", "map": {"x": "Sad;Happy"}},
            r"Expected one of Angry, Happy, Neutral, Sad, or an empty text",
        ),
        ({"set": "iemocap4", "map": {"A b": "Sad", "a_B": "Happy"}}, r"labels\.map has 'a_B' twice, as 'Sad' and as"),
        (
            {"names": ["valence", "arousal"], "kind": "dimensions", "map": {"Happy": "0.5;1.5"}},
            r"'0.5;1.5', which is not a label .* a number from -1 to 1 for each of valence, arousal, such as '0;0'",
        ),
    ],
)
def test_maps_to_what_is_not_a_label_are_refused(labels, said):
    with pytest.raises(ConfigError, match=said):
        labelling(labels)


# --- votes


def test_the_label_of_votes_is_the_class_with_most():
    votes = {"votes_happiness": ["3", "2", ""], "votes_SAD": ["1", "2", "0"], "voice_votes_ang": ["1", "", ""]}
    found = labelled(table_of("Sad", "Sad", "Sad", **votes), labelling({"set": "iemocap4", "kind": "votes"}))
    assert found["label"].tolist() == ["Happy", "Happy;Sad", "Sad"]
    space = LabelSpace(SETS["iemocap4"], "votes")
    assert {*space.vote_columns, "voice_votes_Angry"} <= {*found.columns}
    assert found["votes_Happy"].tolist() == ["3", "2", ""] and found["votes_Angry"].tolist() == ["0"] * 3
    assert space.targets(found).tolist() == [[0, 0.75, 0, 0.25], [0, 0.5, 0, 0.5], [0, 0, 0, 1]]


def test_votes_of_classes_that_count_as_one_are_added():
    labels = {"set": "iemocap4", "kind": "votes", "map": {"exc": "Happy"}}
    found = labelled(table_of(votes_exc=["2", ""], votes_hap=["1.5", ""], votes_sad=["3", "1"]), labelling(labels))
    assert found["votes_Happy"].tolist() == ["3.5", "0"] and found["label"].tolist() == ["Happy", "Sad"]


def test_a_column_of_votes_may_have_the_name_of_another_one_before_the_map():
    labels = {"names": ["Happy", "Sad", "Neutral"], "kind": "votes", "map": {"Excited": "Happy", "Happy": "Neutral"}}
    votes = {"votes_Excited": ["2", "0"], "votes_Happy": ["1", "3"], "votes_Sad": ["0", "1"]}
    found = labelled(table_of(**votes), labelling(labels))
    assert found["label"].tolist() == ["Happy", "Neutral"]
    assert [name for name in found if name.startswith("votes_")] == ["votes_Happy", "votes_Neutral", "votes_Sad"]
    assert found[["votes_Happy", "votes_Neutral", "votes_Sad"]].values.tolist() == [["2", "1", "0"], ["0", "3", "1"]]


def test_votes_of_a_name_that_counts_as_several_classes_are_shared():
    labels = {"names": ["Happy", "Sad"], "kind": "votes", "map": {"bittersweet": "Happy;Sad"}}
    given = table_of(votes_bittersweet=["2", "5"], votes_Happy=["1", "0"], votes_Sad=["0", ""])
    found = labelled(given, labelling(labels))
    assert found["label"].tolist() == ["Happy", "Happy;Sad"] and "votes_bittersweet" not in found
    assert found[["votes_Happy", "votes_Sad"]].values.tolist() == [["2", "1"], ["2.5", "2.5"]]


def test_votes_for_other_classes_are_refused_or_dropped(caplog):
    given = table_of(votes_happy=["1", "0"], votes_fear=["2", "3"], votes_dis=["0", ""])
    with pytest.raises(CorpusError, match=r"column votes_fear has votes for a class that is not .*\"fear\": Angry"):
        labelled(given, labelling({"set": "iemocap4", "kind": "votes"}))
    with caplog.at_level(logging.INFO):
        found = labelled(given, labelling({"set": "iemocap4", "kind": "votes", "others": "exclude"}))
    assert found["clip"].tolist() == ["c0"] and found["label"].tolist() == ["Happy"]
    assert "votes_fear" not in found and "1 of 2 clips are omitted" in caplog.text
    # A column without a vote does not matter.
    assert labels_of({"set": "iemocap4", "kind": "votes"}, votes_happy=["1"], votes_fear=["0"]) == ["Happy"]


@pytest.mark.parametrize("cell", ["-1", "two", "nan", "inf"])
def test_votes_that_are_not_numbers_are_refused_by_clip_and_column(cell):
    with pytest.raises(
        CorpusError, match=rf"The clip c1\.mp4 has '{cell}' in the column votes_Sad\. Expected a number"
    ):
        labels_of({"set": "iemocap4", "kind": "votes"}, votes_Happy=["1", "1"], votes_Sad=["1", cell])


def test_votes_beside_single_labels_keep_the_label_and_get_the_names():
    found = labelled(table_of("sad", votes_hap=["3"], face_votes_xyz=["1"], sex=["f"]), labelling("basic7"))
    assert found[["label", "votes_Happy", "face_votes_xyz", "sex"]].iloc[0].tolist() == ["Sad", "3", "1", "f"]


def test_labels_without_votes_count_as_one_vote(caplog):
    with caplog.at_level(logging.WARNING):
        assert labels_of({"set": "iemocap4", "kind": "votes"}, "sad", "happy;angry") == ["Sad", "Angry;Happy"]
    assert "No clip has votes in columns votes_<class>, so each label counts as one vote" in caplog.text


def test_intended_classes_get_the_names_of_the_space():
    labels = {"set": "iemocap4", "map": {"exc": "Happy", "calm": ""}}
    found = labelled(table_of(*["sad"] * 4, intended=["exc", "calm", "fear", ""]), labelling(labels))
    assert found["intended"].tolist() == ["Happy", "", "", ""]


# --- several classes


@pytest.mark.parametrize(
    ("cell", "label"),
    [
        ("sad;happy", "Happy;Sad"),
        ("Happy", "Happy"),
        ("(none)", "(none)"),
        ("exc; Anger", "Angry;Happy"),
        ("calm", "(none)"),
        ("calm;sad", "Sad"),
        ("mixed", "Angry;Sad"),
    ],
)
def test_cells_with_several_classes(cell, label):
    mapped = {"exc": "Happy", "calm": "(none)", "mixed": "Sad;Angry"}
    assert labels_of({"set": "iemocap4", "kind": "multi", "map": mapped}, cell) == [label]


def test_a_clip_with_a_class_that_is_omitted_is_omitted():
    labels = {"set": "iemocap4", "kind": "multi", "map": {"fear": ""}}
    assert labels_of(labels, "sad;fear", "sad", "fear") == ["Sad"]
    with pytest.raises(
        CorpusError, match=r"'sad;bored' .* some of Angry, Happy, Neutral, Sad, such as Angry;Happy, or"
    ):
        labels_of(labels, "sad;bored")


def test_a_column_for_each_class_stands_for_the_label():
    labels = {"names": ["Happy", "Sad", "calm"], "kind": "multi"}
    columns = {"happiness": ["1", "0", ""], "SAD": ["1.0", "0", ""], "Calm": ["0", "0", ""]}
    assert labels_of(labels, **columns) == ["Happy;Sad", "(none)", ""]
    assert labels_of(labels, "sad", "Happy", "calm", **columns) == ["Sad", "Happy", "calm"]
    with pytest.raises(CorpusError, match=r"for each of the classes happiness, SAD, but none for calm"):
        labels_of(labels, **{name: columns[name] for name in ("happiness", "SAD")})
    with pytest.raises(CorpusError, match=r"The clip c0\.mp4 has '2' in the column Calm\. Expected 0 or 1"):
        labels_of(labels, **{**columns, "Calm": ["2", "0", "0"]})
    with pytest.raises(CorpusError, match=r"The clip c2\.mp4 has no number in the column happiness, SAD\."):
        labels_of(labels, **{**columns, "Calm": ["0", "0", "0"]})


# --- dimensions


VA = {"names": ["valence", "arousal"], "kind": "dimensions"}


def test_numbers_become_labels():
    assert labels_of(VA, Valence=["0.5", "-1", ""], AROUSAL=["-0.25", "1e-1", ""]) == ["0.5;-0.25", "-1;0.1", ""]
    # A class beside the numbers is not the label.
    assert labels_of(VA, "Happy", valence=["0.5"], arousal=["0"]) == ["0.5;0"]
    assert labels_of(VA, "0.5; 0") == ["0.5;0"]
    assert labels_of({**VA, "map": {"Happy": "0.8;0.50"}}, "happy", "") == ["0.8;0.5", ""]
    assert labels_of({**VA, "range": [1, 5]}, valence=["4.5"], arousal=["1"]) == ["4.5;1"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"valence": ["1.5"], "arousal": ["0"]}, r"'1\.5' in the column valence\. Expected a number from -1 to 1\."),
        ({"valence": ["x"], "arousal": ["0"]}, r"c0\.mp4 has 'x' in the column valence"),
        ({"valence": ["0.5"]}, r"have the column valence, but none for the dimension arousal"),
        ({"valence": ["0.5"], "arousal": [""]}, r"The clip c0\.mp4 has no number in the column arousal"),
        ({"label": ["Happy"]}, r"'Happy' .* a number from -1 to 1 for each of valence, arousal, .* or the columns val"),
    ],
)
def test_numbers_that_cannot_be_are_refused(columns, said):
    with pytest.raises(CorpusError, match=said):
        labels_of(VA, **columns)


# --- which texts are labels


@pytest.mark.parametrize("kind", ["single", "votes", "multi", "dimensions"])
def test_what_a_space_writes_is_a_label_and_other_texts_are_not(kind):
    space = LabelSpace(("a", "b", "c"), kind)
    for vector in itertools.product([0.0, 1.0], repeat=3):
        row = pd.Series(vector).to_numpy()
        expected = kind in ("multi", "dimensions") or (any(vector) and (kind == "votes" or sum(vector) == 1))
        if any(vector) or kind in ("multi", "dimensions"):
            assert is_label(space.label(row), space) == expected
    assert not any(is_label(text, space) for text in ("", "d", "b;a", "a;a", "a;d", "0.5", "2;0;0", "nan;0;0"))


# --- corpora


def test_every_kind_of_corpus_knows_the_label_space(tmp_path):
    for kind in corpora.list_kinds():
        if kind != "demo":
            options = checked(corpora.options_class(kind), {}, context=in_run(labelling("iemocap4")))
            assert options.labelling.space == LabelSpace(SETS["iemocap4"]), kind


def test_calm_clips_of_ravdess_are_kept_where_the_space_or_the_map_has_them(tmp_path):
    wavs(tmp_path, *[f"03-01-0{code}-01-01-01-0{code}.wav" for code in (1, 2, 3)])
    names = ["neutral", "calm", "happy"]
    assert corpus(tmp_path, "ravdess", names, modality="audio")["label"].tolist() == names
    assert corpus(tmp_path, "ravdess", names, modality="audio", calm="exclude")["label"].tolist() == [
        "neutral",
        "happy",
    ]
    assert corpus(tmp_path, "ravdess", "basic7", modality="audio")["label"].tolist() == ["Neutral", "Happy"]
    mapped = {"set": "basic7", "map": {"calm": "Neutral"}}
    assert corpus(tmp_path, "ravdess", mapped, modality="audio")["label"].tolist() == ["Neutral", "Neutral", "Happy"]
    with pytest.raises(ConfigError, match=r"options\.calm: it is calm, .* or add Calm to the key labels of the config"):
        corpus(tmp_path, "ravdess", "basic7", modality="audio", calm="calm")


def test_boredom_of_emodb_is_kept_where_the_space_has_it(tmp_path):
    wavs(tmp_path, "03a01Fa.wav", "03a01La.wav", "08a01Wa.wav")
    assert corpus(tmp_path, "emodb", ["joy", "bored", "anger"])["label"].tolist() == ["joy", "bored", "anger"]
    assert corpus(tmp_path, "emodb", "basic7")["label"].tolist() == ["Happy", "Angry"]


def test_cremad_in_four_classes_needs_a_map_or_an_exclusion(tmp_path):
    wavs(tmp_path, *[f"100{n}_DFA_{code}_XX.wav" for n in (1, 2) for code in ("ANG", "DIS", "FEA", "HAP")])
    with pytest.raises(CorpusError, match=r"The label 'Disgust' of the clip .* labels\.others: exclude"):
        corpus(tmp_path, "cremad", "iemocap4", modality="audio")
    excluded = corpus(tmp_path, "cremad", {"set": "iemocap4", "others": "exclude"}, modality="audio")
    assert excluded["label"].tolist() == ["Angry", "Happy"] * 2
    mapped = corpus(
        tmp_path,
        "cremad",
        {"set": "iemocap4", "map": {"disgust": "Angry", "fear": ""}},
        modality="audio",
    )
    assert mapped["label"].tolist() == ["Angry", "Angry", "Happy"] * 2


def test_folders_are_named_by_the_classes_of_the_space(tmp_path):
    wavs(tmp_path, *[f"{name}/{n}_{name}.wav" for name in ("Bored", "engaged") for n in range(5)])
    found = corpus(tmp_path, "folder", ["bored", "engaged"])
    assert found.groupby("split")["label"].nunique().to_dict() == {"train": 2, "val": 2}
    assert set(found["label"]) == {"bored", "engaged"}


def test_a_table_of_people_may_list_clips_that_are_omitted(tmp_path):
    wavs(tmp_path, "angry/1.wav", "fear/2.wav", "sad/3.wav", "sad/4.wav")
    (tmp_path / "people.csv").write_text("clip,subject\n1,a\n2,a\n3,b\n4,b\n")
    labels = {"set": "iemocap4", "others": "exclude"}
    found = corpus(tmp_path, "folder", labels, groups="people.csv")
    assert found[["clip", "subject"]].values.tolist() == [["1", "a"], ["3", "b"], ["4", "b"]]
    (tmp_path / "people.csv").write_text("clip,subject\n1,a\n5,a\n3,b\n4,b\n")
    with pytest.raises(CorpusError, match=r"lists 1 clips that the corpus .* does not have: 5"):
        corpus(tmp_path, "folder", labels, groups="people.csv")


def test_the_option_labels_goes_before_the_map(tmp_path):
    wavs(tmp_path, "x/1.wav", "y/2.wav", "z/3.wav")
    labels = {"names": ["up", "down"], "map": {"x": "up", "y": "up", "z": "down"}}
    found = corpus(tmp_path, "folder", labels, labels={"y": "down", "z": ""}, split="stratified")
    assert found["label"].tolist() == ["up", "down"]
    with pytest.raises(ConfigError, match=r"corpus\.options\.labels\.x: 'Happy' is not a label .* one of up, down"):
        corpus(tmp_path, "folder", labels, labels={"x": "Happy"})


@pytest.mark.parametrize(
    ("labels", "header", "rows", "expected"),
    [
        ({"set": "iemocap4", "kind": "votes"}, "votes_ang,votes_sad", ["2,1", "1,1"], ["Angry", "Angry;Sad"]),
        ({"names": ["a", "b"], "kind": "multi"}, "A,B", ["0,1", "0,0"], ["b", "(none)"]),
        ({"names": ["a", "b"], "kind": "multi"}, "label", ["b;a", "(none)"], ["a;b", "(none)"]),
        (VA, "valence,arousal", ["0.25,-1", "0,0"], ["0.25;-1", "0;0"]),
    ],
)
def test_tables_need_no_label_where_other_columns_give_it(tmp_path, labels, header, rows, expected):
    wavs(tmp_path, "a.wav", "b.wav")
    lines = [f"path,split,{header}", f"a.wav,train,{rows[0]}", f"b.wav,val,{rows[1]}"]
    (tmp_path / "clips.csv").write_text("\n".join(lines))
    assert corpus(tmp_path, "table", labels)["label"].tolist() == expected


def test_a_table_without_any_label_is_refused_with_the_columns_of_the_kind(tmp_path):
    wavs(tmp_path, "a.wav")
    (tmp_path / "clips.csv").write_text("path\na.wav\n")
    for labels, said in (
        ("basic7", r"lacks the column label\. Its"),
        ({"set": "iemocap4", "kind": "votes"}, r"lacks the column label, or columns votes_<class>\. Its"),
        (VA, r"lacks the column label, or the columns valence, arousal\. Its"),
    ):
        with pytest.raises(CorpusError, match=said):
            corpus(tmp_path, "table", labels)


def test_training_clips_without_numbers_are_refused(tmp_path):
    wavs(tmp_path, "a.wav", "b.wav", "c.wav")
    lines = ["path,split,valence,arousal", "a.wav,train,0,0", "b.wav,{},,", "c.wav,val,1,1"]
    (tmp_path / "clips.csv").write_text("\n".join(lines).format("test"))
    assert corpus(tmp_path, "table", VA)["label"].tolist() == ["0;0", "", "1;1"]
    (tmp_path / "clips.csv").write_text("\n".join(lines).format("train"))
    with pytest.raises(CorpusError, match=r"The clips b of the splits train and val have no label"):
        corpus(tmp_path, "table", VA)


def test_people_in_test_for_want_of_a_label_are_refused_with_the_clips(tmp_path):
    wavs(tmp_path, *(f"{person}{n}.wav" for person in "ab" for n in range(3)))
    rows = "".join(
        f"{person}{n}.wav,{person},{'' if person + str(n) == 'a1' else 1}\n" for person in "ab" for n in (0, 1, 2)
    )
    (tmp_path / "clips.csv").write_text(f"path,subject,votes_Happy\n{rows}")
    said = r"'a' is in the splits test and train\..* The test clips of this subject have no label: a1\. Clips without"
    with pytest.raises(CorpusError, match=said):
        corpus(tmp_path, "table", {"set": "iemocap4", "kind": "votes"}, val_subjects=["b"])


def test_a_plug_in_that_does_not_know_label_spaces_has_labels_of_the_space(tmp_path, monkeypatch):
    def scan(root, options):
        return table_of("bored", "ENGAGED", split=["train", "val"])

    monkeypatch.setattr(corpora.REGISTRY, "load", lambda kind: SimpleNamespace(CorpusOptions=Options, scan=scan))
    wavs(tmp_path, "c0.mp4", "c1.mp4")
    found = corpora.scan("own", tmp_path, Options(), labelling=labelling(["Bored", "engaged"]))
    assert found["label"].tolist() == ["Bored", "engaged"]
    with pytest.raises(CorpusError, match=r"The class 'bored' of the clip c0\.mp4 .* is not one of the seven"):
        corpora.scan("own", tmp_path, Options(), labelling=labelling("basic7"))
    with pytest.raises(CorpusError, match=r"The clip 'c0' has the label 'bored' .*\. Expected one of Angry, Disgust"):
        corpora.scan("own", tmp_path, Options())


def test_labels_of_the_seven_and_of_a_default_block_are_equal():
    assert labelling("basic7").space == BASIC7 == Labelling().space
    table = table_of("angry", "SUR", "")
    assert labelled(table, labelling("basic7")).equals(labelled(table, Labelling()))
