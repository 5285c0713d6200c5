"""Faces between searched frames: interpolated if each stays in its place, searched if one comes, leaves or moves."""

import numpy as np
import pytest

from emopipe.faces.between import find_every
from emopipe.faces.detection import Detections


def faces(*places):
    """The detections of one frame: (x, y, side, score) each."""
    places = np.array(places, np.float32).reshape(-1, 4)
    corner, side = places[:, :2], places[:, 2:3]
    landmarks = corner[:, None] + side[:, None] * np.linspace(0.2, 0.8, 10).reshape(1, 5, 2)
    return Detections(np.hstack([corner, corner + side]), landmarks.astype(np.float32), places[:, 3])


class Clip:
    """A clip's frames, and the numbers of those that were searched."""

    def __init__(self, frames):
        self.frames, self.searched = frames, []

    def detect(self, numbers):
        self.searched += numbers
        return [self.frames[number] for number in numbers]

    def found(self, every, times=None):
        return find_every(np.arange(len(self.frames)) if times is None else times, every, self.detect)


def test_a_face_that_moves_little_is_interpolated_in_time():
    clip = Clip([faces((100 + 6 * t, 50 - 3 * t, 80 + 2 * t, 0.9)) for t in (0, 1, 2.5, 3)])
    found = clip.found(3, np.array([0, 1, 2.5, 3]))
    assert clip.searched == [0, 3]
    for one, whole in zip(found, clip.frames, strict=True):
        for name in ("box", "landmarks", "score"):
            assert getattr(one, name).dtype == np.float32
            np.testing.assert_allclose(getattr(one, name), getattr(whole, name), atol=1e-4)


def test_every_frame_is_searched_by_default_and_the_last_one_always():
    clip = Clip([faces((0, 0, 50, 0.9))] * 6)
    clip.found(1)
    assert clip.searched == [0, 1, 2, 3, 4, 5]
    clip = Clip([faces((0, 0, 50, 0.9))] * 6)
    clip.found(4)
    assert clip.searched == [0, 4, 5]


@pytest.mark.parametrize(
    "last",
    [
        faces(),
        faces((0, 0, 50, 0.9), (200, 0, 50, 0.8)),
        faces((40, 0, 50, 0.9)),
    ],
    ids=["leaves", "another comes", "moves far"],
)
def test_frames_between_are_searched_if_a_face_changes_its_place(last):
    still = faces((0, 0, 50, 0.9))
    clip = Clip([still, still, last, last])
    assert clip.found(3) == clip.frames  # the very same detections, none of them interpolated
    assert clip.searched == [0, 3, 1, 2]


def test_frames_between_two_without_a_face_have_none():
    clip = Clip([faces()] * 4)
    assert [len(found) for found in clip.found(3)] == [0, 0, 0, 0]
    assert clip.searched == [0, 3]


def test_two_faces_whose_order_changes_keep_their_places():
    first = faces((0, 0, 50, 0.9), (200, 0, 50, 0.5))
    clip = Clip([first, faces(), faces((206, 0, 50, 0.95), (6, 0, 50, 0.4))])
    between = clip.found(2)[1]
    np.testing.assert_allclose(between.box[:, 0], [203, 3], atol=1e-4)  # best first, as detectors give them
    np.testing.assert_allclose(between.score, [0.725, 0.65], atol=1e-6)


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_short_clips_are_searched_whole(frames):
    clip = Clip([faces((0, 0, 50, 0.9))] * frames)
    assert clip.found(5) == clip.frames
    assert clip.searched == [*range(frames)]
