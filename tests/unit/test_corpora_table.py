import os
import unicodedata

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emopipe.core.errors import CorpusError
from emopipe.core.hashing import bucket
from emopipe.core.tables import read, write
from emopipe.corpora.ids import MAX_ID_BYTES, safe_id
from emopipe.corpora.table import COLUMNS, check, from_rows


def row(clip, split="train", label="Happy", **more):
    return {"clip": clip, "path": f"{clip}.avi", "split": split, "label": label, **more}


def checked(root, *rows, touch=True, **options):
    for each in rows if touch else ():
        (root / each["path"]).parent.mkdir(parents=True, exist_ok=True)
        (root / each["path"]).touch()
    return check(from_rows(rows), root, **options)


def test_check_sorts_and_orders_and_keeps_strings(tmp_path):
    table = checked(tmp_path, row("010", extra="x"), row("002", "val"), row("1", "test", ""))
    assert table["clip"].tolist() == ["002", "010", "1"]
    assert tuple(table.columns) == (*COLUMNS, "extra")
    assert table["extra"].tolist() == ["", "x", ""]
    assert table["subject"].tolist() == ["", "", ""]


def test_a_caller_that_counts_them_gets_missing_files_and_unlabelled_clips(tmp_path):
    rows = row("gone"), row("a", "val", "")
    with pytest.raises(CorpusError, match=r"The files a\.avi, gone\.avi are not in the corpus folder"):
        checked(tmp_path, *rows, touch=False)
    table = checked(tmp_path, *rows, touch=False, lenient=True)
    assert table["clip"].tolist() == ["a", "gone"] and table["label"].tolist() == ["", "Happy"]
    with pytest.raises(CorpusError, match="has the label 'Glad'"):
        checked(tmp_path, row("a", label="Glad"), lenient=True)


def test_no_clips_and_no_columns_are_told(tmp_path):
    with pytest.raises(CorpusError, match=r"^No clips were found in .*Check corpus_root"):
        checked(tmp_path)
    with pytest.raises(CorpusError, match="lacks the columns path, split, label and 1 more"):
        check(pd.DataFrame({"clip": ["a"]}, dtype=str), tmp_path)


def test_duplicate_ids_are_named_with_both_paths(tmp_path):
    rows = [row("a") | {"path": "x/a.avi"}, row("a") | {"path": "y/a.avi"}]
    message = r"^Several rows have the clip 'a' \(path: x/a.avi, y/a.avi\)\. Each clip must be unique"
    with pytest.raises(CorpusError, match=message):
        checked(tmp_path, *rows)
    others = [row("b") | {"path": "x/b.avi"}, row("b") | {"path": "y/b.avi"}]
    with pytest.raises(CorpusError, match="and 1 more are repeated"):
        checked(tmp_path, *rows, *others)


def test_one_file_under_two_ids_is_told(tmp_path):
    with pytest.raises(CorpusError, match=r"^Several rows have the path 'a.avi' \(clip: a, b\)"):
        checked(tmp_path, row("a"), row("b") | {"path": "a.avi"})


def test_an_empty_id_is_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"^The clip with the path 'p.avi' has an empty id\. Give it an id\.$"):
        checked(tmp_path, row("") | {"path": "p.avi"})


@pytest.mark.parametrize(
    ("clip", "safe"),
    [
        (" ", "%20"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("../../x", "..%2F..%2Fx"),
        ("a/b", "a%2Fb"),
        ("/etc/a", "%2Fetc%2Fa"),
        ("a\\b", "a%5Cb"),
        ("a\nb", "a%0Ab"),
        ("a\x00b", "a%00b"),
        ("a\x7f", "a%7F"),
        ("a\u2028b", "a%E2%80%A8b"),
        ("\udcff", "%FF"),
        ("a%2Fb", "a%252Fb"),
        ("x" * 201, "x" * 182 + "%~" + "84a0678c90937f5d"),
    ],
)
def test_ids_that_are_no_file_names_are_written_as_such(tmp_path, clip, safe):
    assert checked(tmp_path, row(clip) | {"path": "p.avi"})["clip"].tolist() == [safe]


def test_what_is_written_otherwise_is_told(tmp_path, caplog):
    with caplog.at_level("INFO"):
        table = checked(tmp_path, *(row(clip) | {"path": f"{n}.avi"} for n, clip in enumerate(["../x", "..%2Fx", "y"])))
    assert table["clip"].tolist() == ["..%252Fx", "..%2Fx", "y"]
    assert "2 clip ids are not safe file names and are written differently, such as '../x' as '..%2Fx'." in caplog.text


IDS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=6)
NAMES = st.binary(min_size=1, max_size=6).map(os.fsdecode)
AWKWARD = st.text(st.sampled_from("%2Ff~./\\ \nx"), min_size=1, max_size=8)
LONG = st.text(st.sampled_from("xé/"), min_size=150, max_size=300)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(IDS | NAMES | AWKWARD | LONG, min_size=2, max_size=6, unique=True))
def test_every_id_is_a_file_name_and_no_two_become_one(clips):
    safe = [safe_id(clip) for clip in clips]
    assert len(set(safe)) == len(clips)
    for clip in safe:
        assert clip.strip() and clip not in (".", "..") and not set("/\\") & set(clip)
        assert len(clip.encode()) <= MAX_ID_BYTES  # and is UTF-8
        assert not {unicodedata.category(character) for character in clip} & {"Cc", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize("clip", ["001", "a..b", "ä, \"b\" 'c'", "NA", "日本", "-x", "x" * 200])
def test_odd_but_harmless_ids_pass(tmp_path, clip):
    assert checked(tmp_path, row(clip) | {"path": "p.avi"})["clip"].tolist() == [clip]


def test_missing_files_are_named_and_counted(tmp_path):
    with pytest.raises(CorpusError, match=r"^The files a.avi, b.avi, c.avi and 2 more are not in the corpus"):
        checked(tmp_path, *(row(clip) for clip in "abcde"), touch=False)


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../a.avi", "x/../../a.avi"])
def test_paths_outside_of_root_are_refused(tmp_path, path):
    with pytest.raises(CorpusError, match="is not below the corpus folder"):
        checked(tmp_path, row("a") | {"path": path}, touch=False)


@pytest.mark.parametrize("name", ["two\nlines.avi", "carriage\rreturn.avi", '"a", b.avi', os.fsdecode(b"\xe9\xff.avi")])
def test_any_name_of_a_file_is_good(tmp_path, name):
    table = checked(tmp_path, row("a") | {"path": name})
    write(table, tmp_path / "clips.csv")
    back = read(tmp_path / "clips.csv")
    assert back["path"].tolist() == [name] and (tmp_path / back["path"][0]).is_file()


def test_a_link_to_nothing_is_a_clip_and_a_folder_is_none(tmp_path):
    (tmp_path / "a.avi").symlink_to("nowhere.avi")
    assert checked(tmp_path, row("a"), touch=False)["path"].tolist() == ["a.avi"]
    (tmp_path / "b.avi").mkdir()
    with pytest.raises(CorpusError, match=r"The files b\.avi are not in the corpus folder"):
        checked(tmp_path, row("a"), row("b"), touch=False)


@pytest.mark.parametrize("path", ["x" * 300, "a.avi/b.avi", "a\x00b.avi"])
def test_paths_that_cannot_be_are_missing(tmp_path, path):
    (tmp_path / "a.avi").touch()
    with pytest.raises(CorpusError, match="are not in the corpus folder"):
        checked(tmp_path, row("a") | {"path": path}, touch=False)


def test_bad_split_and_bad_label_are_told(tmp_path):
    with pytest.raises(CorpusError, match=r"'a' has the split 'dev' .and 1 more like it.*train, val, test"):
        checked(tmp_path, row("a", "dev"), row("b", "dev"))
    with pytest.raises(CorpusError, match=r"'a' has the label 'happy'\. Expected one of Angry"):
        checked(tmp_path, row("a", label="happy"))


@pytest.mark.parametrize("split", ["train", "val"])
def test_only_test_may_be_unlabelled(tmp_path, split):
    with pytest.raises(CorpusError, match="clips a of the splits train and val have no label"):
        checked(tmp_path, row("a", split, ""), row("b", "test", ""))


def test_subject_in_two_splits_is_told_unless_asked_for(tmp_path):
    rows = [row("a", subject="7"), row("b", "val", subject="7"), row("c", subject="8")]
    with pytest.raises(CorpusError, match=r"The subject '7' is in the splits train and val\. No subject"):
        checked(tmp_path, *rows)
    assert len(checked(tmp_path, *rows, subjects_apart=False)) == 3


def test_unknown_subjects_and_a_single_subject_may_be_anywhere(tmp_path):
    assert len(checked(tmp_path, row("a"), row("b", "val"), row("c", subject="8"))) == 3
    assert len(checked(tmp_path, row("a", subject="1"), row("b", "val", subject="1"))) == 2


CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=12)
BYTES = st.binary(max_size=12).filter(lambda data: 0 not in data).map(os.fsdecode)
TRICKY = st.sampled_from(["001", "NA", "nan", "", "1e5", "True", ' "q" ', "a,b", "x\ny", "x\r\ny", "\r", "ä", "\udcff"])


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(CELLS | TRICKY | BYTES, CELLS | TRICKY | BYTES), max_size=5))
def test_csv_round_trip(tmp_path_factory, cells):
    path = tmp_path_factory.mktemp("csv") / "clips.csv"
    table = from_rows({"clip": clip, "path": other, "split": "train"} for clip, other in cells)
    write(table, path)
    back = read(path)
    assert back.to_dict("list") == table.to_dict("list")
    assert all(isinstance(cell, str) for cell in back.to_numpy().ravel())


def test_write_is_deterministic_and_leaves_nothing_beside(tmp_path):
    table = checked(tmp_path / "root", row("b"), row("a"))
    write(table, tmp_path / "out" / "1.csv")
    write(table, tmp_path / "out" / "2.csv")
    assert (tmp_path / "out" / "1.csv").read_bytes() == (tmp_path / "out" / "2.csv").read_bytes()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.csv", "2.csv"]


def test_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "clips.csv"
    write(from_rows([row("a")]), path)
    before = path.read_bytes()
    with pytest.raises(UnicodeEncodeError):
        write(from_rows([row("\ud800")]), path)  # stands for no bytes
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["clips.csv"]


def test_buckets_are_stable_and_even():
    # Golden values: another hash would recompute every cache that users have.
    assert [bucket(clip, 16) for clip in ("000046280", "a", "")] == [12, 10, 4]
    counts = pd.Series([bucket(f"{i:09d}", 8) for i in range(4000)]).value_counts()
    assert len(counts) == 8 and counts.min() > 400
