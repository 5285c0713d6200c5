"""Predictions in every kind of label space: JSON, tables, figures, pages, drawn frames and the table of the command."""

import json

import numpy as np
import polars
import pytest
from typer.testing import CliRunner

from emopipe.commands import predict as command
from emopipe.commands.main import app
from emopipe.core.errors import ConfigError
from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.inference import asked_labels
from emopipe.inference.answer_display import answer_text, bar, first_names, named, share, zero
from emopipe.inference.lines import LINES, lines_of
from emopipe.inference.model import Trace
from emopipe.inference.overlay import Overlay
from emopipe.inference.predictions import Prediction, Predictions, StreamAnswer, WindowAnswer
from emopipe.inference.predictor import Predictor, _mean
from emopipe.inference.shown import write_timeline
from emopipe.inference.timeline_figure import timeline_figure, title
from emopipe.inference.timeline_page import alternative
from emopipe.media.decoded import Media
from tests.conftest import write_clip
from tests.unit.test_predict_shown import recording, texts

SINGLE = LabelSpace(("Happy", "Bored <b>"))
VOTES = LabelSpace(("Happy", "Sad", "Contempt"), "votes")
MULTI = LabelSpace(("Happy", "Sad", "Surprise"), "multi")
DIMENSIONS = LabelSpace(("valence", "arousal"), "dimensions")
MANY = LabelSpace(tuple(f"class {number}" for number in range(20)))
VALUES = {
    SINGLE: [[0.75, 0.25], [0.25, 0.75]],
    VOTES: [[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]],
    MULTI: [[0.75, 0.25, 0.5], [0.25, 0.25, 0.25]],
    DIMENSIONS: [[0.5, -0.25], [-0.5, 0.75]],
    MANY: [[0.24] + [0.04] * 19, [0.04] * 19 + [0.24]],
}
LABELS = {
    SINGLE: ["Happy", "Bored <b>"],
    VOTES: ["Happy", "Contempt"],
    MULTI: ["Happy;Surprise", "(none)"],
    DIMENSIONS: ["0.5;-0.25", "-0.5;0.75"],
    MANY: ["class 0", "class 19"],
}
SPACES = pytest.mark.parametrize("space", VALUES, ids=lambda space: f"{space.kind}{len(space)}")
STREAMS = {"face": StreamAnswer("ok", "", 1, 1, "frames"), "voice": StreamAnswer("ok", "", 1, 1, "seconds")}


def by_name(space, number):
    return dict(zip(space.names, VALUES[space][number], strict=True))


def windows(space):
    spans = [(0.0, 2.0), (0.5, 2.5)]
    return [WindowAnswer(*span, LABELS[space][n], by_name(space, n), space) for n, span in enumerate(spans)]


def answer(space, *, over_time=True):
    parts = windows(space) if over_time else []
    models = {"m": by_name(space, 0)}
    return Prediction("a/b.mp4", "ok", "", LABELS[space][0], by_name(space, 0), STREAMS, models, parts, space)


def made_of(space):
    silent = Prediction("c.mp4", "no_face", "None of 3 frames has a face.", space=space)
    return Predictions([answer(space), answer(space, over_time=False), silent])


@SPACES
def test_json_names_the_numbers_and_the_label_space(space):
    one = json.loads(answer(space).to_json())
    numbers = "values" if space is DIMENSIONS else "probabilities"
    keys = ["input", "status", "reason", "label", numbers, "streams", "models", "windows", "labels"]
    assert list(one) == keys
    assert one[numbers] == one["models"]["m"] == by_name(space, 0) and one["label"] == LABELS[space][0]
    assert list(one["windows"][1]) == ["start", "end", "label", numbers]
    assert one["windows"][1][numbers] == by_name(space, 1)
    assert LabelSpace.from_dict(one["labels"]) == space


def test_json_of_the_seven_classes_has_no_label_space():
    one = json.loads(Prediction("a.mp4", "ok", "", "Happy", dict.fromkeys(BASIC7.names, 1 / 7)).to_json())
    assert list(one) == ["input", "status", "reason", "label", "probabilities", "streams", "models", "windows"]


def test_values_of_dimensions_are_not_probabilities():
    one = answer(DIMENSIONS)
    assert one.probabilities is None and one.windows[0].probabilities is None
    assert answer(MULTI).probabilities == by_name(MULTI, 0) == answer(MULTI).windows[0].probabilities


@SPACES
def test_frames_and_files_have_the_columns_of_the_space(space, tmp_path):
    made = made_of(space)
    assert list(made.frame)[3:] == [
        "label",
        *space.columns,
        *(f"{s}_{n}" for s in STREAMS for n in ("found", "searched")),
    ]
    np.testing.assert_array_equal(made.frame[space.columns].to_numpy()[:2], [VALUES[space][0]] * 2)
    assert made.frame[space.columns].iloc[2].isna().all()
    made.write(tmp_path / "made.parquet")
    assert polars.read_parquet(tmp_path / "made.parquet")["label"].to_list() == [LABELS[space][0]] * 2 + [None]
    over_time = made.timeline(0)
    assert list(over_time) == ["start", "end", "label", *space.columns] and over_time["label"].tolist() == LABELS[space]


@SPACES
def test_plots_and_html(space):
    made = made_of(space)
    assert [line.get_label() for line in made.plot(0).lines] == list(space.names)
    bars = made.plot(1)
    assert [each.get_width() for each in bars.patches] == VALUES[space][0][::-1]
    assert bars.get_xlim() == ((-1, 1) if space is DIMENSIONS else (0, 1))
    html = made._repr_html_()
    assert "<b>Bored" not in html and html.count("<th>") == len(space) + 3
    if space is DIMENSIONS:
        assert "transparent 38%,#9ecae1 38% 50%,transparent 50%" in html


@SPACES
def test_answers_in_words(space):
    expected = {
        SINGLE: "Happy 75%",
        VOTES: "Happy 50%",
        MULTI: "Happy 75%, Surprise 50%",
        DIMENSIONS: "valence 0.50, arousal -0.25",
        MANY: "class 0 24%",
    }
    assert title(answer(space)) == f"b.mp4: {expected[space]}"
    assert answer_text("(none)", by_name(MULTI, 1), MULTI) == "(none)" and named("(none)", MULTI) == []
    assert first_names("Happy;Surprise", by_name(MULTI, 0), MULTI, 1) == ["Happy", "Surprise"]


def test_bars_of_dimensions_begin_at_zero():
    scale = LabelSpace(("valence", "arousal"), "dimensions", 1, 5)
    assert bar(-0.5, DIMENSIONS) == (0.25, 0.5) and bar(2.0, DIMENSIONS) == (0.5, 1.0)
    assert zero(scale) == 0 and bar(3.0, scale) == (0, 0.5) and share(2.0, scale) == 0.25


def test_lines_of_many_classes_differ():
    assert lines_of(BASIC7.names) == dict(LINES)
    mixed = lines_of([*BASIC7.names, *MANY.names])
    assert len({*mixed.values()}) == 27 and mixed["Happy"] == LINES["Happy"] and list(mixed)[:7] == list(BASIC7.names)
    assert len(lines_of([str(number) for number in range(50)])) == 50


@pytest.mark.slow
@SPACES
def test_figures_over_time(space):
    axes = timeline_figure(answer(space), recording(2)).axes[-1]
    assert {*space.names} <= {each.get_text() for each in axes.texts}
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker() == "o"]
    np.testing.assert_array_equal([line.get_ydata() for line in lines], np.transpose(VALUES[space]))
    assert axes.get_ylim() == ((-1, 1) if space is DIMENSIONS else (0, 1))
    levels = [line.get_ydata()[0] for line in axes.lines if line not in lines]
    assert levels == {MULTI: [0.5], DIMENSIONS: [0.0]}.get(space, [])
    strong = {each.get_text() for each in axes.texts if each.get_weight() == "bold"}
    assert strong == ({*named(LABELS[space][0], space)} if space is not DIMENSIONS else set())


@pytest.mark.slow
def test_names_of_any_form_have_their_bars_and_lines(tmp_path):
    names = ("$a_{b$", "a name that is long 1", "a name that is long 2", "bored\u00e9 $x$ \\frac{")
    space = LabelSpace(names, "multi")
    parts = [WindowAnswer(n, n + 1, ";".join(names), dict.fromkeys(names, 0.75), space) for n in range(3)]
    for over_time in (parts, []):
        one = Prediction("a.mp4", "ok", "", ";".join(names), dict.fromkeys(names, 0.75), windows=over_time, space=space)
        assert len(title(one)) < 80 and title(one).endswith(" ...")
        figure = timeline_figure(one, recording(2))
        figure.savefig(tmp_path / "a.png")
    assert len(figure.axes[-1].patches) == 4 and len(figure.axes[-1].get_yticklabels()) == 4


@pytest.mark.slow
@SPACES
def test_figures_of_one_window(space):
    axes = timeline_figure(answer(space, over_time=False), recording(1)).axes[-1]
    assert [each.get_width() for each in axes.patches] == VALUES[space][0]
    assert len({each.get_text() for each in axes.texts} & {"-0.25"}) == (space is DIMENSIONS)


def test_traces_of_heads_are_shown_for_classes_that_they_know():
    probabilities = np.array([[0.5, np.nan, 0.5]] * 2)
    traces = {"voice": Trace(np.array([0.1, 0.3]), probabilities=probabilities)}
    assert "voice alone: probability of Happy" in texts(timeline_figure(answer(VOTES), recording(1, traces)))
    sad = Prediction("b.mp4", "ok", "", "Sad", {"Happy": 0.25, "Sad": 0.5, "Contempt": 0.25}, STREAMS, space=VOTES)
    assert not any("alone" in text for text in texts(timeline_figure(sad, recording(1, traces))))


@pytest.mark.slow
@SPACES
def test_pages(space, tmp_path):
    write_timeline(answer(space), recording(2), tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    said = {
        SINGLE: "Most probable: <strong>Happy</strong>, 75 %, by the mean over 2 windows.",
        MULTI: "Classes with a probability of at least one half: <strong>Happy 75%, Surprise 50%</strong>",
        DIMENSIONS: "Values: <strong>valence 0.50, arousal -0.25</strong>",
    }
    assert said.get(space, "Most probable:") in text and "<b>" not in text
    assert ("All dimensions" if space is DIMENSIONS else "All classes") in text
    if space is DIMENSIONS:
        assert "margin-left: 37.5%; width: 12.5%" in text and '<th scope="col">arousal</th>' in text
        assert alternative(answer(space), recording(2)).endswith(
            "Values: valence from -0.50 to 0.50, arousal from -0.25 to 0.75."
        )


@SPACES
def test_drawn_frames(space):
    image = np.full((480, 640, 3), 90, np.uint8)
    overlay = Overlay(640, 480, [], space)
    overlay.draw(image, np.array([0.5, 0.5, 0.8, 0.9]), LABELS[space][0], by_name(space, 0))
    assert overlay._rows == {MANY: 7}.get(space, len(space))
    panel = image[overlay.top :, overlay.left : overlay.left + overlay._panel[0]]
    blue = (panel == (233, 180, 86)).all(2).any(1)  # rows of pixels with a bar
    assert np.diff(np.flatnonzero(np.diff(np.r_[0, blue, 0]) == 1)).size + 1 == min(7, len(space))


def test_labels_beside_a_face_stay_in_the_frame():
    overlay = Overlay(640, 480, [], MULTI)
    text = "Happy 75%, Sad 75%, Surprise 50%"
    assert overlay._fitting(text, 0) == text and overlay._fitting(text, 600) == "Happy 75%"


@SPACES
def test_the_table_of_the_command(space, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    command._print_table(made_of(space))
    shown = capsys.readouterr().out
    assert "no_face: None of 3 frames" in shown
    assert {
        SINGLE: "Bored <b> ███           25%",
        VOTES: "Contempt",
        MULTI: "(none)",
        DIMENSIONS: "arousal     ██│       -0.25",
        MANY: "class 0  ███           24%",
    }[space] in shown
    assert ("label" in shown) == (space is not DIMENSIONS)


def test_the_mean_over_windows():
    parts = [
        Prediction("a.mp4", "ok", "", LABELS[MULTI][n], by_name(MULTI, n), models={"m": by_name(MULTI, n)}, space=MULTI)
        for n in range(2)
    ]
    made = _mean("a.mp4", Media("ok"), parts, windows(MULTI), {}, MULTI)
    assert made.values == made.models["m"] == {"Happy": 0.5, "Sad": 0.25, "Surprise": 0.375}
    assert made.label == "Happy" and made.space == MULTI


# -- the shipped networks in other labels ---


def test_shipped_networks_answer_by_the_classes_that_they_share():
    space = asked_labels.space_of("Sad, Worried,Happy")
    assert space == LabelSpace(("Sad", "Worried", "Happy")) == asked_labels.space_of(["Sad", "Worried", "Happy"])
    p = np.array([[0.1, 0.1, 0.1, 0.3, 0.2, 0.1, 0.1]])
    np.testing.assert_allclose(asked_labels.in_space(p, space), [[0.25, 0.0, 0.75]])
    assert asked_labels.in_space(p, BASIC7) is p and asked_labels.space_of(None) == BASIC7
    said = "The shipped model knows 2 of the 3 classes: Sad, Happy. It says nothing about Worried."
    assert asked_labels.about(space) == said and asked_labels.about(BASIC7) == ""
    assert asked_labels.unknown(space) == [1] and asked_labels.space_of("mer6").names[-2] == "Worried"


@pytest.mark.parametrize(
    ("labels", "fault"),
    [("basic8", "--labels.*basic8.*is unknown"), ("Happy,Bored", "they share Happy. Expected at least two"),
     ("Happy,Happy", "listed twice"), (["calm", "tense"], "they share none")],
)  # fmt: skip
def test_labels_that_cannot_be_answered_are_refused(labels, fault):
    with pytest.raises(ConfigError, match=fault):
        asked_labels.space_of(labels)
    with pytest.raises(ConfigError, match=r"answers in its own labels\. Remove --labels"):
        Predictor("results/demo", labels=labels, threads=1)


@pytest.mark.slow
def test_the_command_answers_in_other_labels(tmp_path):
    tone = str(write_clip(tmp_path / "tone.wav", video=None, audio="pcm_s16le"))
    run = CliRunner().invoke(app, ["predict", tone, "--json", "--labels", "mer6", "--threads", "1"])
    one, (plain,) = json.loads(run.stdout), Predictor(threads=1).predict(tone)
    names = ["Neutral", "Angry", "Happy", "Sad", "Surprise"]
    total = sum(plain.probabilities[name] for name in names)
    expected = {name: plain.probabilities[name] / total for name in names} | {"Worried": 0}
    assert run.exit_code == 0 and one["probabilities"] == pytest.approx(expected)
    assert one["streams"]["voice"]["probabilities"] == pytest.approx(expected) and one["labels"]["kind"] == "single"
    assert "It says nothing about Worried." in run.stderr
