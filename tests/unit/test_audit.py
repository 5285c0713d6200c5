"""The audit of a corpus: planted leaks of each kind are found, and none is invented on a clean corpus."""

import json
import shutil

import av
import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from emopipe.cache.store import Field, Row, Writer
from emopipe.commands.main import app
from emopipe.core import tables
from emopipe.corpora.audit import contents
from emopipe.corpora.audit.findings import Finding
from emopipe.corpora.audit.people import alike_people
from emopipe.corpora.audit.pictures import picture_print, same_pictures
from emopipe.corpora.audit.sounds import same_sounds, sound_print
from emopipe.corpora.digests import content_digests
from emopipe.evaluation.corpus_audit import Audit, add_comparison, add_people, flattery
from emopipe.evaluation.split_comparison import compare
from emopipe.media import rows as media_rows
from emopipe.media.decoded import Media, encode_jpeg
from emopipe.stages import decode

RATE, FPS, SIZE = 16_000, 10, (96, 64)
SECONDS = 1.5
DECODE = {"policy": "count", "count": 8}
LABELS = ("Angry", "Happy", "Sad")


def scene(seed):
    """Frames (T, H, W, 3) of one room in which a spot and a bar move, and a sound (n,) that changes every 80 ms."""
    rng, frames = np.random.default_rng(seed), []
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    room = 60 + 40 * np.sin(x / 9) * np.cos(y / 7) + 0.6 * x
    across, up, bar = (np.cumsum(rng.normal(0, 1, int(SECONDS * FPS))) for _ in range(3))
    for dx, dy, db in zip(across, up, bar, strict=True):
        spot = 120 * np.exp(-((x - 40 - 6 * dx) ** 2 + (y - 30 - 5 * dy) ** 2) / 90)
        line = 80 * np.exp(-((x + y - 90 - 6 * db) ** 2) / 40)
        frames.append(np.clip(np.repeat((room + spot + line)[..., None], 3, 2), 0, 255).astype(np.uint8))
    time = np.arange(int(SECONDS * RATE)) / RATE
    pieces = []
    for part in np.array_split(time, int(SECONDS / 0.08)):
        tone, formant = rng.uniform(100, 250), rng.uniform(300, 3000)
        harmonics = np.arange(1, 30)[:, None] * tone
        loud = np.exp(-(((harmonics - formant) / 500) ** 2)) * rng.uniform(0.2, 1)
        pieces.append((loud * np.sin(2 * np.pi * harmonics * part)).sum(0))
    wave = np.concatenate(pieces)
    return np.stack(frames), (0.5 * wave / np.abs(wave).max()).astype(np.float32)


def write(path, frames, wave, *, video="mpeg4", audio="libmp3lame", bits=(900_000, 96_000)):
    with av.open(str(path), "w") as file:
        pictures = file.add_stream(video, rate=FPS)
        pictures.width, pictures.height, pictures.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        pictures.bit_rate = bits[0]
        sound = file.add_stream(audio, rate=RATE, layout="mono")
        sound.bit_rate = bits[1]
        for frame in frames:
            file.mux(pictures.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")))
        file.mux(pictures.encode())
        samples = av.AudioFrame.from_ndarray(wave[None], "fltp", "mono")
        samples.sample_rate, samples.pts = RATE, 0
        file.mux(sound.encode(samples))
        file.mux(sound.encode())


PEOPLE = {"a": "train", "b": "train", "c": "val", "d": "val"}
CLEAN = {f"{who}{take}": (split, who) for who, split in PEOPLE.items() for take in (1, 2, 3)}
PLANTED = {
    "equal": ("val", "c", "Sad"),  # a copy of a1, which is Angry
    "coded": ("val", "d", "Angry"),  # a1 in other codecs, quieter
    "turned": ("val", "c", "Happy"),  # the mirror image of a2, a little cropped, with a sound of its own
    "dubbed": ("val", "d", "Sad"),  # the sound of b3 under other frames
    "shared": ("val", "a", "Happy"),  # a clip of its own, of a person of train, with a sentence of train
}


def rows(names):
    found = []
    for name in names:
        split, who, *label = CLEAN.get(name) or PLANTED[name]
        suffix = "mp4" if name == "coded" else "avi"
        sentence = "of_train" if name == "shared" or split == "train" else "of_val"
        found.append(
            {
                "clip": name,
                "path": f"{name}.{suffix}",
                "split": split,
                "label": label[0] if label else LABELS[int(name[1]) - 1],
                "subject": who,
                "sentence": sentence,
            }
        )
    return found


def draw(root):
    made = {name: scene(number) for number, name in enumerate(CLEAN)}
    for name, (frames, wave) in made.items():
        write(root / f"{name}.avi", frames, wave)
    shutil.copy(root / "a1.avi", root / "equal.avi")
    frames, wave = made["a1"]
    write(root / "coded.mp4", frames, 0.3 * wave, video="libx264", audio="aac", bits=(150_000, 32_000))
    cropped = made["a2"][0][:, 1:-1, 2:-2][:, :, ::-1]
    write(root / "turned.avi", cropped, scene(101)[1])
    write(root / "dubbed.avi", scene(102)[0], 0.6 * made["b3"][1])
    write(root / "shared.avi", *scene(103))


CONFIG = {
    "run": "small",
    "corpus": {"name": "small", "kind": "table"},
    "decode": {"eight": DECODE},
    "backbones": {"speech": {"kind": "speech", "weights": "speech_logmel"}},
    "models": {"audio_speech": {"streams": ["speech"]}},
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A folder of clips, all decoded into the cache of the working folder."""
    work = tmp_path_factory.mktemp("audit")
    (work / "clips").mkdir()
    draw(work / "clips")
    table = content_digests(work / "clips", tables.of(rows([*CLEAN, *PLANTED])), None)
    tables.write(table, work / "shard.csv")
    media = work / "cache/small/media/eight"
    media.mkdir(parents=True)
    recipe = {"options": DECODE}
    decode.run(recipe, work / "clips", work / "shard.csv", media / "00.h5", media / "00.status.h5")
    return work


def audited(work, names, monkeypatch, *options, code=0, config=CONFIG):
    pd.DataFrame(rows(names)).to_csv(work / "clips/clips.csv", index=False)
    (work / "config.yaml").write_text(yaml.safe_dump(config | {"corpus_root": str(work / "clips")}))
    monkeypatch.chdir(work)
    done = CliRunner().invoke(app, ["audit", "config.yaml", *options], env={"COLUMNS": "140"})
    assert done.exit_code == code, done.output
    return done.stdout


def by_kind(found):
    kinds = {finding["kind"] for finding in found["findings"]}
    return {kind: {frozenset(f["names"]) for f in found["findings"] if f["kind"] == kind} for kind in kinds}


@pytest.mark.slow
def test_nothing_is_invented_on_a_clean_corpus(drawn, monkeypatch):
    found = json.loads(audited(drawn, CLEAN, monkeypatch, "--json", "--strict"))
    assert found["findings"] == [] and found["label_conflicts"] == 0 and found["clips"] == len(CLEAN)
    assert found["class_counts"] == {split: dict.fromkeys(LABELS, 2) for split in ("train", "val")}
    assert [text for text in found["not_examined"] if "frames and sound" in text] == []
    assert any("`emopipe run config.yaml extract`" in text for text in found["not_examined"])  # vectors are missing


@pytest.mark.slow
def test_planted_leaks_are_found_and_nothing_else(drawn, monkeypatch):
    found = json.loads(audited(drawn, [*CLEAN, *PLANTED], monkeypatch, "--json"))
    assert by_kind(found) == {
        "identical": {frozenset({"a1", "equal"})},
        "picture": {frozenset({"a1", "coded"}), frozenset({"equal", "coded"})},
        "mirrored": {frozenset({"a2", "turned"})},
        "sound": {frozenset({"a1", "coded"}), frozenset({"equal", "coded"}), frozenset({"b3", "dubbed"})},
        "person": {frozenset({"a"})},
        "sentence": {frozenset({"of_train"})},
    }
    conflicts = {frozenset(f["names"]) for f in found["findings"] if f["label_conflict"]}
    assert found["label_conflicts"] == len(conflicts)
    assert conflicts == {frozenset({"a1", "equal"}), frozenset({"equal", "coded"})}
    assert all(f["across_splits"] for f in found["findings"] if set(f["names"]) != {"equal", "coded"})


@pytest.mark.slow
def test_the_text_and_the_exit_code(drawn, monkeypatch):
    text = audited(drawn, [*CLEAN, *PLANTED], monkeypatch, "--strict", code=1)
    for line in (
        "  train: 6 (Angry 2, Happy 2, Sad 2)",
        "Pairs of clips whose files are equal: 1, of which 1 are across splits, and 1 have two labels.",
        "  a1 (train, Angry) and equal (val, Sad)",
        "People in several splits: 1.",
        "  a (train, val)",
        "Pairs of people of different names and splits whose voices are as alike as one person's: 0.",
        "Pairs of clips of the same content, but with two labels: 2.",
    ):
        assert line in text.splitlines(), (line, text)


def test_clips_without_movement_are_named(tmp_path, monkeypatch):
    """A run that samples one frame of each clip has nothing to compare frames by; their sound is compared."""
    root = tmp_path / "clips"
    root.mkdir()
    jpeg = encode_jpeg(scene(0)[0][0], 90)
    media = tmp_path / "cache/small/media/eight"
    media.mkdir(parents=True)
    for name in ("a1", "c1"):
        (root / f"{name}.avi").write_text(name)
    table = content_digests(root, tables.of(rows(["a1", "c1"])), None)
    sound = (20_000 * scene(0)[1]).astype(np.int16)
    with Writer(media / "00.h5", media_rows.FIELDS, stage="test", recipe={}) as writer:
        for clip, digest, gain in zip(table["clip"], table["digest"], (1, 5), strict=True):
            decoded = Media("ok", jpegs=[jpeg], times=np.zeros(1), audio=sound // gain)
            writer.add(media_rows.row(clip, digest, decoded))
    found = json.loads(audited(tmp_path, ["a1", "c1"], monkeypatch, "--json"))
    assert by_kind(found) == {"sound": {frozenset({"a1", "c1"})}}
    assert "Frames: 2 clips show no movement, so their frames are not compared." in found["not_examined"]


def test_what_the_cache_lacks_is_said_and_the_rest_is_reported(tmp_path, monkeypatch):
    (tmp_path / "clips").mkdir()
    for number, name in enumerate(["a1", "b1", "shared"]):
        (tmp_path / f"clips/{name}.avi").write_bytes(bytes([number]) * 9)
    found = json.loads(audited(tmp_path, ["a1", "b1", "shared"], monkeypatch, "--json"))
    assert set(by_kind(found)) == {"person", "sentence"}
    assert found["not_examined"][0] == (
        "The cache holds frames and sound of 0 of 3 clips. `emopipe run config.yaml extract` makes the others, except "
        "for clips without any."
    )
    assert not (tmp_path / "cache").exists()  # nothing is written


def voices(people=8, clips=12, dim=5, seed=0):
    """Vectors of people who differ much, a clip table, and which emotion each clip shows, which they hardly show."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), clips)
    label = np.tile(np.arange(clips) % 3, people)
    vectors = rng.normal(0, 2, (people, dim))[who] + rng.normal(0, 1, (len(who), dim))
    vectors += 0.3 * rng.normal(0, 2, (3, dim))[label]
    table = pd.DataFrame(
        {
            "clip": [f"c{number:03}" for number in range(len(who))],
            "split": np.where(who < people - 2, "train", "val"),
            "label": np.array(LABELS)[label],
            "subject": [f"p{number}" for number in who],
        }
    )
    return vectors, table


def test_a_voice_under_two_names_is_found():
    vectors, table = voices(clips=30, dim=12)
    clean = alike_people(vectors, table["subject"], table["label"])
    assert clean.pairs == {} and clean.why_not == "" and clean.same > 0.5 > 0.1 > clean.different
    moved = table["clip"].isin(table[table["subject"] == "p0"]["clip"].iloc[:14])
    planted = table.assign(subject=table["subject"].mask(moved, "new"), split=table["split"].mask(moved, "val"))
    audit = Audit(len(table), {})
    add_people(audit, "speech", "audio", planted, vectors)
    assert [(f.kind, set(f.names), set(f.splits)) for f in audit.findings] == [
        ("voice", {"new", "p0"}, {"val", "train"})
    ]
    add_people(audit, "another", "audio", planted, vectors)  # what two networks say is one finding
    assert len(audit.findings) == 1 and audit.findings[0].across


def test_vectors_that_do_not_show_who_it_is_say_nothing():
    vectors, table = voices(clips=24)
    noise = np.random.default_rng(1).normal(size=vectors.shape)
    found = alike_people(noise, table["subject"], table["label"])
    assert found.pairs == {} and "does not tell" in found.why_not
    few = alike_people(vectors, table["subject"].where(table["subject"] < "p2", ""), table["label"])
    assert few.pairs == {} and few.why_not.startswith("2 people")


@pytest.mark.slow
def test_how_much_splits_by_clip_flatter():
    vectors, table = voices(dim=12)
    own = np.random.default_rng(2).integers(0, 3, 8)  # each person shows one emotion: who it is gives the answer away
    table["label"] = np.array(LABELS)[own][table["subject"].str[1:].astype(int)]
    (found,) = compare("speech", vectors, table, {"subject": "subject"}, table["subject"].to_numpy())
    assert (found.folds, found.clips, found.gain.groups) == (5, 96, 8)
    assert found.by_clip.value[0] > 0.95 and found.by_group.value[0] < 0.6 and found.gain.low[0] > 0
    assert found.gain.value[0] == pytest.approx(found.by_clip.value[0] - found.by_group.value[0])
    (text,) = flattery([found])
    assert text.startswith("speech: by clip ") and "splits by clip flatter this corpus by " in text


@pytest.mark.slow
def test_where_people_do_not_matter_nothing_is_flattered():
    rng = np.random.default_rng(3)
    _, table = voices(people=24, clips=6)
    vectors = rng.normal(size=(len(table), 10)) + 1.5 * np.eye(3, 10)[table["label"].map(LABELS.index)]
    audit = Audit(len(table), {})
    sentences = table.assign(sentence=np.tile(["s1", "s1", "s1", "s2", "s2", "s2"], 24))
    add_comparison(audit, "speech", sentences, vectors)
    assert [(one.by, one.folds) for one in audit.comparisons] == [("sentence", 2), ("subject", 5)]
    by_subject = audit.comparisons[1]
    assert by_subject.by_group.value[0] > 0.6 and abs(by_subject.gain.value[0]) < 0.1
    assert "do not clearly flatter this corpus" in flattery(audit.comparisons)[1]


@pytest.mark.slow
def test_cached_vectors_reach_the_audit(tmp_path, monkeypatch):
    """Vectors are read by clip and content: a clip whose file has changed does not count."""
    vectors, table = voices(people=6, clips=16)
    root = tmp_path / "clips"
    root.mkdir()
    for clip in table["clip"]:
        (root / f"{clip}.wav").write_text(clip)
    table["path"] = table["clip"] + ".wav"
    digests = content_digests(root, table, None)["digest"]
    (tmp_path / "cache/small/features").mkdir(parents=True)
    fields = {"x": Field("f4", (5,)), "mask": Field("bool"), "time": Field("f8")}
    with Writer(tmp_path / "cache/small/features/speech.h5", fields, stage="test", recipe={}) as writer:
        for number, (clip, digest) in enumerate(zip(table["clip"], digests, strict=True)):
            x = np.stack([vectors[number] - 1, vectors[number] + 1, np.full(5, np.nan)])
            arrays = {"x": x, "mask": np.array([True, True, False]), "time": np.arange(3.0)}
            writer.add(Row(clip, "changed" if number == 0 else digest, "ok", "", arrays))
    table.to_csv(root / "clips.csv", index=False)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"corpus_root": str(root)}))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["audit", "config.yaml", "--json"])
    found = json.loads(done.stdout)
    assert found["findings"] == [] and found["people"]["speech"]["halves_of_a_person"] > 0.3
    (by_subject,) = found["comparison_of_splits"]
    assert (by_subject["by"], by_subject["clips"], by_subject["groups"]) == ("subject", 95, 6)
    assert by_subject["gain"]["low"] <= by_subject["gain"]["value"] <= by_subject["gain"]["high"]
    block = {"kind": "audio_alexnet", "options": {"spectrum": {"kind": "logmel"}}, "pretrain": {"folds": 2}}
    own = CONFIG | {"corpus_root": str(root), "backbones": {"speech": block}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(own))
    text = CliRunner().invoke(app, ["audit", "config.yaml"]).stdout
    assert "Not examined: Splits by speech: its networks are trained on this corpus" in text and "by clip" not in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("labels", "columns", "group", "said"),
    [
        (
            {"names": ["valence", "arousal"], "kind": "dimensions"},
            lambda n: {"valence": f"{n / 24 - 1:g}", "arousal": "0"},
            {"valence, quarter 1": 12, "valence, quarter 2": 12, "valence, quarter 3": 12, "valence, quarter 4": 12},
            "finds the quarter of the values of valence of a clip",
        ),
        (
            {"names": ["Happy", "Sad"], "kind": "multi"},
            lambda n: {"label": ("Happy", "Happy;Sad", "(none)")[n % 3]},
            {"(none)": 16, "Happy": 16, "Happy;Sad": 16},
            "finds the combination of classes (a rare one by its rarest class) of a clip",
        ),
    ],
)
def test_labels_that_are_not_classes_are_audited_by_groups(tmp_path, monkeypatch, labels, columns, group, said):
    (tmp_path / "clips").mkdir()
    rows, rng = [], np.random.default_rng(0)
    for n in range(48):
        (tmp_path / f"clips/c{n:02d}.wav").write_bytes(f"clip {n}".encode())
        rows.append({"path": f"c{n:02d}.wav", "split": "train", "subject": f"p{n % 6}", **columns(n)})
    pd.DataFrame(rows).to_csv(tmp_path / "clips/clips.csv", index=False)
    config = CONFIG | {"corpus_root": str(tmp_path / "clips"), "labels": labels}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(tmp_path)
    vectors = {f"c{n:02d}": rng.standard_normal(8) for n in range(48)}
    monkeypatch.setattr("emopipe.workflow.audit_sources.mean_vectors", lambda *_: vectors)
    done = CliRunner().invoke(app, ["audit", "config.yaml", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["class_counts"] == {"train": group}
    assert [one["by"] for one in found["comparison_of_splits"]] == ["subject"]
    assert any(said in remark for remark in found["remarks"])


def test_prints_of_nothing_are_not_compared():
    assert sound_print(np.zeros(RATE, np.float32)) is None and sound_print(np.ones(100, np.float32)) is None
    assert picture_print([]) is None and picture_print([np.full((48, 64), 90, np.uint8)] * 8) is None
    still = picture_print([np.tile(np.arange(64, dtype=np.uint8) * 3, (48, 1))] * 8)
    assert still.is_still and same_pictures([still, still]) == {}  # two clips of one scene would look the same
    assert same_sounds([None, None]) == {}


def test_a_sound_that_begins_later_is_the_same():
    wave = scene(1)[1]
    later, other = np.concatenate([np.zeros(1600, np.float32), 0.2 * wave]), scene(2)[1]
    found = same_sounds([sound_print(each) for each in (wave, later, other)])
    assert set(found) == {(0, 1)} and found[0, 1] > 0.95


def test_people_within_one_split_are_not_a_leak():
    table = pd.DataFrame({"clip": list("wxyz"), "split": ["train"] * 3 + ["val"], "subject": list("wxyz")})
    assert contents.same_people("voice", table, {("w", "x"): 0.9}) == []
    assert contents.same_people("voice", table, {("w", "z"): 0.9}) == [
        Finding("voice", ("w", "z"), ("train", "val"), (), 0.9)
    ]
