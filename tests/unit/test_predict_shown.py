"""Predictions over time: what is kept of a file, the figure, the page, and the names of what is written."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from emopipe.cache.store import Reader
from emopipe.commands.main import app
from emopipe.core.errors import ConfigError
from emopipe.core.labels import CLASSES
from emopipe.core.notice import NOTICE
from emopipe.fusion.features import load
from emopipe.fusion.options import FusionOptions
from emopipe.inference import sound_picture, thumbnails
from emopipe.inference.boxes import Boxes
from emopipe.inference.fusion_predictor import FusionPredictor
from emopipe.inference.lines import LINES
from emopipe.inference.model import Stream, Trace
from emopipe.inference.output_names import output_names
from emopipe.inference.predictions import Prediction, Predictions, StreamAnswer, WindowAnswer
from emopipe.inference.recording import Recorder, Recording
from emopipe.inference.run_model import RunModel
from emopipe.inference.shown import write_timeline
from emopipe.inference.sound_picture import SoundPicture
from emopipe.inference.thumbnails import Thumbnails
from emopipe.inference.timeline_figure import Look, _spread, timeline_figure, title
from emopipe.inference.timeline_page import alternative
from emopipe.inference.watching import Seen
from emopipe.media.spectrogram import log_mel
from tests.unit.test_fusion_inputs import CPU, FAST, run_stage, table_of

HAPPY = dict(zip(CLASSES, (0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1), strict=True))
SAD = dict(zip(CLASSES, (0.1, 0.1, 0.1, 0.1, 0.1, 0.4, 0.1), strict=True))


def answer(name="a/<b>.mp4", windows=3, unit_of=None):
    streams = {
        n: StreamAnswer("ok", "", 1, 1, u) for n, u in (unit_of or {"face": "frames", "voice": "seconds"}).items()
    }
    made = [WindowAnswer(n / 2, n / 2 + 2, *(("Happy", HAPPY) if n % 2 == 0 else ("Sad", SAD))) for n in range(windows)]
    return Prediction(name, "ok", "", "Happy", HAPPY, streams, windows=made)


def seen(start=0.0, end=2.0, *, size=(64, 48), face=(8, 8, 24, 32), traces=None, file="a/<b>.mp4", fps=5):
    times = np.arange(np.ceil(start * fps), end * fps) / fps
    jpeg = cv2.imencode(".jpg", np.full((size[1], size[0], 3), 90, np.uint8))[1].ravel()
    boxes = np.tile(np.array(face, np.float32), (len(times), 1))
    first, last = int(start * 16_000), int(end * 16_000)
    audio = (8000 * np.sin(np.arange(first, last) * 0.2)).astype(np.int16)
    return Seen(file, start, end, [jpeg] * len(times), times, boxes, audio, start, traces or {})


def recording(windows=3, traces=None):
    made = Recording("What the bars are.")
    for n in range(windows):
        made.add(seen(n / 2, n / 2 + 2, traces=traces))
    return made


ATTENTION = {"face": Trace(np.array([0.0, 0.4, 0.8]), np.array([0.5, 1.0, 1.5]))}
NO_HEAD = Stream("opensmile", {}, "audio", None, None, "frames", 1)
HEADS = {"voice": Trace(np.array([0.1, 0.3]), probabilities=np.array([[0.1] * 3 + [0.4] + [0.1] * 3] * 2))}


# -- what is kept -----------------------------------------------------------------------------------------------------


def test_sound_that_comes_in_pieces_has_the_spectrogram_of_the_whole():
    rng = np.random.default_rng(0)
    wave = (3000 * rng.normal(size=40_000)).astype(np.int16)
    picture = SoundPicture()
    for start in range(0, 40_000, 8000):  # pieces overlap, as windows do
        picture.add(wave[start : start + 16_000], start / 16_000)
    whole = log_mel(wave.astype(np.float32) / 32768, sound_picture.OPTIONS)[0]
    expected = 20 * whole[:, : len(wave) // 160] - 120
    np.testing.assert_allclose(picture.picture(), expected, atol=1e-3)
    assert picture.seconds == 0.01 and picture.start == 0


def test_a_pause_of_the_sound_stays_empty():
    picture = SoundPicture()
    picture.add(np.full(16_000, 900, np.int16), 0.5)
    picture.add(np.empty(0, np.int16), 0.0)
    picture.add(np.full(16_000, 900, np.int16), 3.0)
    columns = picture.picture()
    assert columns.shape[1] == 350 and picture.start == 0.5
    assert np.isnan(columns[0, 100:250]).all() and np.isfinite(columns[:, :100]).all()
    assert np.isfinite(columns[:, 250:]).all()


def test_the_picture_of_long_sound_is_no_larger(monkeypatch):
    monkeypatch.setattr(sound_picture, "MOST_COLUMNS", 100)
    rng = np.random.default_rng(0)
    wave, picture = (3000 * rng.normal(size=80_000)).astype(np.int16), SoundPicture()
    for start in range(0, 80_000, 5000):
        picture.add(wave[start : start + 5000], start / 16_000)
    found = picture.picture()
    assert found.shape[1] <= 101 and found.shape[1] * picture.seconds == pytest.approx(5, abs=picture.seconds)
    whole = 20 * log_mel(wave.astype(np.float32) / 32768, sound_picture.OPTIONS)[0] - 120
    count = round(picture.seconds / 0.01)
    expected = whole[:, : 50 * count].reshape(64, 50, count).mean(2)
    np.testing.assert_allclose(found[:, :50], expected, atol=1e-2)


def test_pictures_are_few_and_even(monkeypatch):
    monkeypatch.setattr(thumbnails, "MOST", 8)
    kept = Thumbnails()
    for n in range(1000):
        kept.add(n / 5, np.full((288, 512, 3), n % 256, np.uint8))
    times = [time for time, _ in kept.pictures]
    assert 4 <= len(kept) <= 8 and times[0] == 0 and times[-1] > 100
    assert np.ptp(np.diff(times)) <= 0.41 and kept.pictures[0][1].shape == (144, 256, 3)


def test_boxes_between_searched_frames():
    boxes, one, other = Boxes(), np.array([0.1, 0.1, 0.5, 0.5]), np.array([0.2, 0.1, 0.6, 0.5])
    for time, box in ((0.0, one), (1.0, other), (2.0, np.full(4, np.nan)), (3.0, one), (4.0, one + 0.45)):
        boxes.add(time, box, 1.0)
    np.testing.assert_allclose(boxes.at(0.5), (one + other) / 2, atol=1e-6)
    np.testing.assert_allclose(boxes.at(1.4), other, atol=1e-6)
    assert boxes.at(1.6) is None and boxes.at(2.0) is None and boxes.at(2.4) is None
    np.testing.assert_allclose(boxes.at(3.2), one, atol=1e-6)  # the next one is elsewhere: not interpolated
    np.testing.assert_allclose(boxes.at(3.8), one + 0.45, atol=1e-6)
    np.testing.assert_allclose(boxes.at(4.5), one + 0.45, atol=1e-6)
    assert boxes.at(4.6) is None and len(boxes.found) == 4 and Boxes().at(1.0) is None


def test_of_several_windows_counts_the_one_whose_middle_is_nearest():
    boxes, near, far = Boxes(), np.array([0.1, 0.1, 0.5, 0.5]), np.array([0.5, 0.5, 0.9, 0.9])
    for box, distance in ((far, 0.9), (near, 0.1), (far, 0.4)):
        boxes.add(1.0, box, distance)
    np.testing.assert_allclose(boxes.at(1.0), near)


def test_traces_of_windows_that_overlap_are_averaged():
    made = Recording()
    for n, weight in enumerate(([0.5, 1.5], [1.0, 1.0])):
        made.add(seen(n / 5, 0.4 + n / 5, traces={"face": Trace(np.array([0.0, 0.2]) + n / 5, np.array(weight))}))
    times, values, width = made.trace("face", 0)
    np.testing.assert_allclose(times, [0, 0.2, 0.4])
    np.testing.assert_allclose(values, [0.5, 1.25, 1.0])
    assert width == pytest.approx(0.2) and made.is_attention("face")


def test_a_recorder_keeps_files_apart_until_they_are_taken():
    recorder = Recorder("About.")
    recorder(seen(file="one.mp4"))
    recorder(seen(file="two.mp4", end=1.0))
    assert recorder.take("one.mp4").end == 2.0 and recorder.take("two.mp4").end == 1.0
    assert recorder.take("one.mp4").end == 0.0


# -- attention --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_attention_of_new_clips_is_what_the_stage_wrote(tmp_path):
    table = run_stage(tmp_path, FusionOptions(audio_attention="self", **FAST))
    model = FusionPredictor(tmp_path, "audio_m", CPU)
    features = {"net": load(tmp_path / "net.h5", list(table["clip"]))}
    found = model.attention(table, features)
    with Reader(tmp_path / "a.h5") as weights:
        assert len(weights.clips) == 12
        for clip in weights.clips:
            own = found[table["clip"].tolist().index(clip)]["net"]
            np.testing.assert_allclose(own, weights.field(clip, "net"), atol=1e-6)
    assert np.ptp(own) > 1e-4
    # the whole run: attention, where 1 is an equal share
    run = RunModel("r", {"audio_m": model}, ["audio_m"], None, {"net": NO_HEAD}, {}, {})
    with Reader(tmp_path / "net.h5") as rows:
        traces = run.traces(list(table["clip"]), {"net": rows})
        times = rows.field(table["clip"].iloc[-1], "time")
    assert "the model audio_m" in run.about_traces and traces[-1]["net"].probabilities is None
    np.testing.assert_allclose(traces[-1]["net"].weight, 3 * found[-1]["net"], atol=1e-6)
    np.testing.assert_array_equal(traces[-1]["net"].time, times)


@pytest.mark.slow
def test_a_run_that_pools_heads_shows_what_heads_say(tmp_path):
    table = run_stage(tmp_path, FusionOptions(fusion="product", seeds=[0]))
    run = RunModel(
        "r", {"audio_m": FusionPredictor(tmp_path, "audio_m", CPU)}, ["audio_m"], None, {"net": NO_HEAD}, {}, {}
    )
    with Reader(tmp_path / "net.h5") as rows:
        trace = run.traces(list(table["clip"]), {"net": rows})[0]["net"]
        logp = rows.field(table["clip"].iloc[0], "logp")
    assert "have no attention" in run.about_traces and trace.weight is None
    np.testing.assert_allclose(trace.probabilities, np.exp(logp), rtol=1e-6)
    assert table_of().equals(table)


# -- the figure and the page ------------------------------------------------------------------------------------------


def texts(figure):
    return [t.get_text() for a in figure.axes for t in (a.title, a._left_title, *a.texts) if t.get_text()]


def test_a_figure_shows_frames_attention_sound_and_labelled_lines():
    figure = timeline_figure(answer(), recording(traces=ATTENTION | HEADS))
    found = texts(figure)
    assert [t for t in found if t not in CLASSES] == [
        "frames; box: the main face", "face: attention (1: equal share)", "sound, log-Mel, 70 dB from black to light",
        "voice alone: probability of Happy", "probabilities, in windows of 2 s, at their middles",
    ]  # fmt: skip
    assert set(CLASSES) <= set(found)
    lines = figure.axes[-1].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == len(CLASSES) == len(lines)
    assert lines[CLASSES.index("Happy")].get_ydata().tolist() == [0.4, 0.1, 0.4]
    assert len(figure.axes[0].patches) == 2 * len(figure.axes[0].images) > 0
    assert [bar.get_height() for bar in figure.axes[1].patches][:1] == [0.5]
    small_print = figure._supxlabel.get_text().replace("\n", " ")
    assert NOTICE in small_print and "What the bars are." in small_print


def test_long_and_odd_names_have_titles():
    assert title(answer("a/" + "x" * 200 + ".mp4")) == "x" * 57 + "...: Happy 40%"
    assert title(answer("a/a\nb.mp4")) == "a\\nb.mp4: Happy 40%"


@pytest.mark.slow
def test_of_one_window_there_are_bars():
    figure = timeline_figure(answer(windows=1), recording(1))
    assert "probabilities, of the whole file" in texts(figure)
    assert [bar.get_width() for bar in figure.axes[-1].patches] == [HAPPY[name] for name in CLASSES]


def test_lines_differ_in_more_than_hue():
    hues = [cv2.cvtColor(np.uint8([[[int(c[n : n + 2], 16) for n in (1, 3, 5)]]]), cv2.COLOR_RGB2LAB)[0, 0]
            for c, _ in LINES.values()]  # fmt: skip
    styles = [style for _, style in LINES.values()]
    for i, one in enumerate(hues):
        for k in range(i):
            assert styles[i] != styles[k] or abs(int(one[0]) - int(hues[k][0])) > 15


def test_names_of_lines_do_not_overlap():
    placed = _spread({"a": 0.01, "b": 0.0, "c": 0.98, "d": 0.99, "e": 1.0, "f": 0.5, "g": 0.02})
    heights = [placed[name] for name in "bagfcde"]
    assert (np.diff(heights) >= 0.0849).all() and heights[0] >= 0 and heights[-1] <= 1
    assert placed["f"] == pytest.approx(0.5)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_figures_have_equal_bytes(tmp_path, suffix):
    made = recording(traces=ATTENTION)
    for number in (1, 2):
        write_timeline(answer(), made, tmp_path / f"{number}.{suffix}")
    one, other = ((tmp_path / f"{n}.{suffix}").read_bytes() for n in (1, 2))
    assert one == other and b"dc:date" not in one and b"Matplotlib" not in one


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.said = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.said.append(data)


@pytest.mark.slow
def test_a_page_is_self_contained_and_escapes_names(tmp_path):
    write_timeline(answer("a/<img src=x onerror=alert(1)>$x$.mp4"), recording(traces=HEADS), tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    page = Page(text)
    kinds = [tag for tag, _ in page.tags]
    assert "script" not in kinds and kinds.count("img") == 1 and kinds.count("source") == 3
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    for _, attrs in page.tags:
        for name in ("src", "srcset", "href"):
            assert attrs.get(name, "data:image/png;base64,").startswith("data:image/png;base64,")
    assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text
    (alt,) = [attrs["alt"] for tag, attrs in page.tags if tag == "img"]
    assert "Happy from 0.0 to 2.0 s, Sad from 0.5 to 2.5 s" in alt
    assert NOTICE in " ".join(page.said) and "<img src=x onerror=alert(1)>$x$.mp4" in " ".join(page.said)


@pytest.mark.slow
def test_a_file_without_an_answer_has_a_figure_of_what_there_is(tmp_path):
    silent = Prediction("a.mp4", "no_face", "None of 10 frames has a face.", streams=answer().streams)
    made = Recording("")
    made.add(seen(face=(np.nan,) * 4))
    write_timeline(silent, made, tmp_path / "a.html")
    assert "There is no answer. Status: no_face." in (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "no answer: no_face" in texts(timeline_figure(silent, made, Look(is_dark=True, is_narrow=True)))
    assert alternative(silent, made).startswith("a.mp4 over 2.0 seconds")
    with pytest.raises(ConfigError, match=r"a\.mp4 has no frames or sound over time, so b\.png was not written"):
        write_timeline(silent, Recording(""), tmp_path / "b.png")


def test_figures_from_python_need_recordings():
    made = Predictions([answer("a.mp4")], {"a.mp4": recording()})
    assert len(made.timeline_figure("a.mp4").axes) == 3
    with pytest.raises(ConfigError, match=r"predict\(\.\.\., record=True\)"):
        Predictions([answer("a.mp4")]).timeline_figure()


# -- names ------------------------------------------------------------------------------------------------------------


def test_names_of_outputs(tmp_path):
    names = output_names("--timeline", "out/{}.html", ["a/one.mp4", "b/one.mp4", "talk.mp4#t=1,2.5"], [".html"])
    assert [str(path) for path in names.values()] == ["out/one.html", "out/one 2.html", "out/talk 1-2.5.html"]
    (only,) = output_names("--timeline", "page.html", ["a/one.mp4"], [".html"]).values()
    assert str(only) == "page.html"


@pytest.mark.parametrize(
    ("given", "inputs", "message"),
    [
        ("out.txt", ["a.mp4"], "--video is out.txt. Expected a name that ends in .mp4"),
        ("out.mp4", ["a.mp4", "b.mp4"], "there are 2 inputs. Write {} .*--video 'out-{}.mp4'"),
        ("in.mp4", ["in.mp4"], "would overwrite the input in.mp4"),
        ("linked.mp4", ["in.mp4#t=1,2"], "would overwrite the input linked.mp4"),
        ("./{}.mp4", ["other.mp4", "in.mp4"], "would overwrite the input"),
        ("folder.mp4", ["in.mp4"], "which is a folder"),
    ],
)
def test_names_that_are_refused(tmp_path, monkeypatch, given, inputs, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.mp4").write_bytes(b"x")
    (tmp_path / "linked.mp4").hardlink_to(tmp_path / "in.mp4")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(ConfigError, match=message):
        output_names("--video", given, inputs, [".mp4"])


@pytest.mark.slow
def test_wrong_names_are_refused_before_anything_is_loaded(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"x")
    code = (
        "import sys; from typer.testing import CliRunner; from emopipe.commands.main import app\n"
        f"done = CliRunner().invoke(app, ['predict', {str(tmp_path / 'a.mp4')!r}, '--timeline', 'a.pdf'])\n"
        "print(done.exit_code, 'torch' in sys.modules, done.output)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.match(r"1 False --timeline is a\.pdf\. Expected a name that ends in \.html", done.stdout)


def test_the_help_names_both_options():
    said = CliRunner().invoke(app, ["predict", "--help"]).output
    assert "--timeline" in said and "--video" in said
