"""The main face of scenes that are put together from real clips, where EMOPIPE_SHARED is set."""

import json
import os
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from emopipe.faces import detectors
from emopipe.faces.clip import find_faces
from emopipe.media.decoded import decode_jpeg, encode_jpeg

SHARED = os.environ.get("EMOPIPE_SHARED")
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not SHARED, reason="EMOPIPE_SHARED does not name the folder that holds data/"),
]
SPEAKER, ANOTHER = "ravdess_av/01-01-03-02-01-01-01.mp4", "crema_d/1001_DFA_HAP_XX.flv"
STILLEST = "ravdess_av/01-01-01-01-01-01-01.mp4"  # neutral, on a tripod
N = 16


@cache
def clip(name):
    """N frames of a clip, evenly spaced, cut to a square."""
    with av.open(str(Path(SHARED) / "data" / name)) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    height, width = frames[0].shape[:2]
    left = (width - height) // 2
    return [frames[t * len(frames) // N][:, left : left + height] for t in range(N)]


def scene(*parts, shake=0.0):
    """N frames, 640x360: each part is (picture of frame t or None, left, top, side); the camera shakes by pixels."""
    rng, frames = np.random.default_rng(0), []
    for t in range(N):
        image = np.full((360, 640, 3), 128, np.uint8)
        image[:, ::40] = 90
        for pictures, left, top, side in parts:
            if (picture := pictures(t)) is not None:
                image[top : top + side, left : left + side] = cv2.resize(picture, (side, side), interpolation=3)
        move = np.hstack([np.eye(2), rng.uniform(-shake, shake, (2, 1))])
        image = cv2.warpAffine(image, move, (640, 360), borderMode=cv2.BORDER_REPLICATE)
        noise = rng.normal(0, 2, image.shape)
        frames.append(
            decode_jpeg(np.frombuffer(encode_jpeg(np.clip(image + noise, 0, 255).astype(np.uint8), 90), np.uint8))
        )
    return frames


def alive(name, hidden=()):
    return lambda t: None if t in hidden else clip(name)[t]


def printed(name):
    return lambda t: clip(name)[0]


@cache
def detector(kind):
    return detectors.build(kind, detectors.options_class(kind)())


def main_face(frames, kind):
    return find_faces(frames, np.arange(len(frames)) / 5, detector(kind))


def is_within(faces, left, top, side):
    """Whether the main face is always in this square."""
    centers = (faces.box[faces.mask, :2] + faces.box[faces.mask, 2:]) / 2
    return bool(((centers > [left, top]) & (centers < [left + side, top + side])).all())


@pytest.mark.parametrize("kind", ["mtcnn", "centerface"])
@pytest.mark.parametrize(("person", "portrait"), [(SPEAKER, ANOTHER), (ANOTHER, SPEAKER), (STILLEST, STILLEST)])
def test_a_portrait_on_the_wall_does_not_beat_an_actor_whom_a_hand_hides(kind, person, portrait):
    frames = scene((printed(portrait), 550, 10, 80), (alive(person, hidden=(7, 8, 9, 10)), 210, 60, 240))
    faces = main_face(frames, kind)
    assert faces.n_tracks == 2 and is_within(faces, 210, 60, 240) and faces.mask.sum() == N - 4
    ((code, values),) = json.loads(faces.note)
    assert (code, values["share"], values["next_share"]) == ("several_faces", 75, 100)


@pytest.mark.parametrize("kind", ["mtcnn", "centerface"])
@pytest.mark.parametrize("shake", [0.0, 8.0])
def test_a_large_poster_does_not_beat_a_small_speaker(kind, shake):
    frames = scene((printed(ANOTHER), 240, 20, 300), (alive(STILLEST), 40, 140, 150), shake=shake)
    faces = main_face(frames, kind)
    assert faces.n_tracks == 2 and is_within(faces, 30, 130, 170)


@pytest.mark.parametrize("name", [SPEAKER, STILLEST, ANOTHER])
def test_a_speaker_who_sits_still_moves_and_a_print_does_not(name):
    faces = main_face(scene((alive(name), 360, 80, 200), (printed(name), 60, 80, 200)), "mtcnn")
    assert faces.n_tracks == 2 and is_within(faces, 360, 80, 200)
    assert faces.ranking.terms["motion"][faces.ranking.order].tolist() == [1, 0]


def test_a_face_that_leaves_and_returns_on_the_other_side_is_one():
    frames = scene(
        (alive(SPEAKER, hidden=range(5, N)), 40, 100, 220),
        (alive(SPEAKER, hidden=range(11)), 330, 100, 220),
        (printed(ANOTHER), 560, 10, 70),
    )
    faces = main_face(frames, "mtcnn")
    assert faces.n_tracks == 2
    np.testing.assert_array_equal(np.flatnonzero(faces.mask), [*range(5), *range(11, N)])
