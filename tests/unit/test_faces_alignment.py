"""Alignment against ground truth that never went through OpenCV, and against insightface's own crop."""

from functools import lru_cache

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emopipe.faces import alignment
from emopipe.faces.alignment import (
    CANONICAL_SIDE,
    CANONICAL_UNITS,
    TEMPLATE,
    TEMPLATE_SIDE,
    canonical_crop,
    derive,
    similarity,
)

TOLERANCE = 2.5  # mean absolute difference in grey levels; each planted mistake costs 2.5 times as much
SHIFTED = [(1, 0), (0, 1), (-1, 0), (0, -1)]

transforms = st.tuples(st.floats(0.05, 20), st.floats(-np.pi, np.pi), st.floats(-500, 500), st.floats(-500, 500))


def derive_arcface(crop):
    """ArcFace's own crop, as `insightface.utils.face_align.norm_crop` cuts it."""
    return derive(crop, 112.0, 112)


def derive_padded(crop):
    """The paper's crop: 30 % larger."""
    return derive(crop, 1.3 * 112, 224)


def texture(units):
    """A smooth colour texture over template units: (..., 2) -> (..., 3) BGR in 0..255."""
    x, y = units[..., 0], units[..., 1]
    waves = [
        np.sin(2 * np.pi * (x / 11 + y / 29)) + np.sin(2 * np.pi * (y / 13 - x / 37)),
        np.sin(2 * np.pi * (x / 17 - y / 12) + 1) + np.sin(2 * np.pi * (y / 41 + x / 23)),
        np.sin(2 * np.pi * (x / 9 + 0.3)) + np.sin(2 * np.pi * (y / 10 - 0.2)),
    ]
    return 128 + 55 * np.stack(waves, axis=-1)


def grid(size):
    return np.stack(np.meshgrid(np.arange(size[0]), np.arange(size[1])), axis=-1).astype(float)


@lru_cache
def face_frame(scale, degrees, size=(900, 700)):
    """A frame textured in template units, the face `scale` pixels a unit and turned, and its landmarks."""
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array(size) / 2 + [0.37, -0.61]
    units = (grid(size) - centre) @ np.linalg.inv(turn).T + 55.5
    frame = np.clip(np.round(texture(units)), 0, 255).astype(np.uint8)
    return frame, (TEMPLATE - 55.5) @ turn.T + centre


@lru_cache
def truth(side_units, size, shift=(0, 0)):
    """What a crop of these units and this size should show: each pixel the mean over its area."""
    fine = (grid((size * 4, size * 4)) + 0.5) * side_units / (size * 4) + 55.5 - side_units / 2
    fine += np.array(shift) * side_units / size
    return texture(fine).reshape(size, 4, size, 4, 3).mean((1, 3))


def difference(crop, expected):
    return np.abs(crop.astype(float) - expected).mean()


@pytest.mark.slow
@given(transforms, st.integers(0, 2**31))
def test_similarity_recovers_a_known_transform(transform, seed):
    scale, angle, dx, dy = transform
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.array([[c, -s, dx], [s, c, dy]])
    points = np.random.default_rng(seed).uniform(0, 100, (5, 2))
    target = points @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(similarity(points, target), matrix, atol=1e-7 * max(1, scale) * 500)


@given(st.integers(0, 2**31))
def test_similarity_never_reflects_and_is_the_least_squares_one(seed):
    rng = np.random.default_rng(seed)
    source, target = rng.uniform(0, 100, (2, 5, 2))

    def error(m):
        return np.sum((source @ m[:, :2].T + m[:, 2] - target) ** 2)

    matrix = similarity(source, target)
    (a, b), (c, d) = matrix[:, :2]
    assert np.isclose(a, d) and np.isclose(b, -c) and a * d - b * c >= 0
    for step in ([1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]):
        p, q, x, y = 1e-3 * np.array(step)
        for sign in (1, -1):
            assert error(matrix + sign * np.array([[p, -q, x], [q, p, y]])) >= error(matrix)


def test_mirrored_landmarks_are_not_undone_by_a_reflection():
    mirrored = TEMPLATE * [-1, 1]
    assert np.linalg.det(similarity(mirrored, TEMPLATE)[:, :2]) > 0


@pytest.mark.parametrize("bad", [np.full((5, 2), 7.0), np.full((5, 2), np.nan)])
def test_landmarks_that_define_nothing_are_refused(bad):
    with pytest.raises(ValueError, match="do not define a similarity transform"):
        canonical_crop(np.zeros((20, 20, 3), np.uint8), bad)


@pytest.mark.slow
@pytest.mark.parametrize("degrees", [0, 17, -140])
@pytest.mark.parametrize("scale", [1.0, 1.6, 4.0])
def test_derived_crops_show_what_the_frame_shows_there(scale, degrees):
    frame, landmarks = face_frame(scale, degrees)
    crop = canonical_crop(frame, landmarks)
    assert crop.shape == (256, 256, 3) and crop.dtype == np.uint8
    for derived, units, size in ((derive_arcface(crop), 112, 112), (derive_padded(crop), 145.6, 224)):
        assert derived.shape == (size, size, 3)
        middle = slice(size // 5, -size // 5)  # the corners of the largest lie outside the frame
        assert difference(derived[middle, middle], truth(units, size)[middle, middle]) < TOLERANCE


DERIVED = [(derive_arcface, 112, 112), (derive_padded, 145.6, 224)]


@pytest.mark.slow
@pytest.mark.parametrize(("derived", "units", "size"), DERIVED)
def test_the_tolerance_catches_each_known_mistake(derived, units, size):
    crop = derived(canonical_crop(*face_frame(1.6, 17)))
    assert difference(crop, truth(units, size)) < TOLERANCE
    for shift in SHIFTED:
        assert difference(crop, truth(units, size, shift)) > 2.5 * TOLERANCE
    assert difference(crop[..., ::-1], truth(units, size)) > 2.5 * TOLERANCE
    for margin in (1.02, 0.98):
        assert difference(crop, truth(units * margin, size)) > 2.5 * TOLERANCE
    half_a_pixel = truth(units, size, (0.5, 0.5))
    assert difference(crop, half_a_pixel) > 1.5 * difference(crop, truth(units, size))


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 1.6])
@pytest.mark.parametrize("degrees", [0, 23])
def test_derived_crops_equal_ones_cut_straight_from_the_frame(scale, degrees):
    frame, landmarks = face_frame(scale, degrees)
    crop = canonical_crop(frame, landmarks)
    for derived, units, size in ((derive_arcface(crop), 112, 112), (derive_padded(crop), 145.6, 224)):
        zoom = size / units
        matrix = similarity(landmarks, (TEMPLATE - 55.5) * zoom * 4 + (size * 4 - 1) / 2)
        direct = cv2.warpAffine(frame, matrix, (size * 4, size * 4), flags=cv2.INTER_CUBIC)
        direct = cv2.resize(direct, (size, size), interpolation=cv2.INTER_AREA)
        assert difference(derived, direct) < TOLERANCE


@pytest.mark.filterwarnings("ignore::FutureWarning")  # insightface calls what scikit-image deprecates
def test_the_arcface_crop_is_the_one_insightface_cuts():
    face_align = pytest.importorskip("insightface.utils.face_align")
    frame, landmarks = face_frame(1.0, 12)
    jittered = landmarks + np.random.default_rng(0).normal(0, 2, (5, 2))
    ours = derive_arcface(canonical_crop(frame, jittered))
    theirs = face_align.norm_crop(frame, jittered.astype(np.float32))
    assert difference(ours, theirs) < TOLERANCE
    assert difference(ours, np.roll(theirs, 1, axis=1)) > 2.5 * TOLERANCE


def test_a_large_face_is_averaged_not_picked_from():
    noise = np.random.default_rng(0).integers(0, 256, (1600, 1600, 3), dtype=np.uint8)
    landmarks = (TEMPLATE - 55.5) * 9 + 800
    assert canonical_crop(noise, landmarks).std() < 20 < 60 < noise.std()


def test_outside_the_frame_is_black():
    white = np.full((112, 112, 3), 255, np.uint8)
    crop = canonical_crop(white, TEMPLATE)
    assert not crop[:40].any() and not crop[:, -40:].any()
    assert (crop[50:-50, 50:-50] == 255).all()
    assert (derive_arcface(crop)[2:-2, 2:-2] == 255).all()


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31))
def test_any_frame_and_landmarks_give_a_crop(width, height, seed):
    rng = np.random.default_rng(seed)
    frame = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    landmarks = rng.uniform(-1e3, 1e3, (5, 2)) * 10.0 ** rng.integers(-2, 3)
    assert canonical_crop(frame, landmarks).shape == (256, 256, 3)


def test_the_canonical_crop_holds_every_derived_one():
    assert 112 < 1.3 * 112 < alignment.CANONICAL_UNITS


@pytest.mark.parametrize("offset", [-15.0, 0.0, 20.0])
def test_the_centre_of_a_crop_is_so_many_units_below_that_of_the_template(offset):
    """A dot at that place of the canonical crop is in the middle of the derived one."""
    scale = CANONICAL_SIDE / CANONICAL_UNITS
    crop = np.zeros((CANONICAL_SIDE, CANONICAL_SIDE, 3), np.uint8)
    y, x = round(CANONICAL_SIDE / 2 + offset * scale), CANONICAL_SIDE // 2
    crop[y - 3 : y + 3, x - 3 : x + 3] = 255
    found = derive(crop, 80.0, 160, offset).max(-1)  # two pixels a unit
    rows, columns = np.nonzero(found > 127)
    assert rows.mean() == pytest.approx(79.5, abs=1.5) and columns.mean() == pytest.approx(79.5, abs=1.5)


def test_the_template_is_in_the_middle_of_the_canonical_crop():
    frame = np.zeros((200, 200, 3), np.uint8)
    frame[98:102, 98:102] = 255
    centre = np.full(2, TEMPLATE_SIDE / 2)
    crop = canonical_crop(frame, TEMPLATE - centre + 100)  # the centre of the template lies on the dot
    rows, columns = np.nonzero(crop.max(-1) > 127)
    middle = (CANONICAL_SIDE - 1) / 2
    assert rows.mean() == pytest.approx(middle, abs=1.5) and columns.mean() == pytest.approx(middle, abs=1.5)
