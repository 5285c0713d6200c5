"""The video with what was predicted: frames, times, boxes, bars, sound, odd sizes, and what is refused."""

import dataclasses
from fractions import Fraction

import av
import cv2
import numpy as np
import psutil
import pytest
from av.video.reformatter import ColorRange, Colorspace
from typer.testing import CliRunner

from emopipe.cache import status
from emopipe.commands.main import app
from emopipe.core.errors import ConfigError
from emopipe.core.labels import CLASSES
from emopipe.inference import drawn_video
from emopipe.inference.drawn_video import write_video
from emopipe.inference.overlay import BAR, BOX, Overlay
from emopipe.inference.predictions import Prediction, WindowAnswer
from emopipe.inference.recording import Recording
from emopipe.inference.shipped import Shipped
from emopipe.inference.watching import Seen
from emopipe.media.decoded import DecodeOptions, Media
from tests.conftest import write_clip
from tests.unit.test_predict_shown import HAPPY, SAD

OPTIONS = DecodeOptions(policy="fps", fps=5)
FACE = (0.3, 0.2, 0.6, 0.6)


def predicted(path, seconds=1.0, size=(64, 48), face=FACE):
    """The answer for a file, half of which is Happy and half Sad, and a recording with a face."""
    middle = seconds / 2
    windows = [WindowAnswer(0.0, middle, "Happy", HAPPY), WindowAnswer(middle, seconds, "Sad", SAD)]
    times = np.arange(0, seconds, 0.2)
    jpeg = cv2.imencode(".jpg", np.zeros((size[1], size[0], 3), np.uint8))[1].ravel()
    boxes = np.tile(np.float32(face) * np.float32([*size, *size]), (len(times), 1))
    made = Recording()
    made.add(Seen(str(path), 0.0, seconds, [jpeg] * len(times), times, boxes, np.empty(0, np.int16), 0.0, {}))
    return Prediction(str(path), "ok", "", "Happy", HAPPY, windows=windows), made


def frames_of(path):
    with av.open(str(path)) as container:
        return [(float(f.time), f.to_ndarray(format="bgr24")) for f in container.decode(video=0)]


def near(image, colour, tolerance=60):
    """(H, W) bool: where the image has about this colour."""
    return (np.abs(image.astype(int) - np.array(colour)) <= tolerance).all(2)


# -- drawing ----------------------------------------------------------------------------------------------------------


def test_the_box_the_label_and_bars_are_drawn():
    overlay, image = Overlay(640, 480, [np.array(FACE)]), np.full((480, 640, 3), 128, np.uint8)
    overlay.draw(image, np.array(FACE), "Happy", HAPPY)
    left, top = round(0.3 * 639), round(0.2 * 479)
    assert near(image[top : round(0.6 * 479), left, None], BOX).mean() > 0.9
    panel = image[overlay.top :, overlay.left : overlay.left + overlay._panel[0]]
    rows = near(panel, BAR, 8).sum(1)
    assert rows.max() == pytest.approx(0.4 * overlay._bar_width, abs=2) and panel.mean() < 100
    clear = image.copy()
    overlay.draw(clear, None, None, None)
    assert (image[: overlay.top, : overlay.left] == clear[: overlay.top, : overlay.left]).all()


def test_bars_stay_off_the_face():
    for face, corner in (((0.0, 0.4, 0.4, 1.0), "right"), ((0.6, 0.4, 1.0, 1.0), "left")):
        overlay = Overlay(640, 480, [np.array(face)] * 3)
        assert (overlay.left > 320) == (corner == "right") and overlay.top > 240


@pytest.mark.parametrize("size", [(16, 16), (33, 17), (224, 224), (90, 640), (1920, 1080)])
def test_any_size_can_be_drawn_into(size):
    overlay, image = Overlay(*size, [np.array(FACE)]), np.full((size[1], size[0], 3), 128, np.uint8)
    overlay.draw(image, np.array([-0.2, -0.1, 1.2, 1.1]), "Surprise", HAPPY)
    assert image.shape == (size[1], size[0], 3) and (image != 128).any()
    if min(size) > 200:  # all of the text is inside
        assert overlay.left + overlay._panel[0] <= size[0] and overlay.top + overlay._panel[1] <= size[1]


# -- the file ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_video_keeps_its_frames_times_and_sound(tmp_path):
    stamps = [0, 1, 2, 5, 6, 9, 10, 11, 12, 17]  # a variable rate
    source = write_clip(tmp_path / "in.mkv", seconds=1.8, size=(160, 120), times=stamps, audio="aac")
    before = source.read_bytes()
    assert write_video(*predicted(source, 1.8, (160, 120)), OPTIONS, tmp_path / "out.mp4")
    found = frames_of(tmp_path / "out.mp4")
    assert [time for time, _ in found] == pytest.approx([stamp / 10 for stamp in stamps], abs=1e-3)
    for (time, image), (_, own) in zip(found, frames_of(source), strict=True):
        assert image.shape == (120, 160, 3)
        assert image[4:10, 4:10].mean() == pytest.approx(own[4:10, 4:10].mean(), abs=3)
        assert near(image[25:70, 46:51], BOX, 90).any(1).mean() > 0.9 or time > 1.7
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert out.streams.audio[0].codec_context.name == "aac" and out.streams.video[0].pix_fmt == "yuv420p"
    assert source.read_bytes() == before and sorted(p.name for p in tmp_path.iterdir()) == ["in.mkv", "out.mp4"]


@pytest.mark.slow
@pytest.mark.parametrize("matrix", [Colorspace.ITU601, Colorspace.ITU709])
def test_colours_stay(tmp_path, matrix):
    with av.open(str(tmp_path / "in.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=10, width=320, height=240)
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, ColorRange.MPEG
        for number in range(10):
            frame = av.VideoFrame(320, 240, "yuv420p")
            for plane, value in zip(frame.planes, (120, 100, 170), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts, frame.time_base, frame.colorspace = number, Fraction(1, 10), matrix
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    write_video(*predicted(tmp_path / "in.mp4", 1.0, (320, 240)), OPTIONS, tmp_path / "out.mp4")
    (_, one), (_, other) = (frames_of(tmp_path / name)[5] for name in ("in.mp4", "out.mp4"))
    np.testing.assert_allclose(one[4:20, 4:20].mean((0, 1)), other[4:20, 4:20].mean((0, 1)), atol=4)


@pytest.mark.slow
def test_bars_are_those_of_the_nearest_window(tmp_path):
    source = write_clip(tmp_path / "in.mp4", size=(320, 240), audio=None)
    one, made = predicted(source, 1.0, (320, 240))
    assert not write_video(one, made, OPTIONS, tmp_path / "out.mp4")
    overlay = Overlay(320, 240, made.boxes.found)
    shown = []
    for _, image in frames_of(tmp_path / "out.mp4"):
        rows = near(image[overlay.top :, overlay.left :], BAR, 40).sum(1)
        shown.append(round((int(rows.argmax()) / overlay._row) - 0.75))
    assert shown[:5] == [CLASSES.index("Happy")] * 5 and shown[6:] == [CLASSES.index("Sad")] * 4


@pytest.mark.slow
def test_odd_sides_become_even_and_a_part_is_a_part(tmp_path):
    source = write_clip(tmp_path / "in.mkv", seconds=2.0, size=(67, 51), video="ffv1", audio="pcm_s16le")
    one, made = predicted(source, 1.0, (67, 51))
    part = dataclasses.replace(one, input=f"{source}#t=0.5,1.5")
    assert write_video(part, made, OPTIONS, tmp_path / "out.mp4")
    found = frames_of(tmp_path / "out.mp4")
    assert [time for time, _ in found] == pytest.approx([n / 10 for n in range(10)], abs=1e-3)
    assert {image.shape for _, image in found} == {(52, 68, 3)}
    assert found[0][1][2:6, 2:6].mean() == pytest.approx(20 + 4 * 5, abs=6)
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert float(out.streams.audio[0].duration * out.streams.audio[0].time_base) == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_what_a_player_turns_is_written_upright(tmp_path):
    source = write_clip(tmp_path / "in.mp4", size=(64, 48), audio=None)
    turned = tmp_path / "turned.mp4"
    content = source.read_bytes()
    upright = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
    quarter = np.array([0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    at = content.index(upright, content.index(b"tkhd"))
    turned.write_bytes(content[:at] + quarter + content[at + len(quarter) :])
    write_video(*predicted(turned, 1.0, (48, 64)), OPTIONS, tmp_path / "out.mp4")
    assert frames_of(tmp_path / "out.mp4")[0][1].shape == (64, 48, 3)


@pytest.mark.slow
def test_without_x264_the_codec_is_mpeg4(tmp_path, monkeypatch):
    monkeypatch.setattr(drawn_video, "_has", lambda name: name != "libx264")
    source = write_clip(tmp_path / "in.mp4", audio=None)
    write_video(*predicted(source), OPTIONS, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert out.streams.video[0].codec_context.name == "mpeg4" and len(list(out.decode(video=0))) == 10


def test_files_without_video_are_refused(tmp_path):
    one, _ = predicted(tmp_path / "a.wav")
    with pytest.raises(ConfigError, match=r"a\.wav has no video that can be decoded, so --video has nothing to draw"):
        write_video(one, Recording(), OPTIONS, tmp_path / "out.mp4")
    _, picture = predicted(tmp_path / "a.png", 0.2)
    with pytest.raises(ConfigError, match="is a single picture"):
        write_video(one, picture, OPTIONS, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(tmp_path, monkeypatch):
    """Frames come a part at a time; here, the parts are made on the spot."""
    image = np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8)
    jpeg, asked, used = cv2.imencode(".jpg", image)[1].tobytes(), [], []

    class Endless:
        def __init__(self, options, seconds):
            asked.append((options.policy, options.max_side))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def __call__(self, path):
            for second in range(40):
                used.append(psutil.Process().memory_info().rss)
                yield Media(status.PART, "", [jpeg] * 10, second + np.arange(10) / 10)
            yield Media(status.OK)

    monkeypatch.setattr(drawn_video, "PartReader", Endless)
    monkeypatch.setattr(drawn_video, "add_sound", lambda *_: False)
    write_video(*predicted(tmp_path / "in.mp4", 2.0, (640, 360)), OPTIONS, tmp_path / "out.mp4")
    assert asked == [("all", 65_500)] and len(frames_of(tmp_path / "out.mp4")) == 400
    assert used[-1] - used[12] < 30 << 20  # 280 frames, of 690 kB each, would be 190 MB


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_writes_both_and_reports_what_it_cannot(tmp_path):
    video = write_clip(tmp_path / "in.mp4", seconds=3.0, size=(160, 120), audio="aac")
    sound = write_clip(tmp_path / "tone.wav", video=None, audio="pcm_s16le")
    arguments = ["predict", str(video), str(sound), "--threads", "1", "--json"]
    where = ["--timeline", str(tmp_path / "shown/{}.html"), "--video", str(tmp_path / "shown/{}.mp4")]
    done = CliRunner().invoke(app, arguments + where)
    assert done.exit_code == 1 and "tone.wav has no video that can be decoded" in done.stderr
    assert "there are windows of 2 s, one every 0.5 s" in done.stderr and len(done.stdout.splitlines()) == 2
    assert sorted(p.name for p in (tmp_path / "shown").iterdir()) == ["in.html", "in.mp4", "tone.html"]
    assert len(frames_of(tmp_path / "shown/in.mp4")) == 30
    plain = CliRunner().invoke(app, [*arguments[:2], "--window", "1", "--timeline", str(tmp_path / "a.png")])
    assert plain.exit_code == 0 and "No --window" not in plain.output
    assert cv2.imread(str(tmp_path / "a.png")).shape[1] > 1000


@pytest.mark.slow
def test_watching_changes_no_answer_and_both_ways_show_the_same(tmp_path):
    import emopipe
    from emopipe.demo.plan import DemoOptions, plan
    from emopipe.demo.video import draw_clip

    clip = next(c for c in plan(DemoOptions(subjects=4, val_subjects=1, test_subjects=1, takes=1)))
    path = tmp_path / f"clip.{clip.container}"
    draw_clip(clip, path)
    predictor, whole, windowed = emopipe.Predictor(threads=1), [], []
    (plain,), (shown,) = predictor.predict(path), predictor.stream(path, watch=whole.append)
    assert plain == shown and len(whole) == 1
    (one,) = predictor.stream(path, window=60.0, watch=windowed.append)
    (first,), (second,) = whole, windowed
    assert len(one.windows) == 1 and first.end == pytest.approx(second.end, abs=0.05)
    np.testing.assert_allclose(first.times, second.times, atol=1e-9)
    np.testing.assert_array_equal(first.boxes, second.boxes)
    np.testing.assert_array_equal(first.audio, second.audio)
    assert set(first.traces) == set(second.traces) == set(Shipped().streams)
    for name, trace in first.traces.items():
        np.testing.assert_allclose(trace.probabilities, second.traces[name].probabilities, atol=1e-5)
        np.testing.assert_allclose(trace.probabilities.sum(1), 1)
    # the mean over frames is what the face alone says
    face = first.traces["face"].probabilities.mean(0)
    np.testing.assert_allclose(face, [*plain.streams["face"].probabilities.values()], atol=1e-5)
    figure = predictor.predict(path, record=True).timeline_figure()
    assert len(figure.axes) == 5
