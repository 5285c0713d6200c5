"""Ensembles: weights, greedy selection, stacking, temperature; all fitted on out-of-fold predictions only."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from emopipe.core.errors import CacheError
from emopipe.core.labels import CLASSES
from emopipe.fusion.options import EnsembleOptions
from emopipe.fusion.protocol import KFOLD
from emopipe.scoring import ensembling, predictions
from emopipe.scoring.ensembling import (
    MemberPredictions,
    apply_temperature,
    fit,
    fit_temperature,
    weighted_mean,
)
from emopipe.scoring.metrics import log_losses
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


@pytest.mark.slow
@pytest.mark.parametrize("method", ["weighted", "greedy", "stacking"])
def test_labels_of_reported_clips_fit_nothing(method, tmp_path):
    """Other labels of the reported clips give the same predictions."""
    oof, reported = models()
    blocks = {"ensemble": EnsembleOptions(method=method, top=2, calibrate=True)}
    first, weights = run(tmp_path / "a", blocks, oof, reported)
    relabelled = {name: frame.assign(label=frame["label"].to_numpy()[::-1]) for name, frame in reported.items()}
    second, _ = run(tmp_path / "b", blocks, oof, relabelled)
    columns = ["clip", "pred", *predictions.PROBABILITIES]
    pd.testing.assert_frame_equal(first["p", "ensemble"][columns], second["p", "ensemble"][columns])
    by_member = weights.set_index("member")
    assert by_member.loc["audio_c", "weight"] == 0 and by_member.loc["face_a", "weight"] > 0.5
    assert by_member.loc["face_a", "temperature"] != 1 and by_member.loc["audio_c", "temperature"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("method", ["weighted", "greedy", "stacking"])
def test_cross_validated_clips_are_predicted_by_ensembles_of_the_other_folds(method, tmp_path):
    """The labels of a fold do not change the predictions of its own clips, but change those of other folds."""
    oof, _ = models()
    reported = {name: frame.drop(columns="fold").assign(split=KFOLD) for name, frame in oof.items()}
    blocks = {"ensemble": EnsembleOptions(method=method, calibrate=True)}
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
