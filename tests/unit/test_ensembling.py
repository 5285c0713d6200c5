"""Ensembles: weights, greedy selection, stacking, temperature; all fitted on out-of-fold predictions only."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from emopipe.core.errors import CacheError, ConfigError
from emopipe.core.labels import CLASSES
from emopipe.core.validation import checked
from emopipe.fusion.options import EnsembleOptions
from emopipe.fusion.protocol import KFOLD
from emopipe.scoring import ensembling, predictions
from emopipe.scoring.ensembling import apply_temperature, fit, fit_temperature
from emopipe.scoring.greedy import Selection, greedy_weights
from emopipe.scoring.metrics import PROBABILITY_FLOOR, log_losses
from emopipe.scoring.pooling import MemberPredictions, weighted_mean
from emopipe.stages import ensemble

K = len(CLASSES)


def member_probs(targets, skill, rng, sharpness=2.0):
    """Probabilities (N, K) that lean towards the correct class by `skill`."""
    logits = rng.normal(size=(len(targets), K)) * sharpness
    logits[np.arange(len(targets)), targets] += skill
    p = np.exp(logits)
    return p / p.sum(1, keepdims=True)


@pytest.fixture
def members():
    """Two good members and a useless one, and the classes."""
    rng = np.random.default_rng(0)
    targets = rng.integers(K, size=400)
    p = np.stack([member_probs(targets, skill, rng) for skill in (3.0, 2.5, 0.0)])
    return MemberPredictions(p, np.ones((3, 400), bool)), targets


def test_mean(members):
    found, targets = members
    combine, weights = fit("mean", found, targets)
    np.testing.assert_allclose(weights, 1 / 3)
    np.testing.assert_allclose(combine(found), found.probs.mean(0))


def test_members_that_do_not_cover_a_clip_are_omitted(members):
    found, _ = members
    covered = found.covered.copy()
    covered[0, :10], covered[:, 10] = False, False
    p = weighted_mean(MemberPredictions(found.probs, covered), np.array([0.5, 0.25, 0.25]))
    np.testing.assert_allclose(p[:10], (found.probs[1, :10] + found.probs[2, :10]) / 2)
    np.testing.assert_allclose(p[10], np.array([0.5, 0.25, 0.25]) @ found.probs[:, 10])
    only_zero_weight = MemberPredictions(found.probs, np.arange(3)[:, None] == np.full(400, 2))
    np.testing.assert_allclose(weighted_mean(only_zero_weight, np.array([0.5, 0.5, 0])).sum(1), 1)


def test_weights_are_the_most_likely_ones(members):
    found, targets = members
    _, weights = fit("weighted", found, targets)

    def objective(z):
        w = np.exp(z) / np.exp(z).sum()
        return log_losses(np.einsum("m,mnk->nk", w, found.probs), targets).mean()

    best = minimize(objective, np.zeros(3))
    np.testing.assert_allclose(weights, np.exp(best.x) / np.exp(best.x).sum(), atol=0.01)
    assert weights[2] < 0.1 < weights[1] < weights[0] + 0.3


def test_greedy_selection_is_caruanas(members):
    found, targets = members
    _, weights = fit("greedy", found, targets)
    bag = []  # one by one, with replacement, by hand
    best, least = None, np.inf
    for _ in range(50):
        losses = [log_losses(found.probs[[*bag, m]].mean(0), targets).mean() for m in range(3)]
        bag.append(int(np.argmin(losses)))
        if min(losses) < least - 1e-9:
            best, least = list(bag), min(losses)
    np.testing.assert_allclose(weights, np.bincount(best, minlength=3) / len(best))
    combined = log_losses(weighted_mean(found, weights), targets).mean()
    assert combined <= log_losses(found.probs, targets).mean(1).min()


def test_a_geometric_mean_by_hand():
    """Two members and three clips: the second covers the first clip alone, and none covers the last."""
    p = np.array([[[0.5, 0.5], [0.2, 0.8], [1.0, 0.0]], [[0.9, 0.1], [0.5, 0.5], [0.5, 0.5]]])
    members = MemberPredictions(p, np.array([[True, True, False], [True, False, False]]))
    found = weighted_mean(members, np.array([0.5, 0.5]), "geometric")
    ratio = np.sqrt(0.5 * 0.9) / np.sqrt(0.5 * 0.1)  # 3 to 1
    sure = 1 / np.sqrt(PROBABILITY_FLOOR)
    np.testing.assert_allclose(found[:, 0], [ratio / (ratio + 1), 0.2, sure / (sure + 1)])
    np.testing.assert_allclose(found.sum(1), 1)
    weighted = weighted_mean(members, np.array([0.25, 0.75]), "geometric")[0]
    np.testing.assert_allclose(weighted[0] / weighted[1], 9**0.75)


def pool(found, weights):
    """A log-linear pool of members that cover all clips, by its definition."""
    product = np.prod(found.probs ** np.asarray(weights)[:, None, None], 0)
    return product / product.sum(1, keepdims=True)


@pytest.mark.slow
def test_the_weights_of_a_geometric_mean_are_the_most_likely_ones(members):
    found, targets = members
    combine, weights = fit("weighted", found, targets, "geometric")
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(combine(found), pool(found, weights), rtol=1e-9)

    def objective(z):
        w = np.exp(z) / np.exp(z).sum()
        return log_losses(pool(found, w), targets).mean()

    best = minimize(objective, np.zeros(3))
    np.testing.assert_allclose(weights, np.exp(best.x) / np.exp(best.x).sum(), atol=0.01)


def test_the_weights_of_a_geometric_mean_with_missing_members_are_the_most_likely_ones(members):
    found, targets = members
    covered = np.ones((3, 400), bool)
    covered[0, ::3], covered[1, 1::4], covered[:, 7] = False, False, False
    partial = MemberPredictions(found.probs, covered)
    _, weights = fit("weighted", partial, targets, "geometric")

    def objective(z):
        w = np.exp(z) / np.exp(z).sum()
        p = weighted_mean(partial.select(np.arange(400) != 7), w, "geometric")
        return log_losses(p, np.delete(targets, 7)).mean()

    best = minimize(objective, np.zeros(3))
    np.testing.assert_allclose(weights, np.exp(best.x) / np.exp(best.x).sum(), atol=0.01)
    nobody = MemberPredictions(found.probs, np.zeros((3, 400), bool))
    np.testing.assert_allclose(fit("weighted", nobody, targets, "geometric")[1], 1 / 3)


def by_hand(found, targets, mean, start=()):
    """Greedy selection that computes each mean of a list of members again; of all, where none of the list covers."""
    bag, best, least = list(start), None, np.inf

    def combined(members):
        return weighted_mean(members, np.full(len(members.probs), 1 / len(members.probs)), mean)

    def loss(numbers):
        some, everyone = found.of(np.array(numbers)), MemberPredictions(found.probs, np.ones_like(found.covered))
        p = np.where(some.covered.any(0)[:, None], combined(some), combined(everyone))
        return log_losses(p, targets).mean()

    if bag:
        best, least = list(bag), loss(bag)
    for _ in range(50):
        losses = [loss([*bag, m]) for m in range(len(found.probs))]
        bag.append(int(np.argmin(losses)))
        if min(losses) < least - 1e-9:
            best, least = list(bag), min(losses)
    return np.bincount(best, minlength=len(found.probs)) / len(best)


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_greedy_selection_with_missing_members_is_that_by_hand(mean, members):
    found, targets = members
    covered = np.ones((3, 100), bool)
    covered[0, ::3], covered[1, 1::4] = False, False
    partial = MemberPredictions(found.probs[:, :100], covered)
    np.testing.assert_allclose(greedy_weights(partial, targets[:100], mean), by_hand(partial, targets[:100], mean))


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_a_sorted_start_takes_the_best_members_first(mean):
    rng = np.random.default_rng(3)
    targets = rng.integers(K, size=150)
    p = np.stack([member_probs(targets, skill, rng) for skill in (0.5, 3.0, 2.9, 2.8, 0.0)])
    found = MemberPredictions(p, np.ones((5, 150), bool))
    order = np.argsort(log_losses(p, targets).mean(1))
    prefixes = [order[: n + 1] for n in range(5)]
    losses = [
        log_losses(weighted_mean(found.of(some), np.full(len(some), 1 / len(some)), mean), targets).mean()
        for some in prefixes
    ]
    start = prefixes[int(np.argmin(losses))]
    assert 1 < len(start) < 5
    weights = greedy_weights(found, targets, mean, Selection(sorted_start=True))
    np.testing.assert_allclose(weights, by_hand(found, targets, mean, sorted(start)))
    assert (weights[start] > 0).all()


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
@pytest.mark.parametrize(("method", "selection"), [
    ("mean", None), ("weighted", None), ("greedy", None), ("greedy", Selection(bags=7)),
    ("greedy", Selection(bags=7, sorted_start=True)),
])  # fmt: skip
def test_weights_sum_to_one_and_combinations_are_probabilities(method, selection, mean, members):
    found, targets = members
    covered = np.random.default_rng(1).random((3, 400)) < 0.7
    combine, weights = fit(method, MemberPredictions(found.probs, covered), targets, mean, selection)
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
    p = combine(MemberPredictions(found.probs, covered))
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(1), 1)


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
@pytest.mark.parametrize("method", ["weighted", "greedy"])
def test_a_dominated_member_gets_no_weight(method, mean, members):
    """A member that gives each clip's class less than chance, where another member gives it more."""
    found, targets = members
    dominated = np.full((400, K), 0.99 / (K - 1))
    dominated[np.arange(400), targets] = 0.01
    useful = 0.5 * found.probs[0] + 0.5 * np.eye(K)[targets]
    p = np.stack([dominated, useful, found.probs[1]])
    _, weights = fit(method, MemberPredictions(p, np.ones((3, 400), bool)), targets, mean)
    assert weights[0] < 1e-6 and weights.sum() == pytest.approx(1)


def test_bagged_selection_averages_selections_from_random_halves():
    rng = np.random.default_rng(4)
    targets = rng.integers(K, size=80)
    p = np.stack([member_probs(targets, skill, rng) for skill in np.linspace(0, 3, 8)])
    found = MemberPredictions(p, np.ones((8, 80), bool))
    weights = greedy_weights(found, targets, "arithmetic", Selection(bags=3, seed=5))
    draws, expected = np.random.default_rng(5), np.zeros(8)
    for _ in range(3):
        half = np.sort(draws.choice(8, 4, replace=False))
        expected[half] += greedy_weights(found.of(half), targets, "arithmetic") / 3
    np.testing.assert_array_equal(weights, expected)
    assert not np.array_equal(weights, greedy_weights(found, targets, "arithmetic", Selection(bags=3, seed=6)))
    many = greedy_weights(found, targets, "arithmetic", Selection(bags=30))
    assert (many > 0).sum() > (greedy_weights(found, targets, "arithmetic") > 0).sum()


@pytest.mark.parametrize(("options", "fault"), [
    ({"method": "mean", "bags": 20}, "bags is set, but method is mean"),
    ({"method": "weighted", "sorted_start": True}, "sorted_start is set, but method is weighted"),
    ({"method": "stacking", "mean": "geometric"}, "stacking, which takes no mean"),
    ({"method": "greedy", "bags": 1}, "bags"),
])  # fmt: skip
def test_options_that_a_method_does_not_have_are_refused(options, fault):
    with pytest.raises(ConfigError, match=fault):
        checked(EnsembleOptions, options)


def test_stacking_learns_which_member_is_correct_about_what():
    """One member recognizes only class 0, the other confuses it with class 1: stacking combines them."""
    rng = np.random.default_rng(1)
    targets, new_targets = rng.integers(3, size=600), rng.integers(3, size=300)

    def predictions_of(t):
        first = np.full((len(t), K), 0.01)
        first[:, 0] = np.where(t == 0, 0.9, 0.02)
        first[:, 1:3] = np.where(t == 0, 0.02, 0.45)[:, None]
        second = np.full((len(t), K), 0.01)
        second[np.arange(len(t)), np.where(t == 2, 2, 1)] = 0.9
        p = np.stack([first, second]) * np.exp(rng.normal(size=(2, len(t), K)) * 0.3)
        return MemberPredictions(p / p.sum(-1, keepdims=True), np.ones((2, len(t)), bool))

    combine, weights = fit("stacking", predictions_of(targets), targets)
    p = combine(predictions_of(new_targets))
    assert p.shape == (300, K) and (p[:, 3:] == 0).all()
    np.testing.assert_allclose(p.sum(1), 1)
    assert (p.argmax(1) == new_targets).mean() > 0.97
    assert weights.sum() == pytest.approx(1) and (weights > 0.2).all()


def test_temperature_undoes_overconfidence():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3000, K))
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    targets = np.array([rng.choice(K, p=p) for p in true])
    t = fit_temperature(apply_temperature(true, 1 / 3), targets)
    assert t == pytest.approx(3, rel=0.1)
    np.testing.assert_allclose(apply_temperature(apply_temperature(true, 1 / 3), 3), true, atol=1e-6)
    assert fit_temperature(np.empty((0, K)), np.empty(0, int)) == 1.0


def test_best_members(members):
    found, targets = members
    assert ensembling.best_members(found, targets, 2) == [0, 1]
    assert ensembling.best_members(found, targets, None) == [0, 1, 2]


# -- the stage --------------------------------------------------------------------------------------------------------


def table(targets, p, split, prefix, covered=None):
    clips = pd.DataFrame(
        {
            "clip": [f"{prefix}{n:03d}" for n in range(len(targets))],
            "split": split,
            "label": [CLASSES[t] for t in targets],
        }
    )
    return predictions.table(clips, p, np.ones(len(targets), bool) if covered is None else covered)


def run(folder, ensembles, oof, reported, seeds=2):
    """Run the stage on models' tables; ensemble -> its predictions, its out-of-fold predictions, and the weights."""
    paths = {}
    seeds = {n: pd.concat([f.assign(seed=s) for s in range(seeds)], ignore_index=True) for n, f in reported.items()}
    for kind, tables in (("oof", oof), ("reported", reported), ("seeds", seeds)):
        for name, frame in tables.items():
            paths[kind, name] = folder / kind / f"{name}.csv"
            predictions.write(frame, paths[kind, name])
    made = {(kind, name): folder / f"{kind}_{name}.csv" for kind in ("p", "o", "s") for name in ensembles}
    recipe = {"ensembles": {name: block.model_dump() for name, block in ensembles.items()}}
    ensemble.run(
        recipe,
        {name: paths["reported", name] for name in reported},
        {name: paths["oof", name] for name in oof},
        {name: paths["seeds", name] for name in oof},
        {name: made["p", name] for name in ensembles},
        {name: made["o", name] for name in ensembles},
        {name: made["s", name] for name in ensembles},
        folder / "weights.csv",
    )
    read = {key: predictions.read(path) for key, path in made.items()}
    return read, pd.read_csv(folder / "weights.csv")


def models(seed=0):
    rng = np.random.default_rng(seed)
    train, val = rng.integers(K, size=200), rng.integers(K, size=60)
    fold = np.arange(200) % 4
    skills = {"face_a": 3.0, "audio_b": 2.0, "audio_c": 0.0}
    oof = {n: table(train, member_probs(train, s, rng), "train", "t").assign(fold=fold) for n, s in skills.items()}
    return oof, {n: table(val, member_probs(val, s, rng), "val", "v") for n, s in skills.items()}


def test_an_ensemble_of_means(tmp_path):
    oof, reported = models()
    read, weights = run(tmp_path, {"ensemble": EnsembleOptions(members=["face_a", "audio_b"])}, oof, reported)
    expected = (reported["face_a"][predictions.PROBABILITIES] + reported["audio_b"][predictions.PROBABILITIES]) / 2
    np.testing.assert_allclose(read["p", "ensemble"][predictions.PROBABILITIES], expected, atol=2e-6)
    assert list(weights["member"]) == ["face_a", "audio_b", "(ensemble)"]
    assert (weights["weight"][:2] == 0.5).all() and weights["temperature"][2] == 1
    by_seed = read["s", "ensemble"]
    assert by_seed["seed"].value_counts().to_dict() == {0: 60, 1: 60}
    np.testing.assert_allclose(by_seed[predictions.PROBABILITIES].iloc[60:], expected, atol=2e-6)
    accuracy = (oof["face_a"]["pred"] == oof["face_a"]["label"]).mean()
    assert weights["oof_accuracy"][0] == pytest.approx(accuracy, abs=1e-6)


COMBINATIONS = [
    {"method": "weighted"}, {"method": "greedy"}, {"method": "stacking"}, {"method": "weighted", "mean": "geometric"},
    {"method": "greedy", "mean": "geometric"}, {"method": "greedy", "bags": 20, "sorted_start": True},
]  # fmt: skip


@pytest.mark.slow
def test_a_class_without_a_training_clip_stays_zero(tmp_path):
    oof, reported = models()
    everything = {"oof": oof, "reported": reported}
    for tables in everything.values():
        for name, frame in tables.items():
            p = frame[predictions.PROBABILITIES].to_numpy().copy()
            p[:, 6] = 0
            label = frame["label"].replace(CLASSES[6], CLASSES[0])
            tables[name] = table(label.map(CLASSES.index), p, frame["split"], "").assign(
                clip=frame["clip"], **({"fold": frame["fold"]} if "fold" in frame else {})
            )
    blocks = {f"ensemble_{n}": EnsembleOptions(**c) for n, c in enumerate(COMBINATIONS)}
    read, weights = run(tmp_path, blocks | {"ensemble": EnsembleOptions(mean="geometric")}, oof, reported)
    for frame in read.values():
        p = frame[predictions.PROBABILITIES].to_numpy()
        assert (p[:, 6] == 0).all() and (p[:, :6] > 0).any(0).all()
    assert list(weights["method"].unique()) == [
        "weighted", "greedy", "stacking", "weighted, geometric", "greedy, geometric", "greedy, 20 bags, sorted start",
        "mean, geometric",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("options", COMBINATIONS, ids=lambda options: "-".join(map(str, options.values())))
def test_labels_of_reported_clips_fit_nothing(options, tmp_path):
    """Other labels of the reported clips give the same predictions."""
    oof, reported = models()
    blocks = {"ensemble": EnsembleOptions(**options, top=2, calibrate=True)}
    first, weights = run(tmp_path / "a", blocks, oof, reported)
    relabelled = {name: frame.assign(label=frame["label"].to_numpy()[::-1]) for name, frame in reported.items()}
    second, _ = run(tmp_path / "b", blocks, oof, relabelled)
    columns = ["clip", "pred", *predictions.PROBABILITIES]
    pd.testing.assert_frame_equal(first["p", "ensemble"][columns], second["p", "ensemble"][columns])
    by_member = weights.set_index("member")
    assert by_member.loc["audio_c", "weight"] == 0 and by_member.loc["face_a", "weight"] > 0.5
    assert by_member.loc["face_a", "temperature"] != 1 and by_member.loc["audio_c", "temperature"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("options", COMBINATIONS, ids=lambda options: "-".join(map(str, options.values())))
def test_cross_validated_clips_are_predicted_by_ensembles_of_the_other_folds(options, tmp_path):
    """The labels of a fold do not change the predictions of its own clips, but change those of other folds."""
    oof, _ = models()
    reported = {name: frame.drop(columns="fold").assign(split=KFOLD) for name, frame in oof.items()}
    blocks = {"ensemble": EnsembleOptions(**options, calibrate=True)}
    first, _ = run(tmp_path / "a", blocks, oof, reported)
    labels = oof["face_a"]["label"].to_numpy().copy()
    in_fold = (oof["face_a"]["fold"] == 1).to_numpy()
    labels[in_fold] = labels[in_fold][::-1]
    second, _ = run(tmp_path / "b", blocks, {n: f.assign(label=labels) for n, f in oof.items()}, reported)
    p, q = (read["p", "ensemble"][predictions.PROBABILITIES].to_numpy() for read in (first, second))
    assert np.abs(p - q)[~in_fold].max() > 1e-4
    # The temperature for a fold is fitted on the predictions of the other folds, which this fold's labels affect.
    assert (p.argmax(1) == q.argmax(1))[in_fold].all()


def test_models_that_predict_different_clips_are_an_error(tmp_path):
    oof, reported = models()
    reported["audio_b"] = reported["audio_b"].iloc[:-1]
    with pytest.raises(CacheError, match="face_a and audio_b predict different clips"):
        run(tmp_path, {"ensemble": EnsembleOptions()}, oof, reported)
