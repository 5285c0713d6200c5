"""Letterbox and its undoing, the registry of detectors, and what is said when weights are missing."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from emopipe.core.errors import ConfigError, WeightsError
from emopipe.faces import detectors
from emopipe.faces.detection import Letterbox, letterbox, search, shrink


@given(st.integers(1, 90), st.integers(1, 90), st.integers(32, 64), st.floats(0, 1), st.sampled_from([1, 32]))
def test_any_frame_is_framed_within_bounds_and_points_come_back(width, height, max_side, pad, multiple):
    frame = np.full((height, width, 3), 200, np.uint8)
    image, framing = letterbox(frame, max_side, pad, multiple=multiple)
    assert image.shape[0] % multiple == 0 and image.shape[1] % multiple == 0
    assert max(image.shape) < max_side * (1 + 2 * pad) + 2 * multiple
    rows, columns = round(height * framing.scale_y), round(width * framing.scale_x)
    inner = image[framing.top :, framing.left :][:rows, :columns]
    assert (inner == 200).all() and image.sum() == inner.sum()
    points = np.array([[0, 0], [width, 0], [0, height], [width, height], [width / 2, height / 2]])
    points = points * 3  # wide enough apart to be a face, even in the smallest frame
    in_net = points * [framing.scale_x, framing.scale_y] + [framing.left, framing.top]
    back = framing.to_frame(in_net[[0, 3]].reshape(1, 4), in_net[None], np.array([0.9]))
    np.testing.assert_allclose(back.landmarks[0], points, atol=1e-3)
    np.testing.assert_allclose(back.box[0], [0, 0, 3 * width, 3 * height], atol=1e-3)


def test_frames_are_never_scaled_up():
    frame = np.zeros((40, 60, 3), np.uint8)
    assert letterbox(frame, 320, 0.0)[0].shape == (40, 60, 3)


@pytest.mark.parametrize("size", [(360, 288), (320, 256), (170, 90), (61, 33)])
def test_a_shrunk_image_looks_like_the_mean_of_its_pixels(size):
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.integers(0, 256, (12, 15, 3), np.uint8), (720, 576), interpolation=cv2.INTER_CUBIC)
    fine = np.tile(np.array([[0, 255], [255, 0]], np.uint8)[..., None], (288, 360, 3))  # would become stripes
    for image, tolerance in ((smooth, 6), (fine, 2)):
        expected = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(int)
        assert np.abs(shrink(image, *size) - expected).mean() < tolerance
    assert shrink(smooth, 720, 576) is smooth


def test_a_shrunk_image_has_the_size_that_was_asked_for():
    for width, height, of in ((1, 1, (1, 999)), (3, 1, (7, 2)), (5, 4, (21, 17))):
        assert shrink(np.zeros((of[1], of[0], 3), np.uint8), width, height).shape == (height, width, 3)


def test_detections_come_best_first_without_those_that_are_no_face():
    box = np.array([[0, 0, 9, 9], [0, 0, 9, 9], [0, 0, np.nan, 9], [9, 0, 0, 9], [1, 1, 8, 8]])
    landmarks = np.arange(50).reshape(5, 5, 2) * 1.0
    landmarks[1] = 4
    kept = Letterbox(1, 1, 0, 0).to_frame(box, landmarks, np.array([0.5, 0.9, 0.9, 0.9, 0.8]))
    np.testing.assert_allclose(kept.score, [0.8, 0.5])
    np.testing.assert_array_equal(kept.landmarks, landmarks[[4, 0]])
    assert kept.box.dtype == kept.landmarks.dtype == kept.score.dtype == np.float32
    assert len(Letterbox(1, 1, 0, 0).to_frame(box[:0], landmarks[:0], np.zeros(0))) == 0


def test_an_unknown_kind_is_answered_with_the_kinds():
    with pytest.raises(ConfigError, match=r"'haar'.*mtcnn, centerface, scrfd, yunet"):
        detectors.options_class("haar")


@pytest.mark.parametrize("kind", detectors.KINDS)
def test_options_refuse_what_makes_no_sense(kind):
    options = detectors.options_class(kind)
    for wrong in ({"min_score": 2}, {"pad": -0.1}, {"max_side": 0}, {"treshold": 0.5}):
        with pytest.raises(ValidationError):
            options(**wrong)


@pytest.mark.parametrize(("kind", "source"), [("scrfd", "deepinsight/insightface"), ("yunet", "opencv_zoo")])
def test_missing_weights_are_answered_with_what_where_and_how(kind, source, tmp_path):
    options = detectors.options_class(kind)
    with pytest.raises(WeightsError, match=rf"needs a weights file.*https://github.com/.*{source}.*`weights`"):
        detectors.build(kind, options())
    path = str(tmp_path / "net.onnx")
    with pytest.raises(WeightsError, match=source) as raised:
        detectors.build(kind, options(weights=path))
    assert path in str(raised.value)
    (tmp_path / "net.onnx").write_bytes(b"<html>404</html>")
    with pytest.raises(WeightsError, match="again"):
        detectors.build(kind, options(weights=path))


@pytest.mark.slow
def test_no_detector_is_imported_before_it_is_asked_for():
    code = "import sys, emopipe.faces.clip, emopipe.faces.detectors as d; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = run.stdout.split()
    assert not {row.module for row in detectors.KINDS.values()} & set(modules)
    assert "onnxruntime" not in modules and "insightface" not in modules


def finder(*answers):
    """A search that gives these boxes in turn, and the images that it was given."""
    images, left = [], list(answers)

    def find(image):
        images.append(image)
        box = np.array(left.pop(0), float).reshape(-1, 4)
        landmarks = np.repeat(box[:, None, :2], 5, axis=1) + 3 * np.arange(10).reshape(5, 2)
        return box, landmarks, np.full(len(box), 0.9)

    return find, images


FRAME = np.full((120, 160, 3), 200, np.uint8)


def test_a_frame_with_a_face_is_searched_once_without_a_border():
    find, images = finder([[10, 10, 40, 40]])
    found = search(FRAME, 160, 0.5, find)
    assert [image.shape for image in images] == [(120, 160, 3)] and images[0].min() == 200
    np.testing.assert_allclose(found.box, [[10, 10, 40, 40]])


@pytest.mark.parametrize("pad", [0.5, 1.0])
def test_a_frame_without_a_face_is_searched_again_with_a_border_at_no_larger_size(pad):
    side = round(160 / (1 + 2 * pad))
    left = round(pad * side)
    find, images = finder([], [[left, left, left + side, left + side / 2]])
    found = search(FRAME, 160, pad, find)
    assert len(images) == 2 and max(images[1].shape) <= 161 and images[1][0, 0].max() == 0
    np.testing.assert_allclose(found.box, [[0, 0, 160, 80]], atol=1)


def test_a_face_that_fills_the_frame_is_searched_again_and_kept_if_nothing_better_is_found():
    full = [[-5, -5, 140, 121]]
    find, images = finder(full, [])
    np.testing.assert_allclose(search(FRAME, 160, 0.5, find).box, full)
    assert len(images) == 2
    find, images = finder(full, [[40, 40, 120, 100]])
    np.testing.assert_allclose(search(FRAME, 160, 0.5, find).box, [[0, 0, 160, 120]])


def test_without_a_border_there_is_one_search():
    find, images = finder([])
    assert len(search(FRAME, 160, 0.0, find)) == 0 and len(images) == 1
