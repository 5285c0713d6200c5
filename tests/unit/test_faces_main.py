"""Which face is the main one: scenes of synthetic tracks, and how looks are measured on drawn faces."""

import cv2
import numpy as np
import pytest

from emopipe.faces.alignment import TEMPLATE
from emopipe.faces.looks import MIN_LOOKS, Look, combined, likeness, measure
from emopipe.faces.main_face import CHANGE_OF_FACE, CHANGE_OF_PRINT, STILL, WEIGHTS, rank
from emopipe.faces.tracking import Track

FRAME = (1280, 720)
ALIVE, PRINT = 1.5 * CHANGE_OF_FACE, 0.5 * CHANGE_OF_PRINT


def face(center, side, frames=range(32), *, yaw=0.0, change=ALIVE, sharpness=0.3, score=0.98):
    """A track and its look: the centre of its box and its side in pixels; yaw from 0, frontal, to 1, a profile."""
    frames = np.array(list(frames), np.int32)
    n = len(frames)
    centers = np.broadcast_to(np.array(center, np.float64), (n, 2))
    box = np.hstack([centers - side / 2, centers + side / 2]).astype(np.float32)
    landmarks = (TEMPLATE - 55.5) * side / 112
    landmarks[2, 0] = landmarks[:2, 0].mean() + yaw * np.ptp(landmarks[:2, 0]) / 2
    track = Track(
        frames, np.zeros(n, np.int32), box, (landmarks + centers[:, None]).astype(np.float32),
        np.full(n, score, np.float32),
    )  # fmt: skip
    return track, Look(np.full(n, sharpness), np.full(n if n >= MIN_LOOKS else 0, change), np.zeros(1))


ACTOR = face((640, 320), 300)
SMALLER = face((700, 300), 150)
AWAY = [t for t in range(32) if t not in (14, 15, 16, 17)]
walk = np.linspace(200, 1100, 8)

SCENES = {
    "a portrait on the wall, and an actor missed in four frames": (
        face((640, 360), 300, AWAY), face((1155, 95), 110, change=PRINT, sharpness=0.5),
    ),
    "a portrait behind an actor who is missed in half of the frames": (
        face((640, 360), 260, range(0, 32, 2)), face((800, 200), 120, change=PRINT, sharpness=0.5),
    ),
    "a large poster, sharper and nearer to the centre": (
        face((400, 400), 130, AWAY, sharpness=0.25), face((700, 330), 420, change=PRINT, sharpness=0.5),
    ),
    "a passer-by nearer to the camera": (
        SMALLER, face(np.stack([walk, np.full(8, 350)], 1), 400, range(8, 16)),
    ),
    "a passer-by who hides the speaker": (
        face((640, 320), 150, [*range(8), *range(16, 32)]),
        face(np.stack([walk, np.full(8, 350)], 1), 400, range(8, 16)),
    ),
    "a larger listener in profile": (face((780, 300), 180), face((380, 360), 320, yaw=1.0)),
    "a larger listener at the edge": (face((700, 300), 180), face((170, 420), 320)),
    "a larger listener cut by the frame": (face((700, 300), 180), face((40, 500), 360)),
    "a larger listener out of focus": (face((760, 300), 180), face((500, 400), 320, sharpness=0.06)),
    "a face that leaves and returns to the other side, and a portrait": (
        face([(300, 330)] * 10 + [(900, 330)] * 12, 280, [*range(10), *range(20, 32)]),
        face((1000, 120), 110, change=PRINT),
    ),
    "a tiny sharp face behind": (face((760, 340), 320, sharpness=0.2), face((640, 250), 45, sharpness=0.5)),
    "a face cut by the frame": (face((800, 330), 280), face((1240, 330), 300)),
    "a speaker who sits still, and a portrait": (
        face((500, 360), 200, change=CHANGE_OF_FACE), face((760, 300), 220, change=CHANGE_OF_PRINT),
    ),
    "a false detection in two frames": (SMALLER, face((640, 360), 600, [3, 4], score=0.6, sharpness=0.6)),
    "false detections beside a picture of one face": (
        face((600, 320), 150, change=0.0), face((640, 360), 400, [3], score=0.7),
        face((900, 400), 200, [7, 8, 9], score=0.7),
    ),
    "a false detection in one frame, beside a face that hardly moves": (
        face((640, 320), 150, change=(CHANGE_OF_PRINT + CHANGE_OF_FACE) / 2), face((640, 360), 300, [3]),
    ),
}  # fmt: skip
"""The right face first, then others."""


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("swapped", [False, True])
def test_the_main_face_is(scene, swapped):
    faces = SCENES[scene][::-1] if swapped else SCENES[scene]
    ranking = rank(*zip(*faces, strict=True), FRAME)
    best, second = ranking.order[:2]
    assert best == (len(faces) - 1 if swapped else 0), ranking
    assert ranking.score[best] - ranking.score[second] >= 0.01


def test_of_two_equals_the_one_that_begins_first_is_the_main_one():
    left, right = face((400, 300), 200), face((880, 300), 200)
    for pair in ([left, right], [right, left]):
        ranking = rank(*zip(*pair, strict=True), FRAME)
        assert ranking.score[0] == ranking.score[1] and ranking.order.tolist() == [0, 1]


def test_a_difference_below_a_thousandth_is_none():
    one, other = face((640, 300), 200), face((640.3, 300), 200)
    assert rank(*zip(one, other, strict=True), FRAME).order.tolist() == [0, 1]
    assert rank(*zip(other, one, strict=True), FRAME).order.tolist() == [0, 1]


def test_a_still_picture_has_no_motion_and_the_larger_central_face_wins():
    large, small = face((600, 350), 200, [0]), face((200, 200), 60, [0])
    ranking = rank(*zip(small, large, strict=True), FRAME)
    assert ranking.order.tolist() == [1, 0]
    assert (ranking.terms["motion"] == 0.5).all() and (ranking.terms["length"] == 1).all()


def test_the_score_is_the_weighted_sum_times_the_factor_of_motion():
    assert sum(WEIGHTS.values()) == pytest.approx(1)
    alive, still = face((640, 360), 200), face((640, 360), 200, change=0.0)
    ranking = rank(*zip(alive, still, strict=True), FRAME)
    assert ranking.score.tolist() == pytest.approx([1.0, STILL], abs=2e-3)


def test_a_still_face_loses_only_to_a_face_that_lives_for_long_enough():
    still, short = face((640, 360), 200, change=0.0), face((640, 360), 200, range(4))
    assert rank(*zip(still, short, strict=True), FRAME).score[0] == pytest.approx(1 - (1 - STILL) / 2, abs=2e-3)
    both_still = rank(*zip(still, still, strict=True), FRAME)
    assert both_still.score.tolist() == pytest.approx([1.0, 1.0], abs=2e-3)


def test_only_what_is_within_the_frame_counts_for_size_and_view():
    whole, half = face((640, 360), 200), face((0, 360), 200)
    terms = rank(*zip(whole, half, strict=True), FRAME).terms
    assert terms["view"].tolist() == pytest.approx([1, 0.5], abs=0.01)
    assert terms["size"][1] == pytest.approx(1 - np.log(np.sqrt(2)) / np.log(8))


# --- looks


def drawn(landmarks, *, mouth=0.0, seed=0, size=(320, 240), gain=1.0):
    """A frame with a drawn face, whose mouth opens by `mouth` units; `seed` says whose face it is."""
    rng = np.random.default_rng(seed)
    scale = np.linalg.norm(landmarks[1] - landmarks[0]) / np.linalg.norm(TEMPLATE[1] - TEMPLATE[0])

    def at(x, y):  # pixels in sixteenths, as OpenCV takes them
        return tuple(np.round(16 * (landmarks[0] + scale * (np.array([x, y]) - TEMPLATE[0]))).astype(int).tolist())

    def r(units):
        return round(16 * scale * units)

    image = np.full((size[1], size[0], 3), 90, np.uint8)
    fill = {"thickness": -1, "lineType": cv2.LINE_AA, "shift": 4}
    cv2.ellipse(image, at(56, 60), (r(42), r(52)), 0, 0, 360, (150, 170, 205), **fill)
    for _ in range(12):  # what makes this face differ from another
        x, y, radius, light = rng.uniform([25, 20, 4, 60], [88, 100, 12, 250])
        cv2.circle(image, at(x, y), r(radius), (light,) * 3, **fill)
    for eye in TEMPLATE[:2]:
        cv2.circle(image, at(*eye), r(5), (40, 30, 30), **fill)
    cv2.ellipse(image, at(56, 92), (r(15), r(3 + mouth)), 0, 0, 360, (40, 40, 120), **fill)
    return np.clip(image * gain, 0, 255).astype(np.uint8)


def landmarks_at(x, y, scale):
    return (TEMPLATE - 55.5) * scale + [x, y]


def looks_of(clip, jitter=0.0):
    """The look of one face: frames with landmarks, which are off by `jitter` pixels."""
    rng = np.random.default_rng(5)
    frames, landmarks = zip(*clip, strict=True)
    landmarks = np.array(landmarks) + rng.normal(0, 1, (len(frames), 5, 2)) * jitter
    n = len(frames)
    noisy = [np.clip(frame + rng.normal(0, 3, frame.shape), 0, 255).astype(np.uint8) for frame in frames]
    track = Track(np.arange(n), np.zeros(n, int), np.zeros((n, 4)), landmarks, np.ones(n))
    (look,) = measure(noisy, [track])
    return look


def test_a_print_does_not_change_though_camera_light_and_landmarks_do():
    rng = np.random.default_rng(0)
    clip = []
    for _ in range(12):
        landmarks = landmarks_at(*rng.uniform([120, 100], [200, 140]), 1.0)
        clip.append((drawn(landmarks, gain=rng.uniform(0.6, 1.0)), landmarks))
    assert np.quantile(looks_of(clip, jitter=0.4).change, 0.75) < CHANGE_OF_PRINT


def test_a_mouth_that_speaks_is_a_change():
    landmarks = landmarks_at(160, 120, 1.0)
    clip = [(drawn(landmarks, mouth=mouth), landmarks) for mouth in (0, 8, 2, 10, 0, 6, 1, 9)]
    assert np.quantile(looks_of(clip).change, 0.75) > CHANGE_OF_FACE


def test_blur_lowers_sharpness_and_size_alone_hardly_does():
    landmarks = landmarks_at(160, 120, 1.2)
    frame = drawn(landmarks)
    blurred = cv2.GaussianBlur(frame, (0, 0), 4)
    large = landmarks_at(320, 240, 2.4)
    sharp, soft, twice = (
        np.median(looks_of([(image, points)]).sharpness)
        for image, points in ((frame, landmarks), (blurred, landmarks), (drawn(large, size=(640, 480)), large))
    )
    assert soft < 0.5 * sharp and abs(twice - sharp) < 0.25 * sharp


def test_two_crops_do_not_show_whether_a_face_moves():
    landmarks = landmarks_at(160, 120, 1.0)
    assert len(looks_of([(drawn(landmarks), landmarks)] * 2).change) == 0
    assert len(looks_of([(drawn(landmarks), landmarks)] * 3).change) == 3


def test_a_face_is_alike_itself_elsewhere_and_unlike_others():
    places = [landmarks_at(100, 100, 1.0), landmarks_at(200, 130, 0.8)]
    same = [looks_of([(drawn(p, mouth=m), p) for m in (0, 4, 8)]) for p in places]
    other = looks_of([(drawn(places[0], seed=1), places[0])] * 3)
    assert likeness(*same) > 0.95 and likeness(same[0], other) < 0.8
    assert likeness(same[0], same[0]) == pytest.approx(1)
    whole = combined([same[0], other])
    assert whole.sharpness.shape == (6,) and whole.change.shape == (6,)


def test_at_most_64_frames_are_looked_at_and_each_once():
    asked = []

    class Frames(list):
        def __getitem__(self, number):
            asked.append(number)
            return super().__getitem__(number)

    landmarks = landmarks_at(160, 120, 1.0)
    frames = Frames([drawn(landmarks)] * 200)
    track = Track(np.arange(200), np.zeros(200, int), np.zeros((200, 4)), np.array([landmarks] * 200), np.ones(200))
    first, second = measure(frames, [track, track])
    assert len(first.sharpness) == len(second.change) == 64
    assert len(asked) == 64 and asked == sorted(set(asked)) and {0, 199} <= set(asked)
