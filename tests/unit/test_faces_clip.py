"""What is kept of a clip: masks and NaN where no face was, crops only where one was."""

import json

import numpy as np
import pytest

from emopipe.cache.status import text
from emopipe.faces.alignment import TEMPLATE, canonical_crop
from emopipe.faces.clip import assemble, find_faces
from emopipe.faces.detection import Detections

SIZE = (120, 160, 3)


def found(*places):
    """Detections of faces 56 pixels a side with their upper left corners at these places."""
    corners = np.array(places, np.float32).reshape(-1, 2)
    landmarks = (TEMPLATE / 2 + corners[:, None]).astype(np.float32).reshape(-1, 5, 2)
    score = np.linspace(0.9, 0.8, len(corners), dtype=np.float32)
    return Detections(np.hstack([corners, corners + 56]), landmarks, score)


def clip(*detections):
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, SIZE, dtype=np.uint8) for _ in detections]
    return frames, np.arange(len(frames)) / 4, list(detections)


def test_the_main_face_has_values_and_crops_only_where_it_was_found():
    frames, times, detections = clip(found((10, 10)), found(), found((90, 60), (12, 11)), found((14, 12)))
    faces = assemble(frames, times, detections)
    np.testing.assert_array_equal(faces.mask, [True, False, True, True])
    np.testing.assert_array_equal(faces.track, [0, -1, 0, 0])
    np.testing.assert_array_equal(np.isnan(faces.score), ~faces.mask)
    assert np.isnan(faces.box[1]).all() and np.isnan(faces.landmarks[1]).all()
    np.testing.assert_array_equal(faces.box[2], detections[2].box[1])
    np.testing.assert_array_equal(faces.landmarks[3], detections[3].landmarks[0])
    assert len(faces.crops) == 3
    np.testing.assert_array_equal(faces.crops[1], canonical_crop(frames[2], detections[2].landmarks[1]))
    np.testing.assert_array_equal(faces.all_frame, [0, 2, 2, 3])
    np.testing.assert_array_equal(faces.all_track, [0, 1, 0, 0])
    np.testing.assert_array_equal(faces.all_box[1], detections[2].box[0])
    assert faces.n_tracks == 2
    assert text(faces.note).startswith(
        "2 faces were tracked. The one that is used is in 100 % of the frames with faces"
    )
    (((code, values),),) = (json.loads(faces.note),)
    assert (code, values["tracks"], values["share"], values["next_share"]) == ("several_faces", 2, 100, 33)
    assert 0 < values["next_score"] < values["score"] <= 1


@pytest.mark.parametrize("n", [0, 1, 3])
def test_a_clip_without_faces_is_no_error(n):
    faces = assemble(*clip(*[found()] * n))
    assert faces.mask.shape == (n,) and not faces.mask.any()
    assert faces.box.shape == (n, 4) and faces.landmarks.shape == (n, 5, 2)
    assert faces.all_box.shape == (0, 4) and faces.all_landmarks.shape == (0, 5, 2)
    assert (faces.crops, faces.n_tracks, faces.note) == ([], 0, "")
    assert (faces.track == -1).all()


def test_types_are_those_that_the_cache_stores():
    faces = assemble(*clip(found((10, 10)), found()))
    for name in ("box", "landmarks", "score", "all_box", "all_landmarks", "all_score"):
        assert getattr(faces, name).dtype == np.float32, name
    for name in ("track", "all_frame", "all_track"):
        assert getattr(faces, name).dtype == np.int32, name
    assert faces.mask.dtype == bool and faces.crops[0].dtype == np.uint8 and faces.note == ""


def test_find_faces_detects_frame_by_frame():
    frames, times, detections = clip(found((10, 10)), found((12, 10)))
    given = iter(detections)
    faces = find_faces(frames, times, lambda frame: next(given))
    np.testing.assert_array_equal(faces.box, assemble(frames, times, detections).box)


def test_a_face_that_leaves_for_long_and_returns_elsewhere_is_one_track():
    frames, times, detections = clip(*[found((10, 10))] * 3, *[found()] * 6, *[found((90, 60))] * 4)
    paint = np.random.default_rng(3).integers(0, 256, (56, 56, 3), dtype=np.uint8)
    other = np.random.default_rng(4).integers(0, 256, (56, 56, 3), dtype=np.uint8)
    for t, frame in enumerate(frames):
        frame[10:66, 10:66], frame[60:116, 90:146] = paint, paint if t > 3 else other
    faces = assemble(frames, times, detections)
    assert (faces.n_tracks, faces.note, faces.ranking) == (1, "", None)
    np.testing.assert_array_equal(faces.track, [0] * 3 + [-1] * 6 + [0] * 4)
    for frame in frames[9:]:
        frame[60:116, 90:146] = other
    apart = assemble(frames, times, detections)
    assert apart.n_tracks == 2 and apart.mask.sum() == 4


def test_one_track_is_not_looked_at():
    """A clip with one track costs and gives what it did before main faces had scores."""
    frames, times, detections = clip(found((10, 10)), found((12, 10)), found((14, 12)))

    class Frames(list):
        asked = 0

        def __getitem__(self, number):
            Frames.asked += 1
            return super().__getitem__(number)

    faces = assemble(Frames(frames), times, detections)
    assert Frames.asked == len(faces.crops) == 3 and faces.ranking is None and faces.note == ""


def test_unequal_lengths_are_refused():
    frames, times, detections = clip(found(), found())
    with pytest.raises(ValueError, match="has 2 frames, 2 times and 1 detections"):
        assemble(frames, times, detections[:1])


def test_frames_of_a_clip_may_change_their_size():
    """As in a stream that does: coordinates are those of each frame."""
    rng = np.random.default_rng(0)
    frames = [
        rng.integers(0, 256, (height, width, 3), np.uint8) for height, width in ((120, 160), (240, 320), (90, 80))
    ]
    detections = [found((10, 10)), found((90, 60)), found((12, 11))]
    faces = find_faces(frames, np.arange(3.0), lambda frame: detections[[f is frame for f in frames].index(True)])
    assert len(faces.crops) == faces.mask.sum() >= 1
    for t, crop in zip(np.flatnonzero(faces.mask), faces.crops, strict=True):
        np.testing.assert_array_equal(crop, canonical_crop(frames[t], faces.landmarks[t]))
