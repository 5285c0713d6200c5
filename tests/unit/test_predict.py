"""Predictions of the shipped model: their forms, the product of the heads, and what the command says."""

import json
from fractions import Fraction
from unittest.mock import ANY

import av
import cv2
import numpy as np
import pandas as pd
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import emopipe
from emopipe.cache.store import Reader
from emopipe.commands.main import app
from emopipe.core import tables
from emopipe.core.errors import ConfigError
from emopipe.core.fingerprint import digest
from emopipe.core.labels import CLASSES
from emopipe.demo.plan import DemoOptions, plan
from emopipe.demo.video import draw_clip
from emopipe.evaluation.networks import open_network
from emopipe.fusion.product import over_frames
from emopipe.inference.memo import RememberingExtractor
from emopipe.inference.predictions import Prediction, Predictions, WindowAnswer
from emopipe.inference.shipped import Shipped, pool
from emopipe.runtime import device as devices
from emopipe.stages import decode as decode_stage
from emopipe.stages import faces as faces_stage
from emopipe.stages import features as features_stage
from tests.conftest import write_clip
from tests.pages import REPOSITORY

P = dict(zip(CLASSES, (0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1), strict=True))


@pytest.fixture
def made():
    windows = [WindowAnswer(0.0, 2.0, "Angry", P), WindowAnswer(0.5, 2.5, None, None)]
    return Predictions(
        [
            Prediction("a/one.mp4", "ok", "", "Angry", P, windows=windows),
            Prediction("two <b>.mp4", "undecodable", "The file is empty (0 bytes)."),
        ]
    )


def test_a_frame_has_a_row_an_input(made):
    frame = made.frame
    assert (
        frame["input"].tolist() == ["a/one.mp4", "two <b>.mp4"]
        and frame["label"][0] == "Angry"
        and frame["label"].isna()[1]
    )
    assert frame.loc[0, "p_Angry"] == 0.4 and np.isnan(frame.loc[1, "p_Angry"])


def test_files_hold_the_frame(made, tmp_path):
    made.write(tmp_path / "made.csv")
    assert pd.read_csv(tmp_path / "made.csv")["p_Angry"][0] == 0.4
    made.write(tmp_path / "made.parquet")
    read = polars.read_parquet(tmp_path / "made.parquet")
    assert read.columns == list(made.frame) and read["label"].to_list() == ["Angry", None]
    assert read["p_Angry"].to_list() == [0.4, None]


def test_a_timeline_is_a_frame_of_windows(made):
    frame = made.timeline("a/one.mp4")
    assert frame[["start", "end", "label"]].values.tolist() == [[0.0, 2.0, "Angry"], [0.5, 2.5, ANY]]
    assert frame["label"].isna().tolist() == [False, True]
    with pytest.raises(ConfigError, match="has no windows"):
        made.timeline("two <b>.mp4")
    with pytest.raises(KeyError, match="is not among the 2 inputs"):
        made["three.mp4"]


def test_plots_and_html(made):
    assert len(made.plot(0).lines) == len(CLASSES) and len(made.plot(1).patches) == len(CLASSES)
    html = made._repr_html_()
    assert "two &lt;b&gt;.mp4" in html and "0.40" in html and html.count("<tr>") == 3


probabilities = st.lists(st.floats(0.001, 1), min_size=7, max_size=7).map(lambda x: np.array([x]) / sum(x))


@pytest.mark.slow
@given(probabilities, probabilities, st.floats(0.1, 3), st.floats(0.1, 3))
def test_the_product_of_heads(face, voice, a, b):
    priors = [np.array([0.1, 0.05, 0.15, 0.3, 0.2, 0.1, 0.1]), np.full(7, 1 / 7)]
    yes, no = np.array([True]), np.array([False])

    def pooled(*found):
        return pool([face, voice], found, [a, b], priors, priors[0])

    expected = priors[0] * (face / priors[0]) ** a * (voice / priors[1]) ** b
    np.testing.assert_allclose(pooled(yes, yes), expected / expected.sum(), rtol=1e-6)
    np.testing.assert_array_equal(pooled(yes, no), face)
    np.testing.assert_array_equal(pooled(no, yes), voice)
    np.testing.assert_allclose(pooled(no, no), np.full((1, 7), 1 / 7))
    # A stream that says nothing but its prior changes nothing.
    silent = pool([face, priors[1][None]], [yes, yes], [1.0, b], priors, priors[0])
    np.testing.assert_allclose(silent, face, rtol=1e-6)


@pytest.mark.slow
def test_the_heads_are_those_of_the_networks():
    """Classes from the vectors of the extraction equal those of the whole network, as `evaluate` computes them."""
    shipped, rng = Shipped(), np.random.default_rng(0)
    where = devices.prepare("cpu", 1)
    face, voice = (open_network(name, device=where, threads=1) for name in ("expression", "speech_logmel"))
    from emopipe.inference.streams import Streams

    streams = Streams(shipped, where, "cpu", 1)
    faces = rng.normal(size=(2, 1, 48, 48)).astype(np.float32)
    sound = rng.normal(size=(1, 3, 64, 90)).astype(np.float32)
    for name, network, batch in (("face", face, faces), ("voice", voice, sound)):
        logp = streams._network(name, shipped.streams[name]).embed(-1, batch)["logp"]  # (2, 7), or (1, T', 7)
        frames = logp if name == "face" else logp[0]
        length = np.ones(2, int) if name == "face" else np.array([len(frames)])
        ours = np.exp(over_frames(frames, length, "mean_logp"))
        whole = network.probabilities(batch)[:, :7]  # the voice has Calm as an eighth, which is dropped in use
        np.testing.assert_allclose(ours, whole / whole.sum(1, keepdims=True), atol=1e-6)


def test_the_card_states_the_exponents():
    text = (REPOSITORY / "emopipe/inference/shipped.md").read_text(encoding="utf-8")
    for name, exponent in Shipped().exponents.items():
        assert f"`{name}` {exponent:g}" in text


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A drawn clip, its first frame as an image, a sound file, and files that are bad."""
    folder = tmp_path_factory.mktemp("files")
    clip = next(
        c for c in plan(DemoOptions(subjects=4, val_subjects=1, test_subjects=1, takes=1)) if c.label == "Happy"
    )
    draw_clip(clip, folder / f"clip.{clip.container}")
    video = next(folder.glob("clip.*"))
    image = cv2.VideoCapture(str(video)).read()[1]
    cv2.imwrite(str(folder / "face.png"), image)
    write_clip(folder / "tone.wav", video=None, audio="pcm_s16le")
    (folder / "text.mp4").write_text("This is not a video.")
    return [str(video), *(str(folder / name) for name in ("face.png", "tone.wav", "text.mp4", "nothing.mp4"))]


@pytest.fixture(scope="module")
def answers(files):
    return emopipe.Predictor(threads=1).predict(files)


@pytest.mark.slow
def test_every_kind_of_input_has_its_answer(files, answers):
    video, image, sound, text, nothing = answers
    assert [one.status for one in answers] == ["ok", "no_audio", "no_video", "undecodable", "unreadable"]
    assert [one.answered for one in answers] == [True, True, True, False, False]
    assert {name: stream.status for name, stream in image.streams.items()} == {"face": "ok", "voice": "no_audio"}
    assert (image.streams["face"].found, image.streams["face"].searched, image.streams["face"].unit) == (1, 1, "frames")
    assert sound.probabilities == pytest.approx(sound.streams["voice"].probabilities)
    for one in (video, image, sound):
        assert sum(one.probabilities.values()) == pytest.approx(1) and one.label == max(
            one.probabilities, key=one.probabilities.get
        )
    assert text.probabilities is None and "decoded" in text.reason and "No such file" in nothing.reason


@pytest.mark.slow
def test_windows_of_a_clip(files):
    (made,) = emopipe.Predictor(threads=1).predict(files[0], window=1.0, step=0.5)
    assert made.status == "ok" and len(made.windows) >= 2
    assert [w.start for w in made.windows] == [0.5 * n for n in range(len(made.windows))]
    mean = np.mean([list(w.probabilities.values()) for w in made.windows if w.label], 0)
    np.testing.assert_allclose(list(made.probabilities.values()), mean, atol=1e-9)


@pytest.mark.slow
def test_the_command(files, tmp_path):
    run = CliRunner()
    done = run.invoke(app, ["predict", *files[1:], "--json", "--csv", str(tmp_path / "made.csv"), "--threads", "1"])
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 0 and [one["input"] for one in objects] == files[1:]
    assert set(objects[0]) >= {"input", "status", "reason", "label", "probabilities", "streams", "windows"}
    assert objects[2]["label"] is None and objects[2]["status"] == "undecodable"
    assert pd.read_csv(tmp_path / "made.csv")["status"].tolist() == [one["status"] for one in objects]
    assert run.invoke(app, ["predict", *files[1:], "--strict", "--threads", "1"]).exit_code == 1
    assert run.invoke(app, ["predict", files[3]]).exit_code == 1
    shown = run.invoke(app, ["predict", files[2]])
    assert shown.exit_code == 0 and "tone.wav" in shown.stdout and "1.0 s of" in shown.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--csv", "made.txt"], "Expected a name that ends in .csv"),
        (["--window", "0"], "Expected a positive number of seconds"),
        (["--step", "1"], "step is given without window"),
        (["--model", "nothing/here"], "does not exist"),
        (["--device", "gpu"], "Expected one of auto, cpu, cuda"),
    ],
)
def test_mistakes_are_named(files, arguments, message):
    done = CliRunner().invoke(app, ["predict", files[3], *arguments])
    assert done.exit_code == 1 and message in done.output.replace("\n", " ")


CODECS = {
    "mp4": ("mpeg4", "aac", 44_100),
    "avi": ("mpeg4", "mp3", 44_100),
    "flv": ("flv", "mp3", 44_100),
    "mkv": ("mpeg4", "flac", 16_000),
    "webm": ("libvpx", "libopus", 48_000),
}


def transcoded(source, target, video, audio, rate):
    """Write the frames and the sound of a clip into another container."""
    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        pictures, sound = out.add_stream(video, rate=25), out.add_stream(audio, rate=rate, layout="mono")
        shown, shown_frames = given.streams.video[0], 0
        pictures.width, pictures.height, pictures.pix_fmt = shown.width, shown.height, "yuv420p"
        sampled = av.AudioResampler(sound.codec_context.format, "mono", rate, sound.codec_context.frame_size or 1024)
        for frame in given.decode(video=0, audio=0):
            if isinstance(frame, av.VideoFrame):
                frame = frame.reformat(format="yuv420p")
                frame.pict_type, frame.time_base, frame.pts = 0, Fraction(1, 25), shown_frames
                shown_frames += 1
                out.mux(pictures.encode(frame))
            else:
                for block in sampled.resample(frame):
                    out.mux(sound.encode(block))
        for block in sampled.resample(None):
            out.mux(sound.encode(block))
        out.mux(pictures.encode())
        out.mux(sound.encode())
    return target


@pytest.mark.slow
def test_answers_are_those_of_the_batch_pipeline_for_each_container(files, tmp_path):
    """The stages, from files to cached vectors, and the heads on these vectors."""
    paths = {name: transcoded(files[0], tmp_path / f"{name}.{name}", *codecs) for name, codecs in CODECS.items()}
    shipped = Shipped()
    # 1. the stages of the workflow, through files of the cache
    table = pd.DataFrame({"clip": list(paths), "path": [path.name for path in paths.values()], "digest": "d"})
    tables.write(table, tmp_path / "clips.csv")
    decoded = {"options": shipped.decode["frames"].model_dump()}
    media, status = tmp_path / "media.h5", tmp_path / "status.h5"
    decode_stage.run(decoded, tmp_path, tmp_path / "clips.csv", media, status)
    preset = shipped.faces["main"]
    found = {"detector": preset.detector, "options": {}, "media": digest(decoded)}
    found |= {"jpeg_quality": preset.jpeg_quality, "every": preset.every}
    faces_stage.run(found, media, tmp_path / "faces.h5", weights=None, device="cpu", threads=1)
    vectors = {}
    for name, stream in shipped.streams.items():
        source, made_by = (tmp_path / "faces.h5", found) if stream.modality == "face" else (media, decoded)
        for view in stream.views:
            recipe = {"kind": stream.kind, "options": stream.options, "source": digest(made_by)}
            file = f"{name}@{view}" if view else name
            features_stage.run(
                recipe | {"batch": 128, "precision": "float32", "view": view}, source, tmp_path / f"{file}.h5",
                weights=stream.weights, pretrained=None, device="cpu", threads=1,
            )  # fmt: skip
            vectors[file] = Reader(tmp_path / f"{file}.h5")
    batch = shipped.answer(list(paths), vectors)
    # 2. the same files as new ones
    made = emopipe.predict(list(paths.values()), threads=1)
    assert [one.status for one in made] == ["ok"] * 5 and batch.answered.all()
    ours = [list(one.probabilities.values()) for one in made]
    np.testing.assert_allclose(ours, batch.values, atol=1e-6)


def test_inputs_that_come_again_are_computed_once():
    class Counting:
        spec = fold_of = patch_times = head = device = None

        def __init__(self):
            self.computed = []

        def embed(self, fold, batch):
            self.computed += batch[:, 0].tolist()
            return {"x": batch * 2, "logp": -batch}

    counting, rng = Counting(), np.random.default_rng(0)
    memo, inputs = RememberingExtractor(counting), rng.normal(size=(30, 3)).astype(np.float32)
    for start in (0, 5, 10, 20):
        batch = inputs[start : start + 10][[0, *range(10)]]
        found = memo.embed(-1, batch)
        np.testing.assert_array_equal(found["x"], batch * 2)
        np.testing.assert_array_equal(found["logp"], -batch)
    assert counting.computed == inputs[:, 0].tolist()
    assert memo.embed(-1, inputs[:0])["x"].shape == (0, 3)
