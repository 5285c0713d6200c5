"""Losses of answers in every label space, against their formulas written out."""

import math

import numpy as np
import pytest

from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.scoring.losses import half_range, losses
from emopipe.scoring.metrics import log_losses

NAMES = ("Happy", "Sad", "bored")


def probabilities(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.full(shape[-1], 0.3), shape[:-1])


@pytest.mark.parametrize("kind", ["single", "votes"])
def test_of_one_class_the_loss_is_the_log_loss_to_the_last_bit(kind: str) -> None:
    p = probabilities(3, 2000, 7)
    p[0, :50] = np.eye(7)[np.arange(50) % 7]  # answers of 0 and 1
    classes = np.random.default_rng(1).integers(7, size=2000)
    found = losses(p, np.eye(7)[classes], LabelSpace(BASIC7.names, kind))
    assert found.shape == (3, 2000)
    assert found.tobytes() == log_losses(p, classes).tobytes()


def test_of_votes_it_is_the_cross_entropy_and_least_at_the_shares() -> None:
    space = LabelSpace(NAMES, "votes")
    p, shares = probabilities(5, 3), np.array([[0.5, 0.5, 0], [0.2, 0.3, 0.5], [1, 0, 0], [0, 0.1, 0.9], [1 / 3] * 3])
    expected = [
        -sum(t * math.log(max(q, 1e-9)) for t, q in zip(*rows, strict=True)) for rows in zip(shares, p, strict=True)
    ]
    np.testing.assert_allclose(losses(p, shares, space), expected, rtol=1e-12)
    assert (losses(shares, shares, space) < losses(p, shares, space)).all()
    assert losses(shares, shares, space)[0] == pytest.approx(math.log(2))


def test_of_several_classes_it_is_the_mean_of_the_binary_cross_entropies() -> None:
    space = LabelSpace(NAMES, "multi")
    p, targets = np.array([[0.9, 0.2, 0.5], [0.0, 1.0, 0.3]]), np.array([[1, 0, 1], [1, 0, 0]], float)
    first = -(math.log(0.9) + math.log(0.8) + math.log(0.5)) / 3
    second = -(math.log(1e-9) + math.log(1e-9) + math.log(0.7)) / 3  # an answer that is sure and wrong stays finite
    np.testing.assert_allclose(losses(p, targets, space), [first, second], rtol=1e-12)
    np.testing.assert_allclose(losses(np.stack([p, p]), targets, space), [[first, second]] * 2, rtol=1e-12)


def test_of_dimensions_it_is_the_squared_error_in_units_of_half_the_range() -> None:
    space = LabelSpace(("valence", "arousal"), "dimensions", 1.0, 5.0)
    assert half_range(space) == 2
    values, targets = np.array([[3.0, 1.0], [5.0, 5.0]]), np.array([[4.0, 1.0], [1.0, 5.0]])
    np.testing.assert_allclose(losses(values, targets, space), [(1 / 4) / 2, (16 / 4) / 2])


@pytest.mark.parametrize("kind", ["votes", "multi", "dimensions"])
def test_clips_without_a_label_have_no_loss(kind: str) -> None:
    targets = np.array([[np.nan] * 3, [1.0, 0, 0]])
    found = losses(np.full((2, 3), 0.4), targets, LabelSpace(NAMES, kind))
    assert np.isnan(found[0]) and found[1] > 0
