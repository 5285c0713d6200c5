"""Scores of every kind of label space: against scikit-learn, the formulas, simulated truths; intervals and tests."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from emopipe.core.labels import LabelSpace
from emopipe.scoring import intervals as by_count
from emopipe.scoring import metrics, predictions, primary
from emopipe.scoring.average_precision import average_precisions, macro_average_precision
from emopipe.scoring.concordance import concordances, moments
from emopipe.scoring.jackknife import MOST_PARTS, jackknife

ABC = ("Angry", "Bored", "Calm")
VOTES, MULTI = LabelSpace(ABC, "votes"), LabelSpace(ABC, "multi")
DIMS = LabelSpace(("valence", "arousal"), "dimensions")


def clips(labels, **more):
    names = [f"{number:04d}" for number in range(len(labels))]
    return pd.DataFrame({"clip": names, "split": "val", "label": labels, **more})


def table(space, labels, values, covered=None, **more):
    values = np.asarray(values, float)
    known = np.ones(len(values), bool) if covered is None else np.asarray(covered, bool)
    return predictions.table(clips(labels, **more), values, known, space)


def multi(n, seed=0, skill=1.5):
    """Clips with several classes, and a model that is better than chance; probabilities have ties."""
    rng = np.random.default_rng(seed)
    present = rng.random((n, 3)) < [0.5, 0.3, 0.1]
    p = 1 / (1 + np.exp(-(skill * (present - 0.5) + rng.normal(size=(n, 3)))))
    return table(MULTI, [MULTI.label(row) for row in present.astype(float)], p.round(1))


def dims(n, seed=0, noise=0.3):
    rng = np.random.default_rng(seed)
    given = rng.uniform(-0.6, 0.6, (n, 2))
    return table(DIMS, [DIMS.label(row) for row in given], given + noise * rng.normal(size=(n, 2)))


# -- one class: votes -------------------------------------------------------------------------------------------------


def test_of_votes_ties_count_in_the_loss_alone():
    votes = np.array([[3, 1, 0], [0, 4, 0], [2, 2, 0], [1, 1, 2], [0, 0, 0]])
    labels = [VOTES.label(row) for row in votes[:4]] + [""]
    columns = dict(zip(VOTES.vote_columns, votes.astype(str).T, strict=True))
    p = [[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [1, 0, 0]]
    made = table(VOTES, labels, p, covered=[1, 0, 1, 1, 1], **columns)
    row = metrics.score(made, "m", VOTES).iloc[0]
    assert labels == ["Angry", "Bored", "Angry;Bored", "Calm", ""]
    assert (row.n, row.n_covered, row.n_votes) == (3, 2, 4)  # the tie has no accuracy, and the last clip no label
    assert row.accuracy == pytest.approx(2 / 3) and row.uar == pytest.approx(2 / 3)
    losses = [
        -(0.75 * np.log(0.5) + 0.25 * np.log(0.25)),
        -np.log(0.25),
        -(0.5 * np.log(0.8) + 0.5 * np.log(0.1)),
        -(0.25 * np.log(0.1) + 0.25 * np.log(0.1) + 0.5 * np.log(0.8)),
    ]
    assert row.vote_loss == pytest.approx(np.mean(losses))
    assert list(metrics.score(made, "m", VOTES)) == metrics.columns(VOTES) == [*metrics.COLUMNS, "n_votes", "vote_loss"]


def test_a_split_of_ties_alone_has_a_loss_and_no_accuracy():
    row = metrics.score(table(VOTES, ["Angry;Bored"], [[0.5, 0.4, 0.1]]), "m", VOTES).iloc[0]
    assert (row.n, row.n_votes) == (0, 1) and np.isnan(row.accuracy)
    assert row.vote_loss == pytest.approx(-(np.log(0.5) + np.log(0.4)) / 2)


def test_votes_stand_in_tables_of_predictions_and_are_read_back(tmp_path):
    made = table(VOTES, ["Angry"], [[0.5, 0.25, 0.25]], **dict(zip(VOTES.vote_columns, ["3", "1", "0"], strict=True)))
    predictions.write(made, tmp_path / "p.csv")
    np.testing.assert_allclose(VOTES.targets(predictions.read(tmp_path / "p.csv")), [[0.75, 0.25, 0]])
    single = LabelSpace(ABC)
    assert "votes_Angry" not in table(single, ["Angry"], [[0.5, 0.25, 0.25]], votes_Angry="3")


# -- several classes --------------------------------------------------------------------------------------------------


def test_average_precision_is_scikit_learns_with_weights_and_ties():
    rng = np.random.default_rng(1)
    p, present = rng.random((60, 4)).round(1), rng.random((60, 4)) < 0.3
    weights = rng.integers(0, 3, (5, 60))
    found = average_precisions(p, present, weights)
    assert found.shape == (5, 4)
    for b, k in np.ndindex(5, 4):
        expected = average_precision_score(present[:, k], p[:, k], sample_weight=weights[b])
        assert found[b, k] == pytest.approx(expected)


def test_macro_ap_is_over_the_classes_that_occur():
    p, present = np.array([[0.9, 0.1], [0.2, 0.3], [0.4, 0.9]]), np.array([[1, 0], [0, 0], [1, 0]], float)
    assert macro_average_precision(p, present)(np.ones((1, 3)))[0] == 1
    assert np.isnan(macro_average_precision(p, np.zeros((3, 2)))(np.ones((1, 3)))[0])
    assert np.isnan(average_precisions(p, present, np.array([[0, 1, 0]]))).all()


def test_scores_of_several_classes_by_hand():
    labels = ["Angry", "Angry;Bored", "(none)", "Bored", ""]
    p = [[0.9, 0.1, 0.6], [0.8, 0.2, 0], [0.3, 0.6, 0], [0.4, 0.7, 0], [1, 1, 1]]
    row = metrics.score(table(MULTI, labels, p), "m", MULTI).iloc[0]
    assert row.n == 4
    assert row.macro_ap == pytest.approx((1 + (1 + 2 / 3) / 2) / 2)  # no clip shows Calm
    assert row.macro_f1 == pytest.approx((1 + 2 * 1 / (2 + 1 + 1)) / 2)
    assert row.exact == 1 / 4  # the last labelled one
    made = multi(80)
    present, given = MULTI.targets(made), made[MULTI.columns].to_numpy()
    assert metrics.values(made, MULTI)["macro_ap"] == pytest.approx(average_precision_score(present, given))


# -- dimensions -------------------------------------------------------------------------------------------------------


def test_ccc_is_lins():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(50, 2)), rng.normal([0.5, 3], 1, (50, 2))

    def lin(a, b):
        return 2 * np.cov(a, b, bias=True)[0, 1] / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)

    expected = [lin(x[:, k], y[:, k]) for k in range(2)]
    np.testing.assert_allclose(concordances(moments(x, y).sum(0)), expected)
    np.testing.assert_allclose(concordances(moments(y, y).sum(0)), 1)


@pytest.mark.parametrize(("given", "said"), [([0.1, 0.1, 0.1], [0.1, 0.1, 0.1]), ([0.1, 0.3, -0.2], [0.4, 0.4, 0.4])])
def test_ccc_is_zero_where_nothing_varies(given, said):
    assert concordances(moments(np.array([said]).T, np.array([given]).T).sum(0)) == pytest.approx([0], abs=1e-12)


def test_answers_that_do_not_vary_are_not_shown_to_differ():
    given = np.random.default_rng(0).uniform(-1, 1, (60, 2))
    labels, people = [DIMS.label(row) for row in given], np.arange(60) % 30
    first, second = (table(DIMS, labels, np.full((60, 2), value)) for value in (0.3, 0.4))
    assert primary.primary_intervals(first, DIMS, people).value.tolist() == [0, 0, 0]  # not -0.000
    assert primary.primary_test(first, second, DIMS, people, "subject")[0] == 1


def test_scores_of_dimensions_by_hand():
    made = table(DIMS, ["0;0.5", "0.4;-0.5", ""], [[0.2, 0.5], [0.6, -0.5], [1, 1]])
    row = metrics.score(made, "m", DIMS).iloc[0]
    assert list(row.index) == [*metrics.COUNTS, "ccc", "ccc_valence", "ccc_arousal", "rmse"]
    assert row.ccc_valence == pytest.approx(2 * 0.04 / (0.04 + 0.04 + 0.04)) and row.ccc_arousal == pytest.approx(1)
    assert row.ccc == pytest.approx((2 / 3 + 1) / 2) and row.rmse == pytest.approx(np.sqrt(2 * 0.04 / 4))


# -- what holds for every kind ----------------------------------------------------------------------------------------

KINDS = [(MULTI, multi), (DIMS, dims)]


@pytest.mark.parametrize(("space", "make"), KINDS)
def test_the_order_of_clips_changes_nothing(space, make):
    made = make(60)
    shuffled = made.sample(frac=1, random_state=3)
    first, second = (pd.Series(metrics.values(each, space)) for each in (made, shuffled))
    pd.testing.assert_series_equal(first, second)
    assert primary.primary_value(made, space) == pytest.approx(first.iloc[0])
    groups = np.arange(60) % 8
    a = primary.primary_intervals(made, space, groups)
    b = primary.primary_intervals(shuffled, space, groups[shuffled.index])
    np.testing.assert_allclose([a.low[0], a.high[0], a.error[0]], [b.low[0], b.high[0], b.error[0]])


@pytest.mark.parametrize("space", [VOTES, MULTI])
def test_the_order_of_classes_changes_nothing(space):
    other = LabelSpace(tuple(reversed(space.names)), space.kind)
    rng = np.random.default_rng(4)
    vectors, p = rng.random((40, 3)), rng.dirichlet(np.ones(3), 40)
    labels = [space.label(row) for row in vectors]
    turned = [other.label(row[::-1]) for row in vectors]
    first = metrics.score(table(space, labels, p), "m", space)
    second = metrics.score(table(other, turned, p[:, ::-1]), "m", other)
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.parametrize(("space", "make"), KINDS)
def test_a_model_does_not_differ_from_itself(space, make):
    made, groups = make(60), np.arange(60) % 8
    assert primary.primary_test(made, made, space, groups, "subject") == (1.0, primary.BY_GROUP)
    found = primary.primary_differences(made, made, space, groups)
    assert found.value[0] == 0 and found.error[0] == 0


@pytest.mark.parametrize(("space", "make", "worse"), [(MULTI, multi, {"skill": 0.0}), (DIMS, dims, {"noise": 1.5})])
def test_a_clear_difference_is_found_in_both_directions(space, make, worse):
    groups = np.arange(120) % 12
    good, bad = make(120), make(120, **worse)
    bad["label"] = good["label"]
    found = primary.primary_differences(good, bad, space, groups)
    assert found.method == "t" and found.groups == 12 and found.low[0] > 0
    p, test = primary.primary_test(good, bad, space, groups, "subject")
    assert p < 1e-3 and test == primary.BY_GROUP
    assert primary.primary_test(bad, good, space, groups, "subject")[0] == pytest.approx(p)
    assert found.value[0] == pytest.approx(primary.primary_value(good, space) - primary.primary_value(bad, space))
    shown = primary.primary_detectable(good, bad, space, groups, "subject", found)
    assert shown == pytest.approx((by_count.t_quantile(0.975, 11) + by_count.t_quantile(0.8, 11)) * found.error[0])


@pytest.mark.parametrize(("space", "make"), KINDS)
def test_few_groups_have_no_interval_and_tests_are_by_clip(space, make):
    made, other, groups = make(60), make(60, 1), np.arange(60) % 4
    other["label"] = made["label"]
    found = primary.primary_intervals(made, space, groups)
    assert found.method == "none" and np.isnan(found.low).all() and found.groups == 4
    assert primary.primary_test(made, other, space, groups, "subject")[1] == primary.BY_CLIP
    one = made.iloc[:1]
    assert np.isnan(primary.primary_test(one, one, space, groups[:1], "clip")[0])


def test_the_jackknife_is_the_formula_and_joins_many_groups():
    made = multi(40)
    groups = np.arange(40) % 10
    found = primary.primary_intervals(made, MULTI, groups)
    without = np.array([primary.primary_value(made[groups != g], MULTI) for g in range(10)])
    error = np.sqrt(9 / 10 * ((without - without.mean()) ** 2).sum())
    assert found.error[0] == pytest.approx(error)
    ap, margin = found.value[0], by_count.t_quantile(0.975, 9) * error
    logit, of_logit = np.log(ap / (1 - ap)), margin / (ap * (1 - ap))
    assert found.low[0] == pytest.approx(1 / (1 + np.exp(of_logit - logit)))
    assert found.high[0] == pytest.approx(1 / (1 + np.exp(-of_logit - logit))) and found.high[0] < 1
    plain = primary.primary_differences(multi(40), multi(40, skill=0.0).assign(label=multi(40)["label"]), MULTI, groups)
    assert plain.high[0] - plain.value[0] == pytest.approx(plain.value[0] - plain.low[0])
    n, x = 3 * MOST_PARTS, np.random.default_rng(0).normal(size=3 * MOST_PARTS)
    many = jackknife(np.arange(n), lambda weights: weights @ x / weights.sum(1), lowest=-9.0, highest=9.0)
    assert many.groups == n and many.error[0] == pytest.approx(x.std(ddof=1) / np.sqrt(n), rel=0.1)


# -- coverage ---------------------------------------------------------------------------------------------------------


def simulated(kind, rng, people, each):
    """Clips of people who differ: what is right for one clip of a person is likelier to be so for the others."""
    groups = np.repeat(np.arange(people), each)
    own = rng.normal(size=(people, 2))[groups]
    if kind == "multi":
        space = LabelSpace(("a", "b"), "multi")
        present = rng.random((len(groups), 2)) < [0.5, 0.3]
        p = 1 / (1 + np.exp(-(1.5 * present + 0.5 * own + rng.normal(size=own.shape))))
        return space, table(space, [space.label(row) for row in present.astype(float)], p), groups
    given = rng.normal(size=own.shape) * 0.3
    said = 0.7 * given + 0.1 * own + 0.2 * rng.normal(size=own.shape)
    return DIMS, table(DIMS, [DIMS.label(row) for row in given], said), groups


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "people"), [("multi", 8), ("multi", 30), ("dimensions", 8), ("dimensions", 30)])
def test_intervals_contain_the_true_value_in_95_percent_of_corpora(kind, people, monkeypatch):
    monkeypatch.setattr(by_count, "RESAMPLES", 400)
    rng = np.random.default_rng(5)
    space, whole, _ = simulated(kind, rng, 4000, 12)
    truth, hits = primary.primary_value(whole, space), []
    for _ in range(300):
        _, made, groups = simulated(kind, rng, people, 12)
        found = primary.primary_intervals(made, space, groups)
        hits.append(found.low[0] <= truth <= found.high[0])
    assert 0.91 <= np.mean(hits) <= 0.985
