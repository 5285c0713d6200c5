"""Heads of other classes than those of the run: what they say, pools of them, and fits on votes."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from emopipe.cache.store import Field, Row, Writer
from emopipe.core.errors import ConfigError
from emopipe.core.fingerprint import digest
from emopipe.core.labels import BASIC7, CLASSES, LabelSpace
from emopipe.fusion import head_classes, pooled_heads, product
from emopipe.fusion.features import ClipFeatures, Features, concatenate, load
from emopipe.fusion.inputs import head_evidence, model_inputs
from emopipe.fusion.options import FusionOptions
from emopipe.fusion.product import Heads
from emopipe.fusion.protocol import ProtocolSplit

SPACE = LabelSpace(("Happy", "Sad", "bored"))
HAPPY, SAD = CLASSES.index("Happy"), CLASSES.index("Sad")
PRIOR = (0.1, 0.1, 0.1, 0.3, 0.2, 0.15, 0.05)
POOL = FusionOptions(fusion="product", seeds=[0])


def features(n: int = 5, prior: tuple[float, ...] = PRIOR, classes: tuple[str, ...] = CLASSES) -> Features:
    """Clips of one to three frames, and one without any; log-probabilities of a head."""
    rng = np.random.default_rng(0)
    logp = [np.log(rng.dirichlet(np.ones(len(classes)), 0 if i == 1 else 1 + i % 3)).astype("f4") for i in range(n)]
    clips = [ClipFeatures(rng.normal(size=(len(p), 4)), np.ones(len(p), bool), np.arange(len(p)), p) for p in logp]
    return dataclasses.replace(Features.from_clips(clips), prior=prior, head_classes=classes)


def pooled(given: Features) -> np.ndarray:
    """The mean probabilities (N, C) of the frames of each clip that has some."""
    parts = np.split(np.exp(given.logp.double().numpy()), given.length.cumsum(0)[:-1])
    return np.stack([p.mean(0) if len(p) else np.full(p.shape[1], np.nan) for p in parts])


def test_evidence_is_about_the_shared_classes_and_zero_for_the_rest() -> None:
    given = features()
    found = head_evidence(given, "face", FusionOptions(), SPACE).numpy()
    shared = pooled(given)[:, [HAPPY, SAD]]
    expected = np.log(shared / shared.sum(1, keepdims=True)) - np.log(np.array([0.3, 0.15]) / 0.45)
    there = given.present.numpy()
    np.testing.assert_allclose(found[there, :2], expected[there], rtol=1e-4)
    assert (found[:, 2] == 0).all() and (found[~there] == 0).all() and found.shape == (5, 3)
    read = model_inputs(given, "face", FusionOptions(face_inputs=["vectors", "evidence"]), [""] * 5, SPACE)
    np.testing.assert_array_equal(read.evidence, found)


def test_of_the_same_classes_nothing_changes_to_the_last_bit() -> None:
    given, rng = features(), np.random.default_rng(1)
    logp = np.log(rng.dirichlet(np.ones(7), 9))
    found, prior = head_classes.of_clips(logp, given, BASIC7)
    assert found.tobytes() == logp.tobytes() and prior.tobytes() == np.array(PRIOR).tobytes()
    _, equal = head_classes.of_clips(logp, dataclasses.replace(given, prior=()), BASIC7)
    assert equal.tobytes() == np.full(7, 1 / 7).tobytes()
    # in another order, they are the same numbers in that order
    turned = LabelSpace(CLASSES[::-1])
    found, prior = head_classes.of_clips(logp, given, turned)
    np.testing.assert_allclose(found, logp[:, ::-1], rtol=1e-12)
    np.testing.assert_allclose(prior, PRIOR[::-1], rtol=1e-12)


def test_a_head_of_other_classes_than_the_seven_serves_by_its_own_names() -> None:
    given = features(prior=(0.5, 0.25, 0.25), classes=("bored", "Sad", "calm"))
    found = head_evidence(given, "face", FusionOptions(), SPACE).numpy()[given.present.numpy()]
    p = pooled(given)[given.present.numpy()][:, [1, 0]]
    expected = np.log(p / p.sum(1, keepdims=True)) - np.log([1 / 3, 2 / 3])
    np.testing.assert_allclose(found[:, 1:], expected, rtol=1e-4, atol=1e-6)
    assert (found[:, 0] == 0).all()


@pytest.mark.parametrize("fusion", ["product", "product_untrained", "mean_of_heads"])
def test_pools_answer_in_the_classes_of_the_run(fusion: str) -> None:
    given, options = features(), FusionOptions(fusion=fusion, seeds=[0])
    heads = pooled_heads.read_heads({"a": [given, given]}, {"a": "face"}, options, 5, SPACE)
    assert heads.logp.shape == (1, 5, 3) and heads.priors.shape == (1, 3)
    np.testing.assert_allclose(heads.priors[0], [2 / 3, 1 / 3, 0])
    prior = np.array([0.25, 0.25, 0.5])
    pool = pooled_heads.PooledHeads(options, np.ones(1), prior, heads.priors)
    p = pool.predict(heads)
    np.testing.assert_allclose(p.sum(1), 1)
    np.testing.assert_allclose(p[1], prior)  # the clip without vectors
    shared = pooled(given)[:, [HAPPY, SAD]]
    shared /= shared.sum(1, keepdims=True)
    weight = shared / [2 / 3, 1 / 3] * prior[:2] if fusion != "mean_of_heads" else shared
    expected = np.column_stack([weight, np.full(5, 0.0 if fusion == "mean_of_heads" else 0.5)])
    there = given.present.numpy()
    np.testing.assert_allclose(p[there], (expected / expected.sum(1, keepdims=True))[there], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("space", "why"),
    [
        (LabelSpace(("Happy", "bored")), r"of which labels has Happy; at least 2 are needed"),
        (LabelSpace(("Happy", "Sad"), "multi"), "labels has the kind multi"),
        (LabelSpace(("valence", "arousal"), "dimensions"), "labels has the kind dimensions"),
    ],
)
def test_a_head_that_cannot_answer_is_refused(space: LabelSpace, why: str) -> None:
    with pytest.raises(ConfigError, match=f"An emotion head .*{why}.*Remove evidence, product"):
        pooled_heads.read_heads({"a": [features()]}, {"a": "face"}, POOL, 5, space)
    with pytest.raises(ConfigError, match=why):
        model_inputs(features(), "face", FusionOptions(face_inputs=["vectors", "evidence"]), [""] * 5, space)
    read = model_inputs(features(), "face", FusionOptions(face_inputs=["logp"]), [""] * 5, space)
    assert read.x.shape[1] == 7  # the raw answers stay allowed as vectors


@pytest.mark.parametrize("named", [True, False])
def test_a_file_of_features_names_the_classes_of_its_head(tmp_path: Path, named: bool) -> None:
    classes = ("Happy", "bored") if named else CLASSES
    fields = {"x": Field("f4", (2,)), "time": Field("f8"), "mask": Field("?"), "logp": Field("f4", (len(classes),))}
    with Writer(tmp_path / "net.h5", fields, stage="merge", recipe={}) as writer:
        arrays = {"x": np.ones((1, 2)), "time": np.zeros(1), "mask": np.ones(1, bool)}
        writer.add(Row("a", "", "ok", "", {**arrays, "logp": np.log(np.full((1, len(classes)), 1 / len(classes)))}))
        writer.note(**({"head_classes": json.dumps(classes)} if named else {}))
    found = load(tmp_path / "net.h5", ["a"], digest({}))
    assert found.head_classes == classes and found.logp.shape == (1, len(classes))
    assert concatenate([found, found]).head_classes == classes and found.to(torch.device("cpu")).head_classes == classes


# -- pools that are fitted on votes ------------------------------------------------------------------------------------


def drawn(n: int) -> tuple[Heads, np.ndarray]:
    """Heads of clips, and the probabilities (n, 7) that the product with the exponents 1.7 and 0.5 gives."""
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(2, n, 7))
    logp = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    heads = Heads(logp, np.ones((2, n), bool), rng.dirichlet(np.full(7, 5.0), 2))
    return heads, product.product(heads, np.array([1.7, 0.5]), np.full(7, 1 / 7))


def test_a_fit_on_votes_finds_what_made_their_shares() -> None:
    heads, shares = drawn(1000)
    exponents, prior = product.fit(heads, np.full(7, 1 / 7), shares)
    np.testing.assert_allclose(exponents, [1.7, 0.5], rtol=0.02)
    np.testing.assert_allclose(prior, np.full(7, 1 / 7), rtol=0.03)


def test_a_fit_on_votes_that_all_agree_is_the_fit_on_classes() -> None:
    heads, shares = drawn(300)
    targets = shares.argmax(1)
    given = product.class_shares(targets, np.arange(7) != 9)
    votes = np.eye(7)[targets]
    np.testing.assert_array_equal(product.class_shares(votes, np.ones(7, bool)), given)
    for found, expected in zip(product.fit(heads, given, votes), product.fit(heads, given, targets), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    # a class without votes has the prior 0, whose logarithm is minus infinity
    few = shares * (np.arange(7) != 3)
    few /= few.sum(1, keepdims=True)
    exponents, prior = product.fit(heads, product.class_shares(few, np.arange(7) != 3), few)
    assert np.isfinite(exponents).all() and prior[3] == 0 and prior.sum() == pytest.approx(1)


@pytest.mark.slow
def test_pools_are_fitted_on_votes_out_of_fold() -> None:
    heads, shares = drawn(60)
    split = ProtocolSplit(np.arange(50), np.arange(50) % 5, np.arange(50, 60), cross_validated=False, by="class")
    shares[50:] = np.nan
    space = LabelSpace(CLASSES, "votes")
    found = pooled_heads.fit_and_predict(heads, ["a", "b"], shares, split, POOL, np.ones(7, bool), space)
    row = found.candidates.iloc[0]
    p = found.oof_probs[0]
    assert row["oof_loss"] == pytest.approx(-(shares[:50] * np.log(p)).sum(1).mean())
    assert row["oof_accuracy"] == (p.argmax(1) == shares[:50].argmax(1)).mean()
    assert found.predict_probs.shape == (1, 10, 7) and list(found.networks) == ["seed0"]
