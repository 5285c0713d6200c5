"""A head serves a label space by the classes that the two share, and a sentence says what it lacks."""

import numpy as np
import pytest

from emopipe.backbones.shared_classes import answered, can_answer, in_space, lacks, prior_in_space, remark
from emopipe.core.labels import BASIC7, CLASSES, PROBABILITY_FLOOR, SETS, LabelSpace

EIGHT = (*CLASSES, "Contempt")
FOUR = LabelSpace(SETS["iemocap4"])
MADE = LabelSpace(("Bored", "Sad", "Happy"))


def logs(count, classes, dtype=np.float64, seed=0):
    p = np.random.default_rng(seed).dirichlet(np.ones(len(classes)), count)
    return np.log(p).astype(dtype)


@pytest.mark.parametrize(
    ("classes", "wanted", "expected"),
    [
        (CLASSES, CLASSES, CLASSES),
        (CLASSES[::-1], CLASSES, CLASSES),
        (EIGHT, CLASSES, CLASSES),
        (EIGHT, FOUR.names, CLASSES),
        (EIGHT, SETS["affectnet8"], EIGHT),
        (SETS["affectnet8"], SETS["affectnet8"], SETS["affectnet8"]),
        (("Sad", "Bored"), CLASSES, ("Sad", "Bored")),
    ],
)
def test_a_head_answers_for_the_seven_alone_unless_a_further_class_is_wanted(classes, wanted, expected):
    assert answered(classes, wanted) == expected


def test_the_same_classes_stay_as_they_are():
    logp = logs(3, CLASSES)
    assert in_space(logp, CLASSES, BASIC7) is logp
    prior = np.random.default_rng(0).dirichlet(np.ones(7))
    assert prior_in_space(prior, CLASSES, BASIC7).tolist() == prior.tolist()


def test_another_order_changes_no_number():
    logp, space = logs(3, CLASSES, np.float32), LabelSpace(CLASSES[::-1])
    found = in_space(logp, CLASSES, space)
    assert found.dtype == np.float32 and np.array_equal(found, logp[:, ::-1])


def test_probabilities_are_conditioned_on_the_shared_classes():
    logp = logs(5, CLASSES).reshape(5, 1, 7)
    found = np.exp(in_space(logp, CLASSES, MADE))
    happy, sad = (np.exp(logp[..., CLASSES.index(name)]) for name in ("Happy", "Sad"))
    assert found.shape == (5, 1, 3)
    np.testing.assert_allclose(found[..., 1], sad / (sad + happy), rtol=1e-12)
    np.testing.assert_allclose(found[..., 2], happy / (sad + happy), rtol=1e-12)
    np.testing.assert_allclose(found[..., 0], PROBABILITY_FLOOR, rtol=1e-12)


def test_dropping_a_further_class_is_what_a_head_of_the_seven_does():
    logp = logs(4, EIGHT)
    p = np.exp(logp[:, :7])
    np.testing.assert_allclose(np.exp(in_space(logp, EIGHT, BASIC7)), p / p.sum(1, keepdims=True), rtol=1e-12)


def test_very_small_probabilities_and_masked_rows():
    logp = np.array([[0.0, *[-800.0] * 6], [np.nan] * 7])
    found = in_space(logp, CLASSES, MADE)  # Sad and Happy have equal probabilities, far below the smallest number
    np.testing.assert_allclose(np.exp(found[0, 1:]), [0.5, 0.5])
    assert np.isnan(found[1, 1:]).all()
    apart = in_space(logp, CLASSES, LabelSpace(("a", "b")))
    np.testing.assert_allclose(np.exp(apart), np.full((2, 2), PROBABILITY_FLOOR))


def test_the_prior_is_that_of_the_shared_classes():
    prior = [0.1, 0.2, 0.1, 0.3, 0.1, 0.1, 0.1]
    np.testing.assert_allclose(prior_in_space(prior, CLASSES, MADE), [0, 0.25, 0.75])
    np.testing.assert_allclose(prior_in_space([1, 0, 0, 0, 0, 0, 0], CLASSES, MADE), [0, 0.5, 0.5])
    assert prior_in_space([0.5, 0.5], ["a", "b"], MADE).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("classes", "space", "can"),
    [
        (CLASSES, BASIC7, True),
        (CLASSES, FOUR, True),
        (CLASSES, LabelSpace(SETS["ferplus8"], "votes"), True),
        (CLASSES, LabelSpace(("Happy", "Bored")), False),
        (CLASSES, LabelSpace(CLASSES, "multi"), False),
        (CLASSES, LabelSpace(("valence", "arousal"), "dimensions"), False),
    ],
)
def test_two_shared_classes_are_needed_for_an_answer(classes, space, can):
    assert can_answer(classes, space) is can


def test_what_is_lacking_is_said():
    assert remark("net", CLASSES, BASIC7) == remark("net", CLASSES, FOUR) == ""
    assert lacks(CLASSES, LabelSpace(SETS["iemocap6"])) == ["Excited", "Frustrated"]
    assert remark("net", CLASSES, LabelSpace(SETS["iemocap6"])) == (
        "net knows 4 of the 6 classes: Angry, Happy, Neutral, Sad. It says nothing about Excited, Frustrated."
    )
    few = remark("net", CLASSES, LabelSpace(("happy", "Sad")))
    assert "of which labels has Sad; at least 2 are needed. Only its vectors are used" in few
    assert "of which labels has none" in remark("net", CLASSES, LabelSpace(("a", "b")))
    many = remark("net", CLASSES, LabelSpace(CLASSES, "multi"))
    assert many.startswith("net answers with one class of Angry,") and "has the kind multi. Only its vectors" in many
