"""Tracks: motion between sparse frames, gaps, crossings, and faces that return."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emopipe.faces.detection import Detections
from emopipe.faces.tracking import MAX_MISSED, SAME_FACE, Track, join, joined, link


def faces(*places):
    """The detections of one frame: (centre x, centre y, side) each."""
    places = np.array(places, np.float32).reshape(-1, 3)
    half = places[:, 2:] / 2
    box = np.hstack([places[:, :2] - half, places[:, :2] + half])
    landmarks = np.repeat(places[:, None, :2], 5, axis=1) + np.arange(10).reshape(5, 2)
    return Detections(box, landmarks.astype(np.float32), np.full(len(places), 0.9, np.float32))


def seconds(n, fps=4):
    return np.arange(n) / fps


def centres(track):
    return (track.box[:, :2] + track.box[:, 2:]) / 2


def track_at(begin, end):
    """A face that stands still from one frame to before another."""
    found, n = faces((100, 100, 50)), end - begin
    columns = (np.repeat(getattr(found, name), n, axis=0) for name in ("box", "landmarks", "score"))
    return Track(np.arange(begin, end, dtype=np.int32), np.zeros(n, np.int32), *columns)


def test_one_face_that_moves_fast_is_one_track():
    clip = [faces((100 + 60 * t, 200, 100)) for t in range(8)]
    (track,) = link(clip, seconds(8))
    np.testing.assert_array_equal(track.frame, np.arange(8))
    np.testing.assert_allclose(centres(track)[:, 0], 100 + 60 * np.arange(8))


@pytest.mark.parametrize("swapped", [False, True])
def test_two_faces_that_cross_keep_their_tracks(swapped):
    clip = []
    for t in range(9):
        pair = [(80 + 60 * t, 200, 100), (560 - 60 * t, 200, 100)]  # one place at t = 4
        clip.append(faces(*(pair[::-1] if swapped and t % 2 else pair)))
    tracks = link(clip, seconds(9))
    assert len(tracks) == 2
    steps = [np.diff(centres(track)[:, 0]) for track in tracks]
    np.testing.assert_allclose(steps[0], 60, atol=1e-3)
    np.testing.assert_allclose(steps[1], -60, atol=1e-3)


def test_a_face_that_stops_is_still_the_same():
    x = [100, 160, 220, 280, 280, 280, 280]
    assert len(link([faces((v, 200, 100)) for v in x], seconds(7))) == 1
    far_foretold = [faces((v, 200, 60)) for v in (100, 140, 140)]
    assert len(link(far_foretold, np.array([0, 0.25, 1.25]))) == 1


@pytest.mark.parametrize(("missed", "n_tracks"), [(1, 1), (MAX_MISSED, 1), (MAX_MISSED + 1, 2)])
def test_a_gap_is_bridged_up_to_its_limit(missed, n_tracks):
    clip = [faces((200, 200, 100))] * 3 + [faces()] * missed + [faces((230, 205, 104))] * 3
    tracks = link(clip, seconds(len(clip)))
    assert len(tracks) == n_tracks
    assert sum(len(track.frame) for track in tracks) == 6


def test_a_far_face_and_a_much_larger_one_start_new_tracks():
    assert len(link([faces((100, 200, 80)), faces((400, 200, 80))], seconds(2))) == 2
    assert len(link([faces((100, 200, 80)), faces((100, 200, 200))], seconds(2))) == 2


def test_times_not_frame_numbers_foretell_motion():
    times = np.array([0, 0.25, 1.0])
    clip = [faces((100, 200, 50)), faces((130, 200, 50)), faces((220, 200, 50))]
    assert len(link(clip, times)) == 1
    assert len(link(clip, seconds(3))) == 2


def test_no_frames_and_no_faces_give_no_tracks():
    assert link([], seconds(0)) == []
    assert link([faces(), faces()], seconds(2)) == []


place = st.tuples(st.floats(0, 640), st.floats(0, 480), st.floats(5, 300))


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(place, max_size=4), max_size=8))
def test_every_detection_is_in_exactly_one_track_once_a_frame(clip):
    clip = [faces(*places) for places in clip]
    tracks = link(clip, seconds(len(clip)))
    members = [(t, j) for track in tracks for t, j in zip(track.frame, track.row, strict=True)]
    assert sorted(members) == [(t, j) for t, found in enumerate(clip) for j in range(len(found))]
    for track in tracks:
        assert (np.diff(track.frame) > 0).all()
        assert (np.diff(track.frame) <= MAX_MISSED + 1).all()
        for t, j, box in zip(track.frame, track.row, track.box, strict=True):
            np.testing.assert_array_equal(clip[t].box[j], box)


def test_a_track_has_what_was_found_of_its_face():
    clip = [faces((100, 200, 80), (400, 200, 90)), faces((405, 203, 90)), faces((406, 204, 90), (103, 200, 80))]
    (left, right) = link(clip, seconds(3))
    np.testing.assert_array_equal(right.frame, [0, 1, 2])
    for name in ("box", "landmarks", "score"):
        np.testing.assert_array_equal(
            getattr(right, name), [getattr(found, name)[j] for found, j in zip(clip, (1, 0, 0), strict=True)]
        )
        np.testing.assert_array_equal(getattr(left, name), [getattr(clip[0], name)[0], getattr(clip[2], name)[1]])


def test_a_face_that_returns_is_joined_with_the_earlier_one_that_it_is_most_alike():
    tracks = [track_at(0, 5), track_at(0, 20), track_at(6, 8), track_at(15, 20)]
    alike = np.eye(4)
    alike[3, 0] = alike[0, 3] = SAME_FACE + 0.05
    alike[3, 2] = alike[2, 3] = SAME_FACE
    alike[3, 1] = alike[1, 3] = 1.0  # but it is there at the same time
    faces_ = join(tracks, lambda i, k: alike[i, k])
    assert faces_ == [[0, 3], [1], [2]]
    whole = joined([tracks[0], tracks[3]])
    np.testing.assert_array_equal(whole.frame, [0, 1, 2, 3, 4, 15, 16, 17, 18, 19])
    assert whole.box.shape == (10, 4) and whole.landmarks.shape == (10, 5, 2) and whole.score.shape == (10,)


def test_unlike_faces_are_not_joined():
    tracks = [track_at(0, 5), track_at(15, 20)]
    assert join(tracks, lambda i, k: SAME_FACE - 0.01) == [[0], [1]]


def test_a_face_that_leaves_twice_is_one_face():
    tracks = [track_at(0, 5), track_at(12, 15), track_at(30, 40)]
    assert join(tracks, lambda i, k: 0.95) == [[0, 1, 2]]
