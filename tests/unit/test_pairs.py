"""Clips whose frames come from one file and whose sound comes from another."""

import shutil

import numpy as np
import pytest

from emopipe import corpora
from emopipe.cache.status import NO_AUDIO, NO_VIDEO, OK, UNDECODABLE, codes
from emopipe.cache.store import Reader
from emopipe.core import tables
from emopipe.core.errors import CorpusError
from emopipe.corpora.digests import content_digests
from emopipe.evaluation import samples
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions
from emopipe.media.pairs import SOUND_FILE
from emopipe.media.sandbox import ClipReader
from emopipe.stages import decode
from tests.wild.making import clip, tone, wav

RECIPE = {"stage": "decode", "options": DecodeOptions(policy="count", count=3).model_dump()}


def sound(hertz):
    return wav(tone(hertz, 48_000, 1.0)[:, None])


def pitch(audio):
    """The loudest frequency of samples (n,) in Hz."""
    return np.abs(np.fft.rfft(audio)).argmax() * AUDIO_RATE / len(audio)


def scan(root, kind="folder", **options):
    if kind == "folder":
        options = {"beside": "pair", **options}
    table = corpora.scan(kind, root, corpora.options_class(kind).model_validate(options))
    return content_digests(root, table, None)


def decoded(root, table, tmp_path):
    """Clip -> its row after the decode stage."""
    tables.write(table, tmp_path / "00.csv")
    decode.run(RECIPE, root, tmp_path / "00.csv", tmp_path / "00.h5", tmp_path / "00.status.h5")
    with Reader(tmp_path / "00.h5") as reader:
        return {row.clip: row for row in reader.rows()}


@pytest.fixture
def root(tmp_path):
    """Videos with a tone of 440 Hz or without sound, and sound files of 500 and 700 Hz beside two of them."""
    folder = tmp_path / "corpus"
    (folder / "Happy").mkdir(parents=True)
    (folder / "Sad").mkdir()
    (folder / "Happy/a.mp4").write_bytes(clip("mp4"))
    (folder / "Sad/b.avi").write_bytes(clip("avi", audio=None))
    (folder / "Sad/c.mkv").write_bytes(clip("matroska"))
    (folder / "Happy/a.wav").write_bytes(sound(500))
    (folder / "Sad/b.wav").write_bytes(sound(700))
    return folder


@pytest.mark.slow
def test_the_frames_are_the_videos_and_the_sound_is_the_sound_files(root, tmp_path):
    table = scan(root)
    assert dict(zip(table["clip"], table[SOUND_FILE], strict=True)) == {"a": "Happy/a.wav", "b": "Sad/b.wav", "c": ""}
    rows = decoded(root, table, tmp_path)
    for name, hertz in {"a": 500, "b": 700, "c": 440}.items():
        assert (rows[name].status, rows[name].reason) == (OK, ""), rows[name]
        assert len(rows[name].arrays["time"]) == 3
        assert pitch(rows[name].arrays["audio"]) == pytest.approx(hertz, abs=5)


@pytest.mark.slow
def test_a_table_may_name_the_sound_files(root, tmp_path):
    (root / "clips.csv").write_text(
        "path,label,split,sound_file\nHappy\\a.mp4,happy,train,Happy\\a.wav\nSad/c.mkv,sad,train,\n"
    )
    rows = decoded(root, scan(root, "table"), tmp_path)
    assert pitch(rows["a"].arrays["audio"]) == pytest.approx(500, abs=5)
    assert pitch(rows["c"].arrays["audio"]) == pytest.approx(440, abs=5)


@pytest.mark.slow
def test_a_changed_sound_file_is_a_changed_clip_and_no_other(root):
    before = scan(root).set_index("clip")["digest"]
    (root / "Happy/a.wav").write_bytes(sound(600))
    after = scan(root).set_index("clip")["digest"]
    assert list(before.index[before != after]) == ["a"]
    alone = scan(root, beside="video").set_index("clip")["digest"]
    assert alone["c"] == after["c"] and alone["a"] != after["a"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "status", "code"),
    [("Happy/a.wav", NO_AUDIO, "nothing_decodes"), ("Happy/a.mp4", NO_VIDEO, "nothing_decodes")],
)
def test_the_other_file_counts_if_one_is_broken(root, tmp_path, broken, status, code):
    (root / broken).write_bytes(b"no media" * 100)
    row = decoded(root, scan(root), tmp_path)["a"]
    assert row.status == status and code in codes(row.reason)
    assert (len(row.arrays["audio"]) > 0) == (status == NO_VIDEO)


@pytest.mark.slow
def test_two_broken_files_are_one_undecodable_clip(root, tmp_path):
    for name in ("a.mp4", "a.wav"):
        (root / "Happy" / name).write_bytes(b"no media" * 100)
    assert decoded(root, scan(root), tmp_path)["a"].status == UNDECODABLE


def test_sound_files_are_looked_for_and_stay_in_the_corpus(root):
    def refused(cell):
        (root / "clips.csv").write_text(f"path,label,split,sound_file\nHappy/a.mp4,happy,train,{cell}\n")
        with pytest.raises(CorpusError) as caught:
            scan(root, "table")
        return str(caught.value)

    assert "The files Happy/none.wav are not in the corpus folder" in refused("Happy/none.wav")
    assert refused("../a.wav").startswith("The sound_file '../a.wav' is not below the corpus folder")


def test_a_part_of_a_file_has_no_sound_file(root):
    (root / "clips.csv").write_text("path,label,split,start,end,sound_file\nHappy/a.mp4,happy,train,0,1,Happy/a.wav\n")
    with pytest.raises(CorpusError, match=r"is a part of a file \(start, end\) and has a sound_file"):
        scan(root, "table")


@pytest.mark.slow
def test_several_sound_files_beside_a_video_are_refused(root):
    shutil.copy(root / "Happy/a.wav", root / "Happy/a.wave")
    with pytest.raises(CorpusError, match="Several sound files stand beside one video"):
        scan(root)


@pytest.mark.slow
def test_evaluation_uses_the_sound_file_too(root):
    table = samples._table(samples.Corpus("folder", root, options={"beside": "pair"}), prefer_sound=True)
    with ClipReader(DecodeOptions(policy="count", count=1)) as read:
        heard = [pitch(reading().audio) for reading in samples._readings(table, root, read)]
    assert heard == pytest.approx([500, 700, 440], abs=5)
