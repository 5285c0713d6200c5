"""Pictures and the page of one clip: equal input gives equal bytes, sizes, and what they show of odd clips."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from emopipe.core.labels import CLASSES, LabelSpace
from emopipe.core.notice import NOTICE
from emopipe.report.clip import panels, words
from emopipe.report.clip.facts import facts
from emopipe.report.clip.gathering import gather
from emopipe.report.clip.page import page
from emopipe.report.clip.raters import other_columns, raters
from emopipe.report.clip.sheet import sheet_image
from emopipe.report.clip.spectrogram import COLUMNS, spectrogram_image
from emopipe.report.clip.story import Attention, ClipStory, Media, Track, Vote
from emopipe.report.clip.strip import SMALL_BARS, Columns, strip_image
from emopipe.report.clip.track import chosen_frames, frame_image
from emopipe.report.clip.votes import votes_image
from emopipe.workflow import clip_sources
from tests import handmade_run

SMALL_BYTES = 25_000
"""The most bytes of a small picture, many of which go into one page."""


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    sources = clip_sources.of_folder(handmade_run.make(tmp_path_factory.mktemp("clip")))
    return gather(list(handmade_run.CLIPS), sources)


@pytest.fixture(scope="module")
def noise():
    """Ten minutes of noise and 2000 frames, the longest that decoding gives; of the main face there are noisy crops."""
    rng = np.random.default_rng(0)
    crop = cv2.imencode(".jpg", rng.integers(0, 256, (256, 256, 3), np.uint8))[1].tobytes()
    time, mask = np.linspace(0, 600, 2000), np.ones(2000, bool)
    box = np.float32([[0, 0, 9, 9]] * 2000)
    media = Media(time, [], rng.integers(-9000, 9000, 600 * 16_000).astype(np.int16), 0.0)
    empty = np.empty(0, int)
    track = Track(time, mask, box, np.zeros((2000, 5, 2)), np.ones(2000), [crop] * 2000, empty, np.empty((0, 4)), 1)
    weight = rng.dirichlet(np.ones(2000)).astype(np.float32)
    attention = [Attention("m", "s", kind, "", time, weight) for kind in ("face", "audio")]
    return ClipStory("noise", {}, media={"d": media}, faces={"f": track}, attention=attention)


def decoded(content):
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


def test_columns_have_the_attention_of_their_frames():
    time = np.arange(5) * 0.1
    track = Track(time, np.ones(5, bool), *[np.empty(0)] * 3, [b""] * 5, *[np.empty(0)] * 2, 1)
    one = Attention("m", "s", "face", "", time, np.float32([0.1, 0.5, 0.1, 0.1, 0.2]))
    each = Columns(track, [one], most=8)
    assert each.shown == [0, 1, 2, 3, 4] and each.models == ["m, s"]
    np.testing.assert_allclose(each.ratios, [[0.5, 2.5, 0.5, 0.5, 1.0]], rtol=1e-6)
    grouped = Columns(track, [one], most=2)
    assert grouped.shown == [1, 4] and grouped.time.tolist() == pytest.approx([0.1, 0.4])
    np.testing.assert_allclose(grouped.mean, [(0.5 + 2.5 + 0.5) / 3, 0.75], rtol=1e-6)
    plain = Columns(track, [], most=2)
    assert plain.shown == [1, 4] and not len(plain.mean)


def test_vectors_between_frames_count_for_the_nearest_frame():
    track = Track(np.array([0.0, 1.0]), np.ones(2, bool), *[np.empty(0)] * 3, [b""] * 2, *[np.empty(0)] * 2, 1)
    one = Attention("m", "s", "face", "", np.array([0.0, 0.9, 1.2]), np.float32([0.4, 0.3, 0.3]))
    np.testing.assert_allclose(Columns(track, [one]).ratios, [[0.8, 1.2]], rtol=1e-6)


@pytest.mark.parametrize(
    "draw", [strip_image, spectrogram_image, votes_image, pytest.param(sheet_image, marks=pytest.mark.slow)]
)
def test_equal_input_gives_equal_bytes(stories, draw):
    made = draw(stories["good"])
    assert made is not None and made == draw(stories["good"])
    assert b"matplotlib" not in made and b"Matplotlib" not in made


@pytest.mark.slow
def test_small_pictures_have_their_width_and_few_bytes(stories, noise):
    for story in (stories["good"], noise):
        for draw in (strip_image, spectrogram_image):
            made = draw(story)
            assert decoded(made).shape[1] == 480 and len(made) < SMALL_BYTES
    assert decoded(strip_image(stories["good"], width=320)).shape[1] == 320


def test_a_short_clip_has_a_shorter_strip(stories):
    picture = decoded(strip_image(stories["good"]))
    assert (picture[:60, :300] < 250).any() and (picture[:, 310:] > 245).all()  # five of eight faces


def test_bars_are_as_high_as_the_attention(stories):
    picture = decoded(strip_image(stories["good"])).astype(int)
    bars = picture[-SMALL_BARS:, [30, 90, 150, 210, 270]]
    heights = ((bars[..., 0] > 140) & (bars[..., 2] < 60)).sum(0)  # blue
    expected = np.array([0.5, 0.5, 1.0, 2.5, 0.5]) / (1.05 * 2.5) * SMALL_BARS
    assert np.abs(heights - expected).max() <= 2


def test_long_sound_is_averaged():
    from emopipe.report.clip import spectrogram

    mel = np.arange(2 * 2500, dtype=np.float32).reshape(2, 2500)
    reduced = spectrogram._reduced(mel)
    assert reduced.shape == (2, 834) and reduced.shape[1] <= COLUMNS and reduced[0, 0] == 1.0
    assert reduced[0, -1] == mel[0, -1]  # 833 groups of three frames, and one frame
    np.testing.assert_array_equal(spectrogram._reduced(mel[:, :7]), mel[:, :7])


@pytest.mark.slow
def test_what_is_not_known_has_no_picture(stories):
    assert strip_image(stories["empty"]) is spectrogram_image(stories["empty"]) is None
    assert strip_image(stories["unseen"]) is None and spectrogram_image(stories["unseen"]) is not None
    assert votes_image(replace(stories["good"], votes=[])) is None
    assert panels.panels_image(panels.face_panels(stories["empty"])) is None
    assert decoded(sheet_image(stories["empty"])).shape[0] < decoded(sheet_image(stories["good"])).shape[0] / 2


def test_boxes_are_drawn_where_the_face_is(stories):
    story = stories["good"]
    frame = decoded(frame_image(story, 3, width=160)).astype(int)  # as wide as the stored frame
    orange = np.argwhere((frame[..., 2] > 180) & (frame[..., 0] < 90))
    assert np.abs(orange.min(0) - [30, 50]).max() <= 3 and np.abs(orange.max(0) - [90, 110]).max() <= 3
    without = decoded(frame_image(story, 2, width=160)).astype(int)
    assert not ((without[..., 2] > 180) & (without[..., 0] < 90)).any()
    assert chosen_frames(story.media["sparse"]) == [0, 2, 3, 5]


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_odd_clips_are_drawn():
    """One frame at 0 s, one sample of sound, a long name that no font has and that would be mathematics."""
    time = np.zeros(1)
    crop = handmade_run.encode_jpeg(handmade_run.picture(90), 90)
    box = np.float32([[10, 10, 50, 50]])
    track = Track(time, np.ones(1, bool), box, np.zeros((1, 5, 2)), np.ones(1), [crop], np.zeros(1, int), box, 1)
    media = Media(time, [crop], np.array([5], np.int16), 0.0)
    name = "$\\frac$ 表情 " * 20
    votes = [Vote(name, "Sad", np.full(7, 1 / 7), True, False, "", {})]
    attention = [Attention(name, "s", kind, "", time, np.ones(1)) for kind in ("face", "audio")]
    for sound in (media, replace(media, audio=np.empty(0, np.int16))):
        story = ClipStory("$x_1$ 表情", {}, (), {"d": sound}, {"f": track}, votes, attention)
        assert decoded(sheet_image(story)).shape[1] == panels.WIDTH
        assert decoded(strip_image(story)) is not None and name.strip()[:9] in page(story, "run")


class Tags(HTMLParser):
    """Tags that are open, pictures, and all text."""

    def __init__(self):
        super().__init__()
        self.pictures, self.open, self.text, self.seen = [], [], "", set()

    def handle_starttag(self, tag, attributes):
        self.seen.add(tag)
        if tag == "img":
            self.pictures.append(dict(attributes))
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def parsed(html):
    tags = Tags()
    tags.feed(html)
    assert not tags.open
    return tags


@pytest.mark.slow
def test_the_page_holds_its_pictures_and_needs_no_script(stories):
    html = page(stories["good"], "small")
    tags = parsed(html)
    assert len(tags.pictures) == 4 + 5 + 2  # frames, faces, and the lines of faces and of sound
    assert all(one["src"].startswith("data:image/") and one["alt"] for one in tags.pictures)
    assert "script" not in tags.seen and "http://" not in html and "https://" not in html
    assert NOTICE in tags.text and "prefers-color-scheme: dark" in html and html == page(stories["good"], "small")
    for text in (
        "good.mp4",
        "features/logmel",
        "Angry ✓ correct",
        "0.50 s, no face",
        "2 of 2",
        "\N{MULTIPLICATION SIGN} 2.5",
    ):
        assert text in tags.text, text
    assert len(re.findall('<td class="p[^>]*>', html)) == 3 * len(CLASSES)


def test_the_page_of_a_clip_that_failed(stories):
    tags = parsed(page(stories["empty"], "small"))
    assert tags.pictures == [] and "The file is empty (0 bytes)." in tags.text
    assert "These have no vectors of this clip: ensemble, fused_b, face_a." in tags.text and NOTICE in tags.text


@pytest.mark.slow
def test_texts_of_files_are_escaped(stories):
    bad = "<script>alert(1)</script>\x1b[31m"
    row = {"path": bad, "split": "val", "label": "", bad: "x"}
    votes = [replace(vote, model=bad) for vote in stories["good"].votes]
    story = replace(stories["good"], clip=bad, row=row, votes=votes, notes=[bad])
    tags = parsed(page(story, bad))
    assert "script" not in tags.seen and "<script>alert(1)</script>" in tags.text and "\x1b" not in tags.text


KINDS = ("votes", "multi", "dimensions")


@pytest.fixture(scope="module", params=KINDS)
def of_kind(request, tmp_path_factory):
    """The kind of a label space, and the stories of a run in it."""
    results = handmade_run.make(tmp_path_factory.mktemp(request.param), handmade_run.space_of(request.param))
    return request.param, gather(list(handmade_run.CLIPS), clip_sources.of_folder(results))


@pytest.mark.slow
def test_outcomes_of_every_kind_of_label_space(of_kind):
    kind, stories = of_kind
    outcomes = {
        "votes": (
            "label Angry. The answer of the run (ensemble) is Angry (80%), which is correct.",
            "label Happy and Sad. The answer of the run (ensemble) is Angry (80%), which is neither correct nor wrong, "
            "because several classes have the most votes.",
        ),
        "multi": (
            "label Angry and <i>. The answer of the run (ensemble) is Angry (80%) and Sad (60%), which is not exactly "
            "the label.",
            "label none of the classes. The answer of the run (ensemble) is Angry (80%) and Sad (60%), which is not "
            "exactly the label.",
        ),
        "dimensions": (
            "label valence -1.00, arousal 0.50. The answer of the run (ensemble) is valence -1.00, arousal 0.25, which "
            "differs by 0.00 and 0.25.",
            "label valence 0.00, arousal 0.00. The answer of the run (ensemble) is valence -1.00, arousal 0.25, which "
            "differs by 1.00 and 0.25.",
        ),
    }
    assert (words.outcome(stories["good"]), words.outcome(stories["unseen"])) == tuple(
        f"Split val, {outcome}" for outcome in outcomes[kind]
    )
    assert words.outcome(stories["secret"]).startswith("Split test, without a label. The answer of the run (ensemble)")
    assert words.outcome(stories["secret"]).endswith(
        {"votes": "Angry (80%).", "multi": "Angry (80%) and Sad (60%).", "dimensions": "arousal 0.25."}[kind]
    )


def test_models_follow_by_how_well_they_fit_the_label(of_kind):
    kind, stories = of_kind
    models = {name: [vote.model for vote in stories[name].votes] for name in ("good", "unseen")}
    assert models["good"] == ["ensemble", "face_a", "fused_b"]
    # fused_b gives 0.9 to the tie Happy;Sad, and face_a 0.2; to all classes, 0.9 and 1.6; from 0;0, it is farther.
    assert models["unseen"][1] == {"votes": "fused_b", "multi": "fused_b", "dimensions": "face_a"}[kind]
    correct = {"votes": [True, True, False], "multi": [False] * 3, "dimensions": [None] * 3}
    assert [
        vote.is_correct("Angry;<i>" if kind == "multi" else stories["good"].label) for vote in stories["good"].votes
    ] == (correct[kind])


@pytest.mark.slow
def test_pages_of_every_kind_of_label_space(of_kind):
    kind, stories = of_kind
    html = page(stories["good"], "small")
    tags = parsed(html)
    rows = {"votes": 3 + 2, "multi": 3, "dimensions": 3 + 1}  # two rows of raters; the row of the label
    names = stories["good"].space.names
    assert len(re.findall('<td class="p[^>]*>', html)) == rows[kind] * len(names) and "i" not in tags.seen
    assert html.count('<th scope="col" class="label">') == {"votes": 1, "multi": 2, "dimensions": 0}[kind]
    said = {
        "votes": ("raters, sound alone", "Raters: the shares of their votes.", "75 %"),
        "multi": ("Angry;Sad \N{BALLOT X} not exact", "the classes of the label are underlined", "2 of 2"),
        "dimensions": ("Values from -2 to 2.", "0.00, 0.00", "the label"),
    }
    for text in said[kind]:
        assert text in tags.text, text
    assert "votes_Angry" not in tags.text


@pytest.mark.slow
def test_pictures_of_every_kind_of_label_space(of_kind):
    kind, stories = of_kind
    picture = decoded(votes_image(stories["good"]))
    rows = 5 if kind == "votes" else 3
    assert picture.shape[:2] == (20 * rows + 60, 720)
    assert votes_image(stories["secret"]) != votes_image(stories["good"]) == votes_image(stories["good"])


def test_facts_of_every_kind_of_label_space(of_kind):
    kind, stories = of_kind
    found, space = facts(stories["good"]), stories["good"].space
    numbers = found["votes"][0]["values" if kind == "dimensions" else "probabilities"]
    assert tuple(numbers) == space.names and found["labels"] == space.to_dict()
    raters = {
        "raters": {"Angry": 0.75, "Happy": 0, "Sad": 0.25},
        "raters, sound alone": {"Angry": 0, "Happy": 1, "Sad": 0},
    }
    assert found.get("raters") == (raters if kind == "votes" else None)


def test_votes_that_are_not_numbers_are_shown_as_the_clip_table_has_them(stories):
    space = LabelSpace(("Angry", "Sad"), "votes")
    story = replace(stories["good"], space=space, row={"votes_Angry": "x", "votes_Sad": "2", "face_votes_Sad": "1"})
    assert [(one.model, one.pred, one.values.tolist()) for one in raters(story)] == [
        ("raters, picture alone", "Sad", [0.0, 1.0])
    ]
    assert other_columns(story) == {"votes_Angry": "x", "votes_Sad": "2"}


def test_names_of_many_classes_are_turned():
    """They need less width so, and more height."""
    space = LabelSpace(tuple(f"class number {number}" for number in range(20)))
    votes = [Vote("m", "class number 3", np.full(20, 0.05), True, False, "", {}, space)]
    story = ClipStory("x", {"label": "class number 3"}, votes=votes, space=space)
    assert decoded(votes_image(story)).shape[0] > 20 + 60 + 50


def test_words(stories):
    assert words.outcome(stories["good"]) == (
        "Split val, label Angry. The answer of the run (ensemble) is Angry (40%), which is correct."
    )
    assert words.outcome(stories["secret"]) == (
        "Split test, without a label. The answer of the run (ensemble) is Angry (40%)."
    )
    assert words.remarks(stories["good"]) == []
    fold, attention = words.remarks(stories["trained"])
    assert fold.endswith("that were trained without its fold (2).") and "no attention weights" in attention
    assert words.face(stories["good"].faces["main"]) == (
        "The main face was found in 5 of 6 sampled frames. 2 faces were tracked."
    )
    assert words.media(stories["good"].media["sparse"]) == ("6 sampled frames, from 0.00 s to 1.25 s; 1.50 s of sound.")
    assert words.attention(stories["good"].attention[0]) == ("largest at 1.00 s: 50%, 2.5 times the mean of 5 vectors")
