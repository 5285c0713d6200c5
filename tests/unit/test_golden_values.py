"""The numbers of each stage of extraction are those that were measured once, within a stated tolerance.

`python -m tests.unit.golden` writes the golden values (tests/unit/golden/*.npz) again, after an intended change.
"""

from pathlib import Path

import numpy as np
import pytest

from tests.unit.golden import stages, values

GOLDEN = values.read(values.FILE)
DETECTED = [f"{kind}/{field}" for kind in stages.DETECTORS for field in ("box", "landmarks")]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each stage makes today."""
    of_clip = stages.of_clip(stages.CLIP, tmp_path_factory.mktemp("golden"))
    return {**of_clip, **stages.of_drawn_faces(), **stages.of_synthesized_sound()}


def named(*endings):
    """The golden values whose names end so."""
    return sorted(name for name in GOLDEN if name.endswith(endings))


def check_pixels(got, expected, mean, most):
    assert got.shape == expected.shape
    apart = np.abs(got.astype(int) - expected)
    assert apart.mean() <= mean and apart.max() <= most, f"mean {apart.mean():.3f}, most {apart.max()}"


def check_places(got, expected, landmarks):
    """Boxes or landmarks lie within 0.01 of the eyes' distance."""
    eyes = np.linalg.norm(landmarks[:, 1] - landmarks[:, 0], axis=-1)
    apart = np.abs(got - expected).reshape(len(eyes), -1).max(1) / eyes
    assert (apart <= 0.01).all(), apart


def check_logp(got, expected):
    """Probabilities within 0.005."""
    np.testing.assert_allclose(np.exp(got), np.exp(expected), atol=0.005)


def test_every_golden_value_is_measured(found):
    assert found.keys() == GOLDEN.keys()


# Conversion of colours and JPEG may round one grey level otherwise on another CPU, which JPEG spreads over a block.
@pytest.mark.parametrize("name", named("/frames"))
def test_sampled_frames(found, name):
    check_pixels(found[name], GOLDEN[name], mean=0.3, most=6)


# Sums of AAC's and the resampler's floats: two of 32,768 levels.
@pytest.mark.parametrize("name", named("/audio"))
def test_sound(found, name):
    assert found[name].shape == GOLDEN[name].shape
    np.testing.assert_allclose(found[name].astype(int), GOLDEN[name].astype(int), atol=2)


# Times are quotients of whole numbers, the same on any CPU.
@pytest.mark.parametrize("name", named("/time"))
def test_times_of_frames_and_vectors(found, name):
    np.testing.assert_allclose(found[name], GOLDEN[name], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", named("/mask"))
def test_where_there_is_a_face_and_a_vector(found, name):
    np.testing.assert_array_equal(found[name], GOLDEN[name])


# 0.01 of the eyes' distance is half a pixel of the canonical crop. Rounding of frames moves landmarks by less.
@pytest.mark.parametrize("name", DETECTED)
def test_boxes_and_landmarks(found, name):
    check_places(found[name], GOLDEN[name], GOLDEN[f"{name.split('/')[0]}/landmarks"])


# Scores only choose among faces; thresholds have two digits.
@pytest.mark.parametrize("name", named("/score"))
def test_scores_of_faces(found, name):
    np.testing.assert_allclose(found[name], GOLDEN[name], atol=0.01)


# The landmarks are given, so only the rounding of interpolation differs: one grey level, two after two warps.
@pytest.mark.parametrize("name", named("/canonical", "/network"))
def test_alignment_of_given_landmarks(found, name):
    check_pixels(found[name], GOLDEN[name], mean=0.1, most=2)


# Here the landmarks are the detector's: half a pixel is many grey levels at an edge.
@pytest.mark.parametrize("name", named("/crops"))
def test_crops_of_detected_faces(found, name):
    check_pixels(found[name], GOLDEN[name], mean=0.6, most=20)


# Rounding of the Fourier transform is 1e-7 of the loudest cell, and the quietest shown cell is 1e-4 of it.
@pytest.mark.parametrize("name", [name for name in GOLDEN if name.startswith("sound/")])
def test_spectrograms(found, name):
    np.testing.assert_allclose(found[name], GOLDEN[name], rtol=0, atol=1e-3)


# Networks sum in another order on another CPU; the first are fed with crops whose pixels differ by rounding.
@pytest.mark.parametrize("name", named("/x"))
def test_vectors(found, name):
    got, expected = found[name], GOLDEN[name]
    assert got.shape == expected.shape
    lengths = np.linalg.norm(got, axis=1), np.linalg.norm(expected, axis=1)
    cosines = (got * expected).sum(1) / (lengths[0] * lengths[1])
    assert (cosines >= 0.9999).all(), cosines
    np.testing.assert_allclose(lengths[0], lengths[1], rtol=0.01)


@pytest.mark.parametrize("name", named("/logp"))
def test_answers_of_heads(found, name):
    check_logp(found[name], GOLDEN[name])


@pytest.mark.parametrize("clip", values.REAL_CLIPS)
def test_real_clips(shared, tmp_path, clip):
    prefix = f"{Path(clip).stem}/"
    golden = {k.removeprefix(prefix): v for k, v in values.read(values.REAL_FILE).items() if k.startswith(prefix)}
    got = values.without_people(stages.of_clip(shared / "data" / clip, tmp_path))
    assert got.keys() == golden.keys()
    for name, expected in golden.items():
        stage, field = name.split("/")
        if field in ("box", "landmarks"):
            check_places(got[name], expected, golden[f"{stage}/landmarks"])
        elif field == "logp":
            check_logp(got[name], expected)
        else:
            np.testing.assert_allclose(got[name], expected, atol=0.01 if field == "score" else 1e-9)
