"""Voices under two names: what a voice is like, found in planted corpora and not invented in clean ones."""

import json

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml
from typer.testing import CliRunner

from emopipe.cache.store import Writer
from emopipe.commands.main import app
from emopipe.core import tables
from emopipe.corpora.audit.people import FEWEST_CLIPS
from emopipe.corpora.audit.voices import CEPSTRA, voice_print
from emopipe.corpora.digests import content_digests
from emopipe.evaluation.corpus_audit import Audit, add_people
from emopipe.media import rows as media_rows
from emopipe.media.decoded import Media

RATE = 16_000
PEOPLE = 8
CLIPS = 2 * FEWEST_CLIPS


def said(person, take, seconds=1.5):
    """A sound (n,) of a person: a vocal tract of four resonances, and pulses whose pitch and loudness each take draws.

    Each take moves the resonances, as vowels do.
    """
    tract, draw = np.random.default_rng(person), np.random.default_rng([person, take])
    centres = np.array([500, 1500, 2500, 3500]) * tract.uniform(0.75, 1.3, 4)
    tilt, noise = tract.uniform(0.6, 1.8), tract.uniform(0.0, 0.05)
    time = np.arange(int(seconds * RATE)) / RATE
    wave = np.zeros(len(time))
    for part in np.array_split(np.arange(len(time)), 10):
        pitch = draw.uniform(90, 260)
        harmonics = np.arange(1, int(7000 / pitch)) * pitch
        moved = centres * draw.normal(1, 0.12, 4)
        gains = np.exp(-(((harmonics[:, None] - moved) / (120 + 0.05 * moved)) ** 2)).sum(1) + 0.01
        gains *= (harmonics / 500) ** -tilt * draw.uniform(0.5, 1)
        wave[part] = (gains[:, None] * np.sin(2 * np.pi * harmonics[:, None] * time[part])).sum(0)
    wave += noise * np.abs(wave).max() * draw.normal(size=len(wave))
    return (0.5 * wave / np.abs(wave).max()).astype(np.float32)


def corpus(people=PEOPLE, clips=CLIPS):
    """A clip table of people who are in one split each, and the sounds of their clips."""
    rows = [
        {
            "clip": f"p{person}_{take:02d}",
            "split": "val" if person >= people - 3 else "train",
            "label": ("Angry", "Happy", "Sad")[take % 3],
            "subject": f"p{person}",
        }
        for person in range(people)
        for take in range(clips)
    ]
    return pd.DataFrame(rows), {f"p{p}_{t:02d}": said(p, t) for p in range(people) for t in range(clips)}


@pytest.fixture(scope="module")
def heard():
    return corpus()


@pytest.fixture(scope="module")
def drawn(heard):
    """The clip table, and the prints of the voices."""
    table, sounds = heard
    return table, {clip: voice_print(wave) for clip, wave in sounds.items()}


def renamed(table, person):
    """The table with every second clip of a person under another name, in val."""
    moved = table.index[table["subject"] == person][::2]
    return table.assign(
        subject=table["subject"].where(~table.index.isin(moved), "new"),
        split=table["split"].where(~table.index.isin(moved), "val"),
    )


def alike(table, voices):
    audit = Audit(len(table), {})
    add_people(audit, "sound", "audio", table, np.stack([voices[clip] for clip in table["clip"]]))
    return audit.people["sound"]


def test_a_print_does_not_depend_on_the_level_and_needs_a_second():
    wave = said(1, 1)
    found = voice_print(wave)
    assert found.shape == (2 * CEPSTRA,) and np.isfinite(found).all()
    assert np.allclose(found, voice_print(0.1 * wave), atol=1e-3)
    assert voice_print(wave[: RATE - 1]) is None and voice_print(np.zeros(2 * RATE, np.float32)) is None
    assert voice_print(np.zeros(0, np.float32)) is None


@pytest.mark.slow
def test_no_voice_is_invented(drawn):
    found = alike(*drawn)
    assert found.pairs == {} and found.why_not == "" and found.too_few == 0
    assert found.same > 0.4 > 0.2 > found.different


@pytest.mark.slow
@pytest.mark.parametrize("person", ["p0", "p2", "p4"])
def test_each_voice_under_a_second_name_is_found_alone(drawn, person):
    table, voices = drawn
    found = alike(renamed(table, person), voices)
    assert [set(pair) for pair in found.pairs] == [{person, "new"}]
    assert found.pairs[min(found.pairs)] > 0.4


@pytest.mark.slow
def test_labels_that_few_clips_share_do_not_take_the_person_away(drawn):
    """Each clip has numbers of its own as a label, and a transcript of its own."""
    table, voices = drawn
    table = renamed(table, "p2").assign(label=[f"0.{number};0.1" for number in range(len(table))], text=table["clip"])
    assert [set(pair) for pair in alike(table, voices).pairs] == [{"p2", "new"}]


@pytest.mark.slow
def test_people_with_few_clips_are_counted_and_not_compared(drawn):
    table, voices = drawn
    some = table.groupby("subject").cumcount() < np.where(table["subject"] == "p1", FEWEST_CLIPS - 1, CLIPS)
    assert alike(table[some].reset_index(drop=True), voices).too_few == 1
    unknown = alike(table.assign(subject=table["subject"].where(table["subject"] < "p3", "")), voices)
    assert unknown.pairs == {} and unknown.why_not.startswith("3 people with 12 or more clips are known")


@pytest.mark.slow
def test_the_command_finds_a_voice_by_the_cached_sound(heard, tmp_path, monkeypatch):
    table, sounds = heard
    root = tmp_path / "clips"
    root.mkdir()
    table = renamed(table, "p1").assign(path=table["clip"] + ".wav")
    for clip in table["clip"]:
        (root / f"{clip}.wav").write_text(clip)
    table.to_csv(root / "clips.csv", index=False)
    digests = content_digests(root, tables.of(table.to_dict("records")), None)["digest"]
    media = tmp_path / "cache/small/media/eight"
    media.mkdir(parents=True)
    with Writer(media / "00.h5", media_rows.FIELDS, stage="test", recipe={}) as writer:
        for clip, digest in zip(table["clip"], digests, strict=True):
            decoded = Media("ok", jpegs=[], times=np.zeros(0), audio=(20_000 * sounds[clip]).astype(np.int16))
            writer.add(media_rows.row(clip, digest, decoded))
    config = {
        "run": "small",
        "corpus_root": str(root),
        "corpus": {"name": "small", "kind": "table"},
        "decode": {"eight": {"policy": "count", "count": 8}},
        "backbones": {"speech": {"kind": "speech", "weights": "speech_logmel"}},
        "models": {"audio_speech": {"streams": ["speech"]}},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["audit", "config.yaml", "--json"])
    found = json.loads(done.stdout)
    assert [(f["kind"], f["names"], f["across_splits"]) for f in found["findings"]] == [("voice", ["new", "p1"], True)]
    assert found["people"]["the sound itself"]["halves_of_a_person"] > 0.4
    assert any(text.startswith("Faces: the config has no network") for text in found["not_examined"])


@pytest.mark.data
@pytest.mark.slow
def test_real_voices(shared):
    """Ten actors with 32 utterances each: nobody is invented, and each of four is found under a second name."""
    rows, voices = [], {}
    for actor in range(1, 11):
        for path in sorted((shared / "data/ravdess_speech").glob(f"Actor_{actor:02d}/*.flac"))[:32]:
            wave, rate = soundfile.read(path, dtype="float32")
            assert rate == RATE
            voices[path.stem] = voice_print(wave)
            rows.append({"clip": path.stem, "split": "train", "label": path.stem[6:8], "subject": f"p{actor:02d}"})
    table = pd.DataFrame(rows)
    assert alike(table, voices).pairs == {}
    for person in ("p01", "p04", "p07", "p10"):
        assert [set(pair) for pair in alike(renamed(table, person), voices).pairs] == [{person, "new"}]
