"""Tables whose rows are parts of files: what their times may be, their ids and digests, and what is refused."""

import hashlib
import re
import wave
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from emopipe import corpora
from emopipe.backbones import registry as backbones
from emopipe.commands.main import app
from emopipe.core.errors import CorpusError
from emopipe.core.hashing import bucket
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER
from emopipe.corpora import digests, times
from emopipe.evaluation import samples
from emopipe.inference.inputs import expand, part_of
from emopipe.inference.predictor import Predictor
from emopipe.media import lengths
from emopipe.media.decoded import AUDIO_RATE, Media, Span
from emopipe.media.lengths import Look
from emopipe.stages import corpus as corpus_stage
from emopipe.training import loading
from emopipe.training.phase_options import SpeechPhase
from emopipe.training.sources import SourceBlock
from emopipe.workflow import config as configs
from emopipe.workflow import part_lengths, scan, sharding

CONFIG = {
    "run": "r",
    "corpus": {"name": "c", "kind": "table"},
    "decode": {"one": {"policy": "count", "count": 1}},
    "backbones": {"voices": {"kind": "speech", "weights": "speech_logmel"}},
}
PARTS = "clip,path,label,start,end\n1,talk.wav,happy,0,1\n2,talk.wav,sad,1,2\n3,talk.wav,neutral,2,3\n"


def sound(path, seconds=3.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(
            np.random.default_rng(list(path.name.encode()))
            .normal(0, 3000, round(8000 * seconds))
            .astype("<i2")
            .tobytes()
        )


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A corpus in the current folder: two sound files of three seconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(LOGGER, "propagate", True)
    for name in ("talk.wav", "deep/er/talk.wav"):
        sound(tmp_path / "data" / name)
    return tmp_path / "data"


def scanned(root, text=PARTS):
    (root / "clips.csv").write_text(text)
    return corpora.scan("table", root, corpora.options_class("table")())


def config(root):
    return configs.parse(CONFIG | {"corpus_root": str(root)})


# --- times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0), ("12", 12), ("12.5", 12.5), (".5", 0.5), ("7.", 7), ("1e2", 100), ("90:00", 5400), ("1:02", 62),
        ("01:02.25", 62.25), ("1:02:03", 3723), ("0:00:59.999", 59.999), ("00:16:16,059", 976.059),
        ("100:00:00", 360_000),
    ],
)  # fmt: skip
def test_times(text, expected):
    assert times.seconds(text) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "-1",
        "nan",
        "inf",
        "1:60",
        "1:60:00",
        "1:2:3:4",
        "1,5",
        "1e999",
        "1_0",
        "1:",
        ":5",
        "1:-2",
        "٣",
        "12 s",
        "1::2",
    ],
)
def test_what_is_not_a_time(text):
    with pytest.raises(ValueError, match="is not a time"):
        times.seconds(text)


@given(st.integers(0, 10**12))
def test_times_are_written_to_the_microsecond(microseconds):
    time = microseconds / 1e6
    assert times.seconds(times.as_text(time)) == pytest.approx(time, abs=1e-6)


def test_rows_are_parts_and_times_are_seconds(root):
    table = scanned(
        root, "clip,path,label,start,end\nx,talk.wav,happy,,0:01.50\ny,talk.wav,sad,00:00:01.5,\nz,talk.wav,fear,0,\n"
    )
    assert table[["clip", "start", "end"]].values.tolist() == [["x", "0", "1.5"], ["y", "1.5", ""], ["z", "", ""]]
    assert times.is_part(table).tolist() == [True, True, False]


def test_one_column_is_enough(root):
    table = scanned(root, "path,label,start\ntalk.wav,happy,1\ndeep/er/talk.wav,sad,2.50\n")
    assert table[["clip", "start", "end"]].values.tolist() == [
        ["deep%2Fer%2Ftalk.wav#t=2.5", "2.5", ""], ["talk.wav#t=1", "1", ""],
    ]  # fmt: skip
    assert scanned(root, "path,label,end\ntalk.wav,happy,1\ndeep/er/talk.wav,sad,\n")["clip"].tolist() == [
        "talk", "talk.wav#t=0,1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("2,1", "the start 2 and the end 1"), ("1,1", "the start 1 and the end 1"), ("-1,2", "the start '-1'"),
        ("0,nan", "the end 'nan'"), ("0,1:99", "the end '1:99'"), (",0", "the start 0 and the end 0"),
        ("a,b", "the start 'a'"),
        ("1,inf", "the end 'inf'"),
    ],
)  # fmt: skip
def test_wrong_times_are_refused_by_row(root, cells, said):
    with pytest.raises(CorpusError) as refused:
        scanned(root, f"path,label,start,end\ntalk.wav,happy,0,1\ntalk.wav,sad,{cells}\n")
    assert f"row 3 (talk.wav) has {said}. Expected" in str(refused.value) and "h:mm:ss" in str(refused.value)


def test_several_wrong_times_are_counted(root):
    with pytest.raises(CorpusError, match=r"row 2 .*row 3 .*row 4 .*and 2 more rows"):
        scanned(root, "path,label,start\n" + "talk.wav,happy,x\n" * 5)


def test_parts_of_other_corpora_are_checked_too(root):
    table = pd.DataFrame(
        [["a", "talk.wav", "train", "Happy", "", "3", "2"]], columns=[*corpora.table.COLUMNS, *times.COLUMNS]
    )
    with pytest.raises(CorpusError, match=r"the clip 'a' has the start 3 and the end 2"):
        corpora.table.check(table, root)


# --- ids, digests, shards


def test_ids_of_parts_are_made_of_path_and_times(root):
    rows = ["talk.wav,happy,0,1", "talk.wav,sad,0,1.5", "deep/er/talk.wav,sad,0,1", "talk.wav,fear,1,"]
    table = scanned(root, "path,label,start,end\n" + "\n".join(rows) + "\n")
    assert table["clip"].tolist() == [
        "deep%2Fer%2Ftalk.wav#t=0,1", "talk.wav#t=0,1", "talk.wav#t=0,1.5", "talk.wav#t=1",
    ]  # fmt: skip


def test_the_same_part_twice_is_refused(root):
    with pytest.raises(CorpusError, match=r"Several rows have the path 'talk.wav#t=0,1' \(clip: a, b\)"):
        scanned(root, "clip,path,label,start,end\na,talk.wav,happy,0,1\nb,talk.wav,sad,0:00,1.0\n")
    with pytest.raises(CorpusError, match=r"Several rows have the path 'talk.wav' \(clip: a, b\)"):
        scanned(root, "clip,path,label,start,end\na,talk.wav,happy,,\nb,talk.wav,sad,0,\nc,talk.wav,sad,0,1\n")


def test_digests_depend_on_content_and_times(root, monkeypatch):
    read, digest = [], digests._digest
    monkeypatch.setattr(digests, "_digest", lambda path: read.append(path.name) or digest(path))
    first = digests.content_digests(root, scanned(root), root / "index.csv").set_index("clip")
    assert read == ["talk.wav"] and first["digest"].nunique() == 3
    assert set(first["file_digest"]) == {hashlib.sha256((root / "talk.wav").read_bytes()).hexdigest()}
    other = digests.content_digests(root, scanned(root, PARTS.replace("0,1", "0,1.25")), root / "index.csv").set_index(
        "clip"
    )
    assert (first["digest"] != other["digest"]).tolist() == [True, False, False] and read == ["talk.wav"]
    again = digests.content_digests(root, scanned(root, PARTS.replace("0,1\n", "0:00:00.0,1e0\n")), root / "index.csv")
    assert again["digest"].tolist() == first["digest"].tolist()
    sound(root / "talk.wav", 4)
    changed = digests.content_digests(root, scanned(root), root / "index.csv").set_index("clip")
    assert not set(changed["digest"]) & set(first["digest"])


def test_whole_files_keep_their_digests_and_columns(root):
    table = digests.content_digests(root, scanned(root, "path,label\ntalk.wav,happy\n"), root / "index.csv")
    assert table.columns.tolist() == ["clip", "path", "split", "label", "subject", "split_by", "digest"]
    mixed = scanned(root, "clip,path,label,start,end\nw,talk.wav,happy,,\np,talk.wav,sad,0,1\n")
    mixed = digests.content_digests(root, mixed, root / "index.csv").set_index("clip")
    assert mixed.loc["w", "digest"] == table["digest"][0] == mixed.loc["p", "file_digest"] != mixed.loc["p", "digest"]


def test_parts_of_a_file_are_in_one_shard_and_other_clips_stay_where_they_were(root):
    rows = [f"p{n},talk.wav,happy,{n},{n + 1}" for n in range(30)] + [f"w{n},{n}.wav,sad,," for n in range(30)]
    for n in range(30):
        (root / f"{n}.wav").touch()
    table = scanned(root, "clip,path,label,start,end\n" + "\n".join(rows) + "\n")
    shards = sharding.cut(table, 8)
    assert [name for name, part in shards.items() if (part["path"] == "talk.wav").any()] == [
        f"{bucket('talk.wav', 8):02d}"
    ]
    homes = {clip: int(name) for name, part in shards.items() for clip in part["clip"]}
    assert len(homes) == 60 and all(homes[f"w{n}"] == bucket(f"w{n}", 8) for n in range(30))


# --- planning


def planned(root):
    """What the run does before any job."""
    table = scan.scan(config(root))
    part_lengths.refuse_short_files(config(root), table)
    return table


@pytest.fixture
def measured(monkeypatch):
    """Stands for the process that measures: the seconds of each file by its name, and which were asked for."""
    asked = []

    class Reader:
        seconds = 3.0

        def __init__(self, options):
            pass

        def __enter__(self):
            return lambda path: asked.append(path.name) or self.seconds

        def __exit__(self, *error):
            pass

    monkeypatch.setattr("emopipe.media.sandbox.LengthReader", Reader)
    return asked, Reader


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("3.05", None),
        ("3.2", r"'3' is 2 s to 3\.2 s of talk\.wav, which has 3\.00 s\. Expected"),
        ("0:09", "2 s to 9 s"),
    ],
)
def test_a_file_that_is_shorter_is_refused_before_anything_runs(root, measured, end, message):
    (root / "clips.csv").write_text(PARTS.replace("2,3", f"2,{end}"))
    if message is None:
        assert len(planned(root)) == 3
        return
    with pytest.raises(CorpusError, match=message):
        planned(root)


def test_a_part_that_begins_at_the_end_is_refused_and_what_is_not_known_is_not(root, measured):
    (root / "clips.csv").write_text(PARTS.replace("2,3", "3,"))
    with pytest.raises(CorpusError, match=r"'3' is 3 s to the end of talk\.wav, which has 3\.00 s"):
        planned(root)
    sound(root / "talk.wav", 2)
    measured[1].seconds = None
    assert len(planned(root)) == 3


def test_a_file_is_measured_once(root, measured):
    for _ in range(2):
        (root / "clips.csv").write_text(PARTS)
        planned(root)
    (root / "clips.csv").write_text(PARTS.replace("0,1", "0.5,1"))
    planned(root)
    assert measured[0] == ["talk.wav"]
    (root / "clips.csv").write_text("path,label\ntalk.wav,happy\n")
    planned(root)
    assert measured[0] == ["talk.wav"]


@pytest.mark.slow
def test_files_are_measured_for_real(root):
    (root / "clips.csv").write_text(PARTS.replace("2,3", "2,9"))
    with pytest.raises(CorpusError, match=r"2 s to 9 s of talk\.wav, which has 3\.00 s"):
        planned(root)
    (root / "talk.wav").write_text("no sound")  # what cannot be measured becomes a row of the ledger
    assert len(planned(root)) == 3


@pytest.mark.slow
def test_other_times_are_not_another_corpus(root):
    def run():
        table = scan.scan(config(root))
        corpus_stage.run(
            {"shards": 1}, table, scan.clip_table(config(root)), [scan.cache_folder(config(root)) / "shards/00.csv"]
        )

    for text in (PARTS, PARTS.replace("0,1", "0.1,1").replace("1,2", "1.1,2").replace("2,3", "2.1,3")):
        (root / "clips.csv").write_text(text)
        run()
        assert scan.recorded(config(root)).equals(scan.scan(config(root)))
    (root / "clips.csv").write_text("path,label\ntalk.wav,happy\n")
    run()
    (root / "clips.csv").write_text(PARTS)
    run()
    sound(root / "talk.wav", 5)
    with pytest.raises(CorpusError, match="is the cache of another corpus"):
        run()


def test_parts_are_counted(root, caplog):
    with caplog.at_level("INFO"):
        scanned(root)
    assert "3 clips are parts of files (of 1 file)." in caplog.text
    (root / "clips.csv").write_text(PARTS + "4,deep/er/talk.wav,sad,,\n")
    path = root / "c.yaml"
    path.write_text(yaml.safe_dump(CONFIG | {"corpus_root": str(root)}))
    result = CliRunner().invoke(app, ["check", str(path)], env={"COLUMNS": "300"})
    assert result.exit_code == 0 and "(3 of them are parts of files)" in result.output


def test_parts_of_one_file_in_several_splits_are_reported(root, caplog):
    with caplog.at_level("INFO"):
        scanned(root, "path,label,split,start,end\ntalk.wav,happy,train,0,1\ntalk.wav,sad,val,1,2\n")
    assert "Files have parts in several splits, such as 'talk.wav'" in caplog.text


# --- predict


def test_a_table_of_parts_stands_for_media_fragments(root):
    (root / "list.csv").write_text(
        "path,start,end\ntalk.wav,0:00:01,2.50\ntalk.wav,,1\ntalk.wav,,\ndeep/er/talk.wav,2,\n"
    )
    found = [name.removeprefix(f"{root}/") for name in expand(root / "list.csv")]
    assert found == ["talk.wav#t=1,2.5", "talk.wav#t=0,1", "talk.wav", "deep/er/talk.wav#t=2"]
    assert [part_of(name)[1] for name in expand(root / "list.csv")] == [Span(1, 2.5), Span(0, 1), None, Span(2)]
    (root / "bad.csv").write_text("path,start,end\ntalk.wav,2,1\n")
    with pytest.raises(CorpusError, match=r"row 2 \(talk\.wav\) of .*bad\.csv has the start 2 and the end 1"):
        expand(root / "bad.csv")


def test_a_media_fragment_is_a_part_unless_a_file_is_called_so(root):
    name = str(root / "talk.wav#t=0:01,1:02.5")
    assert part_of(name) == (root / "talk.wav", Span(1, 62.5)) and expand(name) == [name]
    for odd in ("talk.wav#t=2,1", "talk.wav#t=1:99", "talk.wav#x"):
        assert part_of(odd)[1] is None
    (root / "talk.wav#t=0:01,1:02.5").touch()
    assert part_of(name)[1] is None


# --- init


@pytest.fixture
def init(root, monkeypatch):
    """`emopipe init` on a table; no clip is opened, and what would be is noted."""
    looked = []
    monkeypatch.setattr(lengths, "look_at", lambda clips: looked.extend(clips) or Look([1.0], 0, 1))

    def run(text):
        (root / "list.csv").write_text(text)
        result = CliRunner().invoke(app, ["init", str(root / "list.csv"), "--yes"], env={"COLUMNS": "300"})
        assert result.exit_code == 0, result.output
        return result.output, scan.clips(configs.parse(configs.read(Path("list.yaml")))), looked

    return run


def rows_of(header, cells):
    """Twelve rows of three files, four parts of each."""
    labels = ("happy", "sad", "fear", "anger")
    rows = [cells.format(n=n, label=label, begin=m, end=m + 1) for n in range(3) for m, label in enumerate(labels)]
    return "\n".join([header, *rows]) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("path,label,start,end", "{n}.wav,{label},{begin},{end}"),
        ("File,Emotion,Onset,Offset", "{n}.wav,{label},0:0{begin},0:0{end}"),
        ("video;class;begin;stop_time", "{n}.wav;{label};{begin}.0;{end}.00"),
    ],
)
def test_init_knows_parts(root, init, header, cells):
    for n in range(3):
        sound(root / f"{n}.wav", 4)
    output, table, looked = init(rows_of(header, cells))
    assert re.search(r"parts +12 of the clips are parts of files: 0\.wav, 1\.wav, 2\.wav", output)
    assert len(table) == 12 and table["clip"].is_unique
    assert set(zip(table["path"], table["start"], table["end"], strict=True)) == {
        (f"{n}.wav", str(m), str(m + 1)) for n in range(3) for m in range(4)
    }
    assert looked == [(root / path, Span(float(start), float(end))) for path, start, end in
                      table[["path", "start", "end"]].itertuples(index=False)]  # fmt: skip


def test_init_takes_times_of_another_file_for_what_they_are(root, init):
    """As of MELD: each row has a file of its own, and where it was cut out of an episode."""
    names = [f"{n}_{label}.wav" for n in range(6) for label in ("happy", "sad")]
    for name in names:
        sound(root / name, 0.1)
    rows = [f"{name},{name[2:-4]},0:10:0{n % 9},0:10:09" for n, name in enumerate(names)]
    output, table, looked = init("file,emotion,StartTime,EndTime\n" + "\n".join(rows) + "\n")
    assert "start" not in table and "parts" not in output and looked == [root / name for name in sorted(names)]


def test_a_look_opens_the_first_part_of_each_file(monkeypatch):
    opened = []

    class Reader:
        def __init__(self, options):
            pass

        def __enter__(self):
            return lambda *clip: opened.append(clip) or Media("undecodable")

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(lengths, "ClipReader", Reader)
    a, b, c = Path("a"), Path("b"), Path("c")
    lengths.look_at([(a, Span(5, 6)), (b, Span(3, 4)), (a, Span(1, 9)), c])
    assert opened == [(c,), (a, Span(1, 9)), (b, Span(3, 4))]


# --- what reads tables without the stages


@pytest.mark.slow
def test_other_readers_of_tables_read_parts_too(root, monkeypatch):
    """Sources of a training, and `emopipe evaluate`."""
    asked = []

    class Reader:
        def __init__(self, options):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def readings(self, clips):
            asked.append(list(clips))
            return [lambda: Media("no_video", audio=np.full(16_000, 1000, np.int16)) for _ in clips]

    (root / "clips.csv").write_text(PARTS.replace("0,1", "2.5,3"))
    talk = root / "talk.wav"
    expected = [(talk, Span(1, 2)), (talk, Span(2, 3)), (talk, Span(2.5, 3))]
    spec = backbones.spec("speech", backbones.options_class("speech")())

    monkeypatch.setattr(samples, "ClipReader", Reader)
    given = samples.open_corpus(samples.Corpus("table", root), spec, detector=lambda: None, detect=False, flip=False)
    assert [CLASSES[sample.label] for sample in given.read()] == ["Sad", "Neutral", "Happy"]

    monkeypatch.setattr(loading, "ClipReader", Reader)
    source = SourceBlock(kind="table", path=str(root), train=["train"])
    found = loading.load_dataset({"a": source}, SpeechPhase(sources=["a"]), spec, root, threads=1, device="cpu").dataset
    assert [CLASSES[number] for number in found.targets.argmax(1)] == ["Sad", "Neutral", "Happy"]
    assert asked == [expected, expected]


@pytest.mark.slow
def test_the_shipped_model_answers_for_each_part(root):
    """As for files that were cut there."""
    whole = np.random.default_rng(1).normal(0, 3000, 3 * AUDIO_RATE).astype("<i2")
    for name, begin, end in (("talk.wav", 0, 3), ("first.wav", 0, 1), ("rest.wav", 1, 3)):
        with wave.open(str(root / name), "wb") as out:
            out.setparams((1, 2, AUDIO_RATE, 0, "NONE", ""))
            out.writeframes(whole[begin * AUDIO_RATE : end * AUDIO_RATE].tobytes())
    (root / "list.csv").write_text("path,start,end\ntalk.wav,,1\ntalk.wav,1,\ntalk.wav,7,8\nfirst.wav,,\nrest.wav,,\n")
    predictor = Predictor(device="cpu", threads=1)
    first, rest, beyond, *cut = predictor.predict(root / "list.csv")
    assert [one.input for one in (first, rest)] == [f"{root}/talk.wav#t=0,1", f"{root}/talk.wav#t=1"]
    assert [one.streams["voice"].found for one in (first, rest)] == [1.0, 2.0]
    assert [one.probabilities for one in (first, rest)] == [one.probabilities for one in cut]
    assert beyond.status == "undecodable" and "The part is 7 s to 8 s, but the file ends at 3 s." in beyond.reason
    (over,) = predictor.predict(f"{root}/talk.wav#t=1,3", window=1.0)
    (same,) = predictor.predict(root / "rest.wav", window=1.0)
    assert over.windows == same.windows and len(over.windows) == 3
    (absent,) = predictor.predict(f"{root}/none.wav#t=1,3", window=1.0)
    assert absent.status == "unreadable"
