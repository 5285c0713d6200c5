"""Intervals over groups of clips, and tests of paired differences."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score

from emopipe.core.labels import CLASSES
from emopipe.scoring import intervals, paired_tests
from emopipe.scoring.intervals import groups_of
from emopipe.scoring.metrics import uar
from emopipe.scoring.scores import SCORES, counts, difference_intervals, score_intervals, scores


def mean(summed):
    return summed[..., :1] / summed[..., 1:]


def of_mean(values, groups):
    return intervals.intervals(np.stack([values, np.ones(len(values))], axis=1), groups, mean)


def labelled(n, accuracy, seed=0):
    """Labels and predictions (n,) of which a share is correct."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 7, n)
    pred = np.where(rng.random(n) < accuracy, label, rng.integers(0, 7, n))
    return np.array(CLASSES)[label], np.array(CLASSES)[pred]


class TestScores:
    @given(st.integers(1, 60), st.floats(0, 1), st.integers(0, 99))
    @settings(max_examples=30, deadline=None)
    def test_counts_give_the_scores(self, n, accuracy, seed):
        label, pred = labelled(n, accuracy, seed)
        found = scores(counts(label, pred).sum(0))
        f1 = f1_score(label, pred, labels=sorted(set(label)), average="macro", zero_division=0)
        np.testing.assert_allclose(found, [(label == pred).mean(), uar(label, pred), f1])
        assert SCORES == ("accuracy", "uar", "macro_f1")

    @pytest.mark.slow
    def test_a_difference_is_that_of_the_scores(self):
        label, first = labelled(200, 0.7)
        second = labelled(200, 0.4, 0)[1]
        found = difference_intervals(label, first, second, np.arange(200))
        expected = scores(counts(label, first).sum(0)) - scores(counts(label, second).sum(0))
        np.testing.assert_allclose(found.value, expected)
        assert (found.low < expected).all() and (expected < found.high).all()
        mirrored = difference_intervals(label, second, first, np.arange(200))
        np.testing.assert_allclose(mirrored.value, -expected)


class TestFewGroups:
    @pytest.mark.parametrize("groups", [1, 2, 4])
    def test_there_is_no_interval(self, groups):
        found = of_mean(np.arange(40.0) % 2, np.arange(40) % groups)
        assert found.method == "none" and found.groups == groups
        assert np.isnan(found.low).all() and np.isnan(found.high).all() and found.value == [0.5]

    @pytest.mark.parametrize("groups", [5, 19])
    def test_equal_groups_give_the_t_interval_of_their_means(self, groups):
        values = np.random.default_rng(groups).normal(0.5, 0.1, size=(groups, 8))
        found = of_mean(values.ravel(), np.repeat(np.arange(groups), 8))
        means = values.mean(1)
        low, high = stats.t.interval(0.95, groups - 1, means.mean(), stats.sem(means))
        assert found.method == "t"
        np.testing.assert_allclose([found.low[0], found.high[0]], [low, high])
        np.testing.assert_allclose(found.error, stats.sem(means))

    def test_bounds_are_scores(self):
        values = np.repeat([1, 1, 1, 1, 0], 10).astype(float)
        found = of_mean(values, np.repeat(np.arange(5), 10))
        assert (found.low[0], found.high[0]) == (pytest.approx(0.2447, abs=1e-3), 1.0)

    def test_groups_that_do_not_differ_are_as_uncertain_as_so_many_equal_observations(self):
        """Five people of whom all clips are correct: the lower bound of Clopper and Pearson for 5 of 5."""
        found = of_mean(np.ones(50), np.repeat(np.arange(5), 10))
        exact = stats.binomtest(5, 5).proportion_ci(0.95, "exact")
        assert (found.low[0], found.high[0]) == (pytest.approx(exact.low), 1.0)


class TestManyGroups:
    def test_clips_that_are_independent_have_the_interval_of_a_share(self):
        right = np.arange(400) % 10 < 6
        found = of_mean(right.astype(float), np.arange(400))
        error = 1.96 * np.sqrt(0.6 * 0.4 / 400)
        assert found.method == "bootstrap" and found.groups == 400
        assert found.low[0] == pytest.approx(0.6 - error, abs=0.012)
        assert found.high[0] == pytest.approx(0.6 + error, abs=0.012)
        again = of_mean(right.astype(float), np.arange(400))
        assert (again.low, again.high) == (found.low, found.high)

    def test_clips_of_a_subject_stay_together(self):
        right = np.repeat(np.arange(20) % 2, 20).astype(float)
        together, apart = of_mean(right, np.repeat(np.arange(20), 20)), of_mean(right, np.arange(400))
        assert together.high[0] - together.low[0] > 0.4 and apart.high[0] - apart.low[0] < 0.12

    @pytest.mark.parametrize("sizes", [[7] * 40, [1, 2, 3, 50] * 12], ids=["equal", "unequal"])
    def test_an_interval_is_the_one_of_groups_drawn_one_by_one(self, sizes):
        rng = np.random.default_rng(len(sizes))
        n, n_groups = sum(sizes), len(sizes)
        groups, value = np.repeat(np.arange(n_groups), sizes), (rng.random(n) < 0.6).astype(float)
        total = np.array([part.sum() for part in np.split(value, np.cumsum(sizes)[:-1])])
        drawn = rng.integers(n_groups, size=(20_000, n_groups))
        means = total[drawn].sum(1) / np.array(sizes)[drawn].sum(1)
        z = np.sqrt(n_groups / (n_groups - 1)) * stats.t.ppf(0.975, n_groups - 1)
        low, high = np.percentile(means, [100 * stats.norm.cdf(-z), 100 * stats.norm.cdf(z)])
        found = of_mean(value, groups)
        tolerance = 0.07 * (high - low)  # about four standard errors of such a quantile of 2000 samples
        assert found.low[0] == pytest.approx(low, abs=tolerance) and found.high[0] == pytest.approx(high, abs=tolerance)

    def test_many_kinds_of_groups_are_drawn_in_parts(self, monkeypatch):
        value, groups = np.random.default_rng(0).random(200), np.arange(200)
        whole = of_mean(value, groups)
        monkeypatch.setattr(intervals, "DRAWN_AT_ONCE", 1000)
        parts = of_mean(value, groups)
        assert (parts.low, parts.high) == (whole.low, whole.high)

    def test_clips_of_one_kind_are_drawn_as_one_number(self, monkeypatch):
        """100 000 clips that are correct or not are two kinds of groups: 2000 samples take 4000 numbers."""
        shapes = []

        def scored(summed):
            shapes.append(summed.shape)
            return mean(summed)

        correct = (np.arange(100_000) % 3 == 0).astype(float)
        intervals.intervals(np.stack([correct, np.ones(100_000)], axis=1), np.arange(100_000), scored)
        assert shapes[-1] == (2000, 2)

    def test_subjects_are_groups_if_all_are_known(self):
        clips = np.array(["a", "b", "c"])
        assert groups_of(clips, np.array(["s", "t", "t"]))[1] == "subject"
        assert groups_of(clips, np.array(["s", "s", "s"]))[1] == "subject"
        assert groups_of(clips, np.array(["s", "", "t"]))[1] == "clip"

    @pytest.mark.slow
    def test_intervals_of_scores_are_in_order(self):
        label, pred = labelled(120, 0.6)
        found = score_intervals(label, pred, np.repeat(np.arange(30), 4))
        assert (found.low < found.value).all() and (found.value < found.high).all() and found.groups == 30


class TestPaired:
    @pytest.mark.slow
    @given(st.lists(st.integers(-4, 4), min_size=1, max_size=10))
    @settings(max_examples=50, deadline=None)
    def test_sign_flips_are_those_of_all_assignments(self, sums):
        groups = np.repeat(np.arange(len(sums)), 3)
        differences = np.array([[total, 0, 0] for total in sums]).ravel()
        flipped = [abs(np.dot(signs, sums)) for signs in itertools.product((-1, 1), repeat=len(sums))]
        expected = np.mean(np.array(flipped) >= abs(sum(sums)))
        assert paired_tests.sign_flip(differences, groups) == pytest.approx(expected, abs=1e-9)

    def test_sign_flips_of_many_groups_are_exact(self):
        differences = np.ones(2000, int)
        differences[:900] = -1
        found = paired_tests.sign_flip(differences, np.arange(2000))
        assert found == pytest.approx(stats.binomtest(900, 2000).pvalue, rel=1e-6)

    def test_mcnemar_is_the_mid_p(self):
        first = np.array([True] * 12 + [False] * 3 + [True] * 50)
        second = np.array([False] * 12 + [True] * 3 + [True] * 50)
        exact = stats.binomtest(3, 15).pvalue
        assert paired_tests.mcnemar(first, second) == pytest.approx(exact - stats.binom.pmf(3, 15, 0.5))
        assert paired_tests.mcnemar(second, first) == paired_tests.mcnemar(first, second)
        assert paired_tests.mcnemar(first, first) == 1.0

    def test_groups_decide_the_test(self):
        first, second = np.arange(60) % 3 > 0, np.arange(60) % 4 > 1
        six, five = np.arange(60) % 6, np.arange(60) % 5
        assert paired_tests.paired_test(first, second, six, "subject")[1] == paired_tests.SIGN_FLIP
        assert paired_tests.paired_test(first, second, five, "subject")[1] == paired_tests.MCNEMAR
        assert paired_tests.paired_test(first, second, np.arange(60), "clip")[1] == paired_tests.MCNEMAR

    def test_holm(self):
        found = paired_tests.holm([0.01, np.nan, 0.04, 0.03, 0.005])
        np.testing.assert_allclose(found, [0.03, np.nan, 0.06, 0.06, 0.02])
        np.testing.assert_allclose(paired_tests.holm([0.9, 0.8]), [1, 1])
        assert len(paired_tests.holm([])) == 0 and np.isnan(paired_tests.holm([np.nan])).all()

    def test_a_detectable_difference_is_found_four_times_in_five(self):
        rng, n, error = np.random.default_rng(0), 20, 0.02
        correct = np.ones(40, bool), np.arange(40) % 4 > 0
        difference = paired_tests.detectable(error, n, *correct, paired_tests.SIGN_FLIP)
        found = rng.normal(difference, error * np.sqrt(n), size=(4000, n))
        share = (stats.ttest_1samp(found, 0, axis=1).pvalue < 0.05).mean()
        assert share == pytest.approx(0.8, abs=0.02)
        assert np.isnan(paired_tests.detectable(error, 1, *correct, paired_tests.SIGN_FLIP))
        assert np.isnan(paired_tests.detectable(np.nan, 9, *correct, paired_tests.SIGN_FLIP))

    def test_a_test_by_clip_detects_by_clip(self):
        """Two people of 200 clips: the error over them says nothing, and McNemar's test ignores them."""
        rng, share = np.random.default_rng(0), 0
        first, second = rng.random((2, 400)) < 0.7
        difference = paired_tests.detectable(0.2, 2, first, second, paired_tests.MCNEMAR)
        assert 0.07 < difference < 0.11
        for _ in range(400):
            better, other = rng.random(400) < 0.7 + difference / 2, rng.random(400) < 0.7 - difference / 2
            share += paired_tests.mcnemar(better, other) < 0.05
        assert share / 400 == pytest.approx(0.8, abs=0.07)
        assert np.isnan(paired_tests.detectable(0.2, 2, first[:1], second[:1], paired_tests.MCNEMAR))
