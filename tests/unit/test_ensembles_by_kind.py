"""Ensembles of every kind of label space: weights of lowest loss, greedy selection, stacking, temperatures, files."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from emopipe.core.labels import LabelSpace, in_recipe
from emopipe.fusion.combination import Ensemble
from emopipe.fusion.ensemble import FittedEnsemble
from emopipe.fusion.options import EnsembleOptions
from emopipe.scoring import ensembling, metrics, predictions, primary
from emopipe.scoring.combining import stacking_inputs
from emopipe.scoring.losses import losses
from emopipe.scoring.pooling import MemberPredictions, weighted_mean
from emopipe.stages import ensemble

ABC = ("angry", "bored", "calm")
SPACES = {
    "votes": LabelSpace(ABC, "votes"),
    "multi": LabelSpace(ABC, "multi"),
    "dimensions": LabelSpace(("valence", "arousal"), "dimensions", 0.0, 5.0),
}
N = 120


@pytest.fixture(params=SPACES)
def space(request):
    return SPACES[request.param]


def given(space, rng, n=N):
    """What answers should be, (n, K); votes are of four raters."""
    if space.kind == "votes":
        return rng.multinomial(4, [0.5, 0.3, 0.2], n) / 4
    return (rng.random((n, 3)) < 0.4).astype(float) if space.kind == "multi" else rng.uniform(0, 5, (n, 2))


def said(space, targets, rng, noise):
    """A member's answers: as the targets, with noise."""
    values = targets + noise * rng.normal(size=targets.shape)
    if space.kind == "dimensions":
        return values
    p = 1 / (1 + np.exp(-3 * (values - 0.5)))
    return p / p.sum(1, keepdims=True) if space.kind == "votes" else p


def members(space, seed=0, covered=1.0, n=N):
    """Two good members and a bad one that may miss clips, and the targets."""
    rng = np.random.default_rng(seed)
    targets = given(space, rng, n)
    values = np.stack([said(space, targets, rng, noise) for noise in (0.5, 0.6, 3.0)])
    return MemberPredictions(values, rng.random((3, n)) < covered), targets


@pytest.mark.slow
@pytest.mark.parametrize("covered", [1.0, 0.8])
@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_weights_have_the_lowest_loss(space, mean, covered):
    if mean == "geometric" and space.kind != "votes":
        return  # refused by the plan
    found, targets = members(space, covered=covered)
    _, weights = ensembling.fit("weighted", found, targets, mean, space=space)
    some = found.covered.any(0)

    def objective(z):
        w = np.exp(z) / np.exp(z).sum()
        return losses(weighted_mean(found.select(some), w, mean), targets[some], space).mean()

    best = minimize(objective, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-12})
    assert weights.sum() == pytest.approx(1)
    assert objective(np.log(weights.clip(1e-12))) <= best.fun + 1e-6
    assert weights[2] < 0.05 < weights[:2].min()


@pytest.mark.parametrize("sorted_start", [False, True])
def test_greedy_selection_is_that_by_hand(space, sorted_start):
    found, targets = members(space, covered=0.9)
    everyone = MemberPredictions(found.probs, np.ones_like(found.covered))

    def loss(numbers):
        some, equal = found.of(np.array(numbers)), np.full(len(numbers), 1 / len(numbers))
        of_all = weighted_mean(everyone, np.full(3, 1 / 3))
        values = np.where(some.covered.any(0)[:, None], weighted_mean(some, equal), of_all)
        return losses(values, targets, space).mean()

    bag, best, least = [], [0, 1, 2], np.inf
    if sorted_start:
        order = np.argsort([loss([m]) for m in range(3)])
        first = min(range(1, 4), key=lambda count: loss(order[:count].tolist()))
        bag = sorted(order[:first].tolist())
        best, least = list(bag), loss(bag)
    for _ in range(50):
        each = [loss([*bag, m]) for m in range(3)]
        bag.append(int(np.argmin(each)))
        if min(each) < least - 1e-9:
            best, least = list(bag), min(each)
    selection = ensembling.Selection(sorted_start=sorted_start)
    _, weights = ensembling.fit("greedy", found, targets, "arithmetic", selection, space)
    np.testing.assert_allclose(weights, np.bincount(best, minlength=3) / len(best), atol=0.05)  # sums are of 32 bits
    combined = losses(weighted_mean(found, weights), targets, space).mean()
    assert combined <= least + 1e-3


def test_a_mean_is_the_mean_of_values(space):
    found, targets = members(space)
    combine, weights = ensembling.fit("mean", found, targets, space=space)
    np.testing.assert_allclose(weights, 1 / 3)
    np.testing.assert_allclose(combine(found), found.probs.mean(0))


@pytest.mark.parametrize("method", ["weighted", "greedy", "stacking"])
@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_votes_for_one_class_each_give_what_classes_give(method, mean):
    if (method, mean) == ("stacking", "geometric"):
        return  # refused by the options
    found, shares = members(SPACES["votes"])
    classes = shares.argmax(1)
    one_hot = np.eye(3)[classes]
    of_classes, first = ensembling.fit(method, found, classes, mean)
    of_votes, second = ensembling.fit(method, found, one_hot, mean, space=SPACES["votes"])
    np.testing.assert_allclose(first, second, atol=2e-3)
    np.testing.assert_allclose(of_classes(found), of_votes(found), atol=5e-3)
    assert ensembling.fit_temperature(found.probs[0], classes) == pytest.approx(
        ensembling.fit_temperature(found.probs[0], one_hot), rel=1e-6
    )


def test_stacking_counts_a_clip_by_its_votes():
    """Four raters of a clip are as four clips with a quarter of the weight."""
    found, shares = members(SPACES["votes"], n=60)
    combine, weights = ensembling.fit("stacking", found, shares, space=SPACES["votes"])
    clip, shown = np.nonzero(shares)
    times = np.round(4 * shares[clip, shown]).astype(int)
    inputs = stacking_inputs(found)
    many = LogisticRegression(C=0.05 / 4, max_iter=2000).fit(inputs[np.repeat(clip, times)], np.repeat(shown, times))
    np.testing.assert_allclose(combine(found), many.predict_proba(inputs), atol=1e-3)
    assert weights[2] < weights[:2].min()


def test_a_temperature_undoes_overconfidence_in_shares():
    rng = np.random.default_rng(0)
    true = rng.dirichlet(np.ones(3), 3000)
    shares = np.array([rng.multinomial(5, p) / 5 for p in true])
    t = ensembling.fit_temperature(ensembling.apply_temperature(true, 1 / 3), shares)
    assert t == pytest.approx(3, rel=0.1)


def tables(space, seed=0, split="train", n=N):
    """The members' tables; the clips of votes have the raters' votes."""
    found, targets = members(space, seed, covered=0.95, n=n)
    clips = pd.DataFrame({"clip": [f"{split}{k:03d}" for k in range(n)], "split": split})
    clips["label"] = [space.label(row) for row in targets]
    if space.kind == "votes":
        clips[space.vote_columns] = (4 * targets).round().astype(int).astype(str)
    made = [predictions.table(clips, p, c, space) for p, c in zip(found.probs, found.covered, strict=True)]
    return [one.assign(fold=np.arange(n) % 4) for one in made] if split == "train" else made


def options_of(space):
    every = [{}, {"method": "weighted"}, {"method": "greedy"}, {"method": "greedy", "bags": 5, "top": 2}]
    of_votes = [{"method": "stacking"}, {"method": "weighted", "mean": "geometric", "calibrate": True}]
    return every + (of_votes if space.kind == "votes" else [])


@pytest.mark.slow
def test_the_stage_combines_and_a_file_gives_the_same_answers(space, tmp_path):
    oof, new = tables(space), tables(space, 1, "val", 40)
    names = ["face_a", "audio_b", "fused_c"]
    for kind, made in (("oof", oof), ("new", new), ("seeds", [one.assign(seed=0) for one in new])):
        for name, one in zip(names, made, strict=True):
            predictions.write(one, tmp_path / kind / f"{name}.csv")
    blocks = {f"ensemble_{k}": EnsembleOptions(**options) for k, options in enumerate(options_of(space))}
    written = [{name: tmp_path / f"{kind}_{name}.csv" for name in blocks} for kind in ("p", "o", "s")]
    ensemble.run(
        {"ensembles": {name: block.model_dump() for name, block in blocks.items()}, **in_recipe(space)},
        *({name: tmp_path / kind / f"{name}.csv" for name in names} for kind in ("new", "oof", "seeds")),
        *written, tmp_path / "weights.csv",
    )  # fmt: skip
    weights = pd.read_csv(tmp_path / "weights.csv")
    key = metrics.measures(space)[0].key
    assert list(weights) == [*ensemble.COLUMNS, f"oof_{key}", "oof_loss"]
    assert weights[f"oof_{key}"][0] == pytest.approx(primary.primary_value(metrics.scored(oof[0], space), space))
    expected = losses(oof[0][space.columns].to_numpy(), space.targets(oof[0]), space).mean()
    assert weights["oof_loss"][0] == pytest.approx(expected, abs=1e-6)
    for name, block in blocks.items():
        made = predictions.read(written[0][name])
        fitted = FittedEnsemble(block, oof, space)
        again = Ensemble.from_dict(json.loads(json.dumps(fitted.for_new_clips.to_dict())))
        np.testing.assert_array_equal(again.predict(new)[space.columns], fitted.predict(new)[space.columns])
        np.testing.assert_allclose(made[space.columns], fitted.predict(new)[space.columns], atol=1e-9)
        assert made["pred"].tolist() == space.answers(made[space.columns].to_numpy())
        if block.method == "mean":
            continue  # the bad member counts as much as the others
        of_folds = predictions.read(written[1][name])
        best = max(primary.primary_value(metrics.scored(one, space), space) for one in oof[:2])
        assert primary.primary_value(metrics.scored(of_folds, space), space) > best - 0.05
    np.testing.assert_allclose(
        predictions.read(written[0]["ensemble_0"])[space.columns].iloc[0],
        np.mean([one[space.columns].iloc[0] for one in new if one["covered"][0]], 0), atol=2e-6,
    )  # fmt: skip


def test_the_members_with_the_best_primary_score_are_selected(space):
    oof = tables(space)
    turned = [oof[2], oof[0], oof[1]]
    made = FittedEnsemble(EnsembleOptions(top=2), turned, space)
    assert made.for_new_clips.combination.used == [1, 2]
    assert [row["weight"] for row in made.weights(["bad", "a", "b"])[:3]] == [0, 0.5, 0.5]


def test_the_combination_for_a_fold_does_not_know_its_clips(space):
    oof = tables(space)
    block = EnsembleOptions(method="weighted")
    rng = np.random.default_rng(9)
    labels = oof[0]["label"].to_numpy(copy=True)
    labels[oof[0]["fold"] == 1] = rng.permutation(labels[oof[0]["fold"] == 1])
    changed = [one.assign(label=labels).drop(columns=space.vote_columns, errors="ignore") for one in oof]
    unchanged = [one.drop(columns=space.vote_columns, errors="ignore") for one in oof]
    first, second = (FittedEnsemble(block, each, space).predict(each) for each in (unchanged, changed))
    in_fold = oof[0]["fold"] == 1
    pd.testing.assert_frame_equal(first.loc[in_fold, space.columns], second.loc[in_fold, space.columns])


def test_a_class_without_votes_gets_no_probability():
    space = LabelSpace((*ABC, "drowsy"), "votes")
    oof = [one.assign(votes_drowsy="0", p_drowsy=0.1) for one in tables(SPACES["votes"])]
    made = FittedEnsemble(EnsembleOptions(method="greedy", calibrate=True), oof, space).predict(oof)
    assert (made["p_drowsy"] == 0).all()
    np.testing.assert_allclose(made[space.columns].sum(axis=1), 1)
