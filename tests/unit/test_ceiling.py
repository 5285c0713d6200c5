"""The label ceiling: on simulated votes it equals its closed form, and small cases are exact."""

from itertools import product
from math import factorial, prod

import numpy as np
import pytest

from emopipe.scoring.ceiling import best_against_one, countable, leave_one_out, with_label
from emopipe.scoring.intervals import intervals
from emopipe.scoring.scores import scores


def ceiling(votes):
    """Accuracy and UAR of raters against the majority of the others."""
    return scores(leave_one_out(np.array(votes, float)).sum(0))[:2]


def compositions(raters, classes):
    """All counts of `raters` votes for `classes` classes."""
    return [votes for votes in product(range(raters + 1), repeat=classes) if sum(votes) == raters]


def probability(votes, p):
    """The multinomial probability of counts, for raters who give each class with a probability p."""
    ways = factorial(sum(votes)) // prod(map(factorial, votes))
    return ways * prod(chance**n for n, chance in zip(votes, p, strict=True))


def closed_form(p, raters):
    """How probable it is that one rater gives the answer of most of the raters - 1 others, ties shared."""
    total = 0.0
    for others in compositions(raters - 1, len(p)):
        first = [k for k, n in enumerate(others) if n == max(others)]
        total += probability(others, p) * sum(p[k] for k in first) / len(first)
    return total


def rater(q, classes, truth=0):
    """The answers of a rater who is right with probability q and else draws a class."""
    p = [(1 - q) / classes] * classes
    p[truth] += q
    return p


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("raters", [2, 3, 4, 5])
def test_over_all_possible_votes_it_is_the_closed_form(classes, raters):
    for q in (0.0, 0.3, 0.8, 1.0):
        p = rater(q, classes)
        votes = compositions(raters, classes)
        weight = [probability(one, p) for one in votes]
        per_clip = leave_one_out(np.array(votes, float))[:, :classes].sum(1)
        assert np.dot(weight, per_clip) == pytest.approx(closed_form(p, raters), abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("q", "raters", "classes"), [(0.6, 10, 6), (0.2, 5, 7), (0.9, 3, 3)])
def test_on_simulated_votes_it_is_the_closed_form(q, raters, classes):
    rng, clips = np.random.default_rng(0), 4000
    votes = np.stack([rng.multinomial(raters, rater(q, classes, n % classes)) for n in range(clips)]).astype(float)
    found = intervals(leave_one_out(votes), np.arange(clips), scores)
    expected = closed_form(rater(q, classes), raters)
    assert abs(found.value[0] - expected) < 3.5 * found.error[0] < 0.03
    assert found.low[0] < expected < found.high[0]
    # Classes are alike and equally frequent, so the recall of each is its accuracy, but for labels that are wrong.
    assert found.value[1] == pytest.approx(expected, abs=0.05)


def test_clips_with_different_numbers_of_raters_count_the_same():
    few, many = closed_form(rater(0.7, 3), 3), closed_form(rater(0.7, 3), 12)
    rng = np.random.default_rng(1)
    votes = np.concatenate([rng.multinomial(n, rater(0.7, 3), size=3000) for n in (3, 12)])
    assert ceiling(votes)[0] == pytest.approx((few + many) / 2, abs=0.02)
    assert many > few  # the majority of eleven is more often the truth than that of two


def test_small_cases_by_hand():
    assert ceiling([[3, 0]]).tolist() == [1, 1]
    assert ceiling([[1, 1]])[0] == 0  # each is alone against the other
    assert ceiling([[2, 1, 0]])[0] == pytest.approx(2 / 3 / 2)  # one of the two sees a tie of 1 and 1
    assert ceiling([[2, 2, 0]])[0] == 0
    assert ceiling([[2, 1, 1]])[0] == pytest.approx(2 / 4 / 3)  # one of the two sees a tie of three
    assert ceiling([[4, 1, 0]])[0] == pytest.approx(4 / 5)
    # By hand: of 2 and 1, both labels are one half for the first two raters, and the first is the label of the third.
    correct, labelled, answered = np.split(leave_one_out(np.array([[2.0, 1.0]]))[0], 3)
    assert correct == pytest.approx([1 / 3, 0])
    assert labelled == pytest.approx([2 / 3, 1 / 3]) and answered == pytest.approx([2 / 3, 1 / 3])


def test_the_recall_of_each_class_has_the_same_weight():
    votes = [[3, 0]] * 9 + [[1, 3]]  # the rare class: three of four raters agree, one is alone
    accuracy, uar = ceiling(votes)
    assert accuracy == pytest.approx((9 + 3 / 4) / 10)
    assert uar == pytest.approx((1 + 3 / 4) / 2)


def test_who_counts():
    votes = [[2, 0], [1, 0], [0.5, 1.5], [-1, 3], [np.nan, 2], [0, 0], [1, 1]]
    assert countable(np.array(votes, float)).tolist() == [True, False, False, False, False, False, True]


def test_a_single_rater_against_the_label_and_at_best():
    votes = np.array([[3.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    assert best_against_one(votes).tolist() == [3 / 4, 1 / 2]
    assert with_label(votes, np.array([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])).tolist() == [1 / 4, 1 / 2]
