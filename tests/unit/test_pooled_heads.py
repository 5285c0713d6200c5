"""Products and means of heads: the maths, what is fitted on which clips, the saved model, baselines, and streams."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emopipe.cache import tensors as tensor_files
from emopipe.cache.store import Reader, Row, Writer
from emopipe.core import tables
from emopipe.core.errors import ConfigError
from emopipe.core.fingerprint import digest
from emopipe.core.labels import CLASSES
from emopipe.fusion import pooled_heads, product
from emopipe.fusion.features import Features, load
from emopipe.fusion.options import FusionOptions
from emopipe.fusion.product import Heads
from emopipe.fusion.protocol import ProtocolSplit
from emopipe.inference.fusion_predictor import FusionPredictor
from emopipe.report import comparisons, streams, writing
from emopipe.report.results import Model, Results
from emopipe.scoring import predictions
from emopipe.stages import features, fusion
from emopipe.workflow import config as configs
from emopipe.workflow.plan import Plan

UNIFORM = np.full(7, 1 / 7)


def drawn(n, seed=0, exponents=(1.7, 0.5), n_streams=2):
    """Heads of clips, and classes that the product with these exponents gives them."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n_streams, n, 7))
    logp = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    heads = Heads(logp, np.ones((n_streams, n), bool), rng.dirichlet(np.full(7, 5.0), n_streams))
    p = product.product(heads, np.asarray(exponents), UNIFORM)
    return heads, np.array([rng.choice(7, p=row) for row in p])


# --- the maths


def test_the_product_is_the_formula_with_the_prior_once():
    heads, _ = drawn(5)
    prior = np.random.default_rng(1).dirichlet(np.ones(7))
    expected = prior * np.prod([(np.exp(heads.logp[s]) / heads.priors[s]) ** e for s, e in enumerate((2.0, 0.5))], 0)
    found = product.product(heads, np.array([2.0, 0.5]), prior)
    np.testing.assert_allclose(found, expected / expected.sum(1, keepdims=True), rtol=1e-9)


@given(seed=st.integers(0, 1000), order=st.permutations(range(3)))
def test_the_order_of_streams_changes_nothing(seed, order):
    heads, _ = drawn(4, seed, (1.0, 0.5, 2.0), 3)
    other = Heads(heads.logp[order], heads.present[order], heads.priors[order])
    exponents = np.array([1.0, 0.5, 2.0])
    found = product.product(heads, exponents, UNIFORM)
    np.testing.assert_allclose(product.product(other, exponents[order], UNIFORM), found)
    np.testing.assert_allclose(product.mean(other, UNIFORM), product.mean(heads, UNIFORM))


@given(seed=st.integers(0, 1000), missing=st.integers(0, 2))
def test_a_missing_stream_is_omitted_and_what_it_holds_does_not_matter(seed, missing):
    heads, _ = drawn(4, seed, (1.0, 0.5, 2.0), 3)
    present = heads.present.copy()
    present[missing] = False
    rest = [s for s in range(3) if s != missing]
    without = Heads(heads.logp[rest], heads.present[rest], heads.priors[rest])
    exponents = np.array([1.0, 0.5, 2.0])
    absent = Heads(heads.logp, present, heads.priors)
    found = product.product(absent, exponents, UNIFORM)
    np.testing.assert_allclose(found, product.product(without, exponents[rest], UNIFORM))
    np.testing.assert_allclose(product.mean(absent, UNIFORM), product.mean(without, UNIFORM))


def test_no_stream_gives_the_prior_and_a_silent_one_changes_nothing():
    heads, _ = drawn(3)
    prior = np.random.default_rng(2).dirichlet(np.ones(7))
    nobody = Heads(heads.logp, np.zeros((2, 3), bool), heads.priors)
    for found in (product.product(nobody, np.ones(2), prior), product.mean(nobody, prior)):
        np.testing.assert_allclose(found, np.tile(prior, (3, 1)))
    silent = Heads(np.stack([heads.logp[0], np.tile(np.log(heads.priors[1]), (3, 1))]), heads.present, heads.priors)
    alone = Heads(heads.logp[:1], heads.present[:1], heads.priors[:1])
    found = product.product(silent, np.array([1.0, 3.0]), prior)
    np.testing.assert_allclose(found, product.product(alone, np.ones(1), prior))


def test_equal_heads_with_half_exponents_are_one_head_and_its_mean():
    heads, _ = drawn(4)
    twice = Heads(np.stack([heads.logp[0]] * 2), heads.present, np.tile(UNIFORM, (2, 1)))
    np.testing.assert_allclose(product.product(twice, np.full(2, 0.5), UNIFORM), np.exp(heads.logp[0]))
    np.testing.assert_allclose(product.mean(twice, UNIFORM), np.exp(heads.logp[0]))


def test_classes_without_a_training_clip_get_none_and_those_a_head_does_not_know_no_evidence():
    heads, _ = drawn(6)
    prior = np.array([0.5, 0.5, 0, 0, 0, 0, 0])
    for found in (product.product(heads, np.ones(2), prior), product.mean(heads, prior)):
        assert (found[:, 2:] == 0).all() and found.sum(1) == pytest.approx(1)
    priors = np.where(np.arange(7) == 3, 0, heads.priors)
    logp = np.where(np.arange(7) == 3, np.log(1e-9), heads.logp)
    assert (Heads(logp, heads.present, priors).evidence[..., 3] == 0).all()


def test_frames_are_pooled_by_clip():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(7), 6)
    length = np.array([2, 0, 4])
    found = product.over_frames(np.log(p), length, "mean_p")
    np.testing.assert_allclose(np.exp(found), [p[:2].mean(0), UNIFORM, p[2:].mean(0)])
    geometric = np.exp(np.log(p[2:]).mean(0))
    found = product.over_frames(np.log(p), length, "mean_logp")
    np.testing.assert_allclose(np.exp(found[2]), geometric / geometric.sum())
    np.testing.assert_allclose(np.exp(product.over_views([np.log(p[:1]), np.log(p[1:2])])), p[:2].mean(0)[None])


@pytest.mark.slow
def test_the_fit_recovers_exponents_and_the_prior():
    heads, targets = drawn(20_000)
    exponents, prior = product.fit(heads, UNIFORM, targets)
    np.testing.assert_allclose(exponents, [1.7, 0.5], rtol=0.06)
    np.testing.assert_allclose(prior, UNIFORM, rtol=0.12)


@pytest.mark.slow
def test_a_wrong_prior_of_a_stream_is_mended_by_the_fitted_one():
    heads, targets = drawn(20_000)
    wrong = Heads(heads.logp, heads.present, np.stack([np.roll(heads.priors[0], 3), heads.priors[1]]))
    found = [product.product(h, *product.fit(h, UNIFORM, targets)) for h in (heads, wrong)]
    np.testing.assert_allclose(*found, atol=0.05)


def test_the_fit_is_where_the_penalized_likelihood_is_highest():
    heads, targets = drawn(200)
    prior = product.class_shares(targets, np.ones(7, bool))
    exponents, fitted = product.fit(heads, prior, targets)
    best = np.concatenate([np.log(exponents), np.log(fitted / prior)])
    best[2:] -= best[2:].mean()  # a factor common to all classes changes nothing but the penalty

    def loss(x):
        p = product.product(heads, np.exp(x[:2]), prior * np.exp(x[2:]))[np.arange(200), targets]
        return -np.log(p).sum() + (x**2).sum() / 2

    for number, step in itertools.product(range(9), (-0.03, 0.03)):
        assert loss(best + step * (np.arange(9) == number)) > loss(best)


def test_a_stream_that_is_always_correct_gets_a_finite_exponent():
    heads, targets = drawn(500)
    sure = np.full((500, 7), np.log(0.02 / 6))
    sure[np.arange(500), targets] = np.log(0.98)
    found, _ = product.fit(Heads(np.stack([sure, heads.logp[1]]), heads.present, heads.priors), UNIFORM, targets)
    assert 1 < found[0] < 10


# --- models


OPTIONS = FusionOptions(fusion="product", seeds=[0])


@pytest.mark.slow
def test_a_fold_is_never_seen_by_what_predicts_it():
    heads, targets = drawn(60)
    split = ProtocolSplit(np.arange(50), np.arange(50) % 5, np.arange(50, 60), cross_validated=False, by="class")
    everything = {"streams": ["a", "b"], "split": split, "options": OPTIONS, "classes": np.ones(7, bool)}
    before = pooled_heads.fit_and_predict(heads, targets=targets, **everything)
    changed = np.where((np.arange(60) % 5 == 2) & (np.arange(60) < 50), (targets + 1) % 7, targets)
    after = pooled_heads.fit_and_predict(heads, targets=changed, **everything)
    fold = split.fold == 2
    np.testing.assert_array_equal(before.oof_probs[0, fold], after.oof_probs[0, fold])
    assert not np.allclose(before.oof_probs[0, ~fold], after.oof_probs[0, ~fold])
    assert not np.allclose(before.predict_probs, after.predict_probs)
    assert list(before.networks) == ["seed0"]
    assert (
        before.candidates.loc[0, ["exponent_a", "exponent_b"]].tolist() == before.networks["seed0"].exponents.tolist()
    )


def write_features(path, clips, rng, prior):
    """Vectors and log-probabilities of three frames for each clip, of which the second is masked; none of clip 3."""
    recipe = {"stage": "merge", "of": path.stem}
    with Writer(path, features.fields(4, has_head=True), stage="merge", recipe=recipe) as writer:
        for number, clip in enumerate(clips):
            mask = np.array([True, False, True])
            x, logp = rng.normal(size=(3, 4)), np.log(rng.dirichlet(np.ones(7), 3))
            x[1] = logp[1] = np.nan
            arrays = {"x": x, "logp": logp, "mask": mask, "time": np.arange(3.0), "fold": np.array([-1])}
            writer.add(Row(clip, "", "ok", "", {} if number == 3 and path.stem == "face" else arrays))
        writer.note(head_prior=json.dumps(prior.tolist()))
    return digest(recipe)


@pytest.fixture
def clips(tmp_path):
    names = [f"c{n:02d}" for n in range(30)]
    table = pd.DataFrame({"clip": names, "path": names, "subject": "", "digest": "d"})
    table["split"] = np.where(np.arange(30) < 20, "train", "val")
    table["label"] = [CLASSES[n % 3] for n in range(30)]
    tables.write(table, tmp_path / "clips.csv")
    return table


def ran(tmp_path, kind, protocol):
    """The files of the fusion stage for a pool of two streams, and the folder of the run."""
    rng = np.random.default_rng(0)
    prior = rng.dirichlet(np.full(7, 9.0))
    files = {name: tmp_path / f"{name}.h5" for name in ("face", "voice")}
    made = {name: write_features(path, [f"c{n:02d}" for n in range(30)], rng, prior) for name, path in files.items()}
    options = FusionOptions(fusion=kind).model_dump()
    recipe = {"stage": "fusion", "streams": {"face": "face", "voice": "audio"}, "options": options, "features": made}
    recipe["protocol"] = {"kind": protocol, "folds": 4}
    folder = tmp_path / "results"
    outputs = {name: folder / name / "heads.csv" for name in ("predictions", "oof", "seeds")}
    outputs |= {"candidates": folder / "models/heads.csv", "model": folder / "models/heads.safetensors"}
    outputs["attention"] = folder / "attention/heads.h5"
    fusion.run(recipe, tmp_path / "clips.csv", files, outputs, device="cpu", threads=1)
    return outputs, files, folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["product", "product_untrained", "mean_of_heads"])
def test_the_stage_writes_a_model_that_answers_as_the_run_did(tmp_path, clips, kind):
    outputs, files, folder = ran(tmp_path, kind, "given")
    # 1. one seed, no probability for classes without a training clip, and a fold for each training clip
    found, oof = predictions.read(outputs["predictions"]), predictions.read(outputs["oof"])
    assert len(found) == 10 and len(oof) == 20 and predictions.read(outputs["seeds"])["seed"].unique().tolist() == [0]
    assert (found[["p_Happy", "p_Neutral", "p_Sad", "p_Surprise"]] == 0).all(axis=None)
    assert oof["covered"].all() and sorted(oof["fold"].unique()) == [0, 1, 2, 3]
    exponents = pd.read_csv(outputs["candidates"])[["exponent_face", "exponent_voice"]].to_numpy()[0]
    assert (exponents == 1).all() == (kind != "product")
    with Reader(outputs["attention"]) as attention:
        assert attention.clips == []
    # 2. the saved model gives the same answers from the same features
    loaded = {name: load(path, found["clip"].tolist()) for name, path in files.items()}
    again = FusionPredictor(folder, "heads", torch.device("cpu")).predict(
        found[["clip", "split", "label"]].assign(subject=""), loaded
    )
    pd.testing.assert_frame_equal(again, found)
    # 3. clip c03 has a voice alone, and the answer is that of the voice's mean vector
    assert load(files["face"], ["c03"]).length.tolist() == [0]


@pytest.mark.slow
def test_in_a_cross_validation_each_fold_has_a_pool_of_its_own(tmp_path, clips):
    outputs, *_ = ran(tmp_path, "product", "kfold")
    assert len(predictions.read(outputs["predictions"])) == 30
    tensors, _ = tensor_files.read(outputs["model"], sealed=True)
    exponents = [tensors[f"seed0.fold{fold}.pool.exponents"].tolist() for fold in range(4)]
    assert len({tuple(of_fold) for of_fold in exponents}) == 4


def test_a_stream_without_a_head_is_refused():
    bare = Features(torch.zeros(2, 4), torch.tensor([0, 1]), torch.tensor([1, 1]))
    with pytest.raises(ConfigError, match="fusion is product, which needs networks with an emotion head, but net has"):
        pooled_heads.read_heads({"net": [bare]}, {"net": "face"}, OPTIONS, 2)


def test_there_is_nothing_to_search():
    with pytest.raises(ValueError, match="has no option to search"):
        FusionOptions(fusion="product", search={"lr": [0.1]})


# --- planning


CONFIG = {
    "run": "r",
    "corpus_root": "nowhere",
    "corpus": {"name": "c", "kind": "folder"},
    "decode": {"sparse": {"policy": "count", "count": 4}},
    "faces": {"main": {"detector": "mtcnn"}},
    "backbones": {
        "face": {"kind": "expression", "weights": "expression"},
        "voice": {"kind": "speech", "weights": "speech_logmel"},
        "resnet": {"kind": "resnet18", "pretrain": {"folds": 2}},
        "unused": {"kind": "resnet18", "pretrain": {"folds": 2}},
    },
    "models": {"face_a": {"streams": ["face"]}, "fused_b": {"streams": ["voice", "resnet"]}},
}
TABLE = pd.DataFrame(
    {"clip": ["a", "b"], "path": ["a.mp4", "b.mp4"], "split": ["train", "val"], "label": ["Happy", "Sad"],
     "subject": ["1", "2"], "digest": ["d1", "d2"]}
)  # fmt: skip
BASELINES = ["heads_product", "heads_product_untrained", "heads_mean"]


def plan(**keys):
    return Plan(configs.parse(CONFIG | keys), TABLE, Path(__file__).parents[2] / "workflow_scripts")


@pytest.mark.slow
def test_a_run_with_several_heads_gets_the_baselines():
    made = plan()
    assert list(made.models) == ["face_a", "fused_b", *BASELINES]
    assert made.fusion("heads_product")["streams"] == {"face": "face", "voice": "audio", "resnet": "face"}
    assert made.fusion("heads_mean")["options"]["fusion"] == "mean_of_heads"
    assert made.ensembles["ensemble"].members == ["face_a", "fused_b"]
    assert list(made.report()["heads"]) == ["face", "voice", "resnet", "unused"]


def test_baselines_are_switched_off_and_need_two_heads():
    assert list(plan(baselines=False).models) == ["face_a", "fused_b"]
    assert list(plan(models={"face_a": {"streams": ["face"]}}).models) == ["face_a"]


def test_ensembles_and_comparisons_may_name_baselines():
    named = {"ensembles": {"ensemble_all": {"members": ["face_a", "heads_product"]}}}
    named["comparisons"] = [{"model": "fused_b", "against": "heads_mean"}]
    assert plan(**named).ensembles["ensemble_all"].members == ["face_a", "heads_product"]
    with pytest.raises(ConfigError, match="heads_mean"):
        plan(baselines=False, comparisons=named["comparisons"])


def test_a_product_of_a_network_without_a_head_is_refused_at_planning(tmp_path):
    torch.save({}, tmp_path / "published.pth")
    nets = CONFIG["backbones"] | {"bare": {"kind": "resnet18", "weights": str(tmp_path / "published.pth")}}
    models = {"fused_c": {"streams": ["voice", "bare"], "fusion": "product"}}
    with pytest.raises(ConfigError, match=r"models\.fused_c\.fusion is product, .* but bare has none"):
        plan(backbones=nets, models=models).check_weights()


# --- the report


def answers(path, clips, correct):
    """Features whose head answers the labels of clips, or the next class where `correct` is false."""
    with Writer(path, features.fields(2, has_head=True), stage="merge", recipe={}) as writer:
        for clip, label, hit in zip(clips["clip"], clips["label"], correct, strict=True):
            logp = np.full((2, 7), np.log(0.02))
            logp[:, (CLASSES.index(label) + (not hit)) % 7] = np.log(0.88)
            arrays = {"x": np.zeros((2, 2)), "logp": logp, "mask": np.array([True, False]), "time": np.arange(2.0)}
            writer.add(Row(clip, "", "ok", "", arrays))
        writer.note(head_prior="")


def people(n):
    """Clips of n people in train and n in val, ten of each."""
    names = [f"c{number}" for number in range(20 * n)]
    table = pd.DataFrame({"clip": names, "label": [CLASSES[number % 7] for number in range(20 * n)]})
    table["subject"] = [f"s{number // 10}" for number in range(20 * n)]
    return table.assign(split=np.where(np.arange(20 * n) < 10 * n, "train", "val"))


@pytest.mark.parametrize(("n", "test"), [(3, streams.BY_CLIP), (8, streams.BY_GROUP)])
def test_a_stream_that_is_better_on_training_clips_is_reported(tmp_path, n, test):
    clips, rng = people(n), np.random.default_rng(0)
    is_train = (clips["split"] == "train").to_numpy()
    answers(tmp_path / "voice.h5", clips, is_train | (rng.random(len(clips)) < 0.6))
    answers(tmp_path / "face.h5", clips, rng.random(len(clips)) < 0.6)
    files = {name: tmp_path / f"{name}.h5" for name in ("face", "voice")}
    found = streams.table(files, {"face": "face", "voice": "audio"}, clips)
    assert list(found.columns) == streams.COLUMNS and found["n"].tolist() == [10 * n] * 4
    voice = found[found["stream"] == "voice"].set_index("split")
    assert voice.loc["train", "accuracy"] == 1 and voice.loc["val", "test"] == test
    assert found["over_trusted"].fillna(0).tolist() == [0, 0, 0, 1]
    (said,) = streams.sentences(found)
    assert said.startswith("Fusion over-trusts voice: its own head is correct on 100.0% of the training clips, but on")
    text = writing.markdown("streams", found, {"run": "r"})
    assert "| voice | train | " in text and "| yes |" in text and said in text


def model_of(name, correct, labels):
    """A model of the report that is correct on these val clips."""
    probs = np.full((len(labels), 7), 0.05)
    probs[np.arange(len(labels)), np.where(correct, labels, (labels + 1) % 7)] = 0.7
    clips = pd.DataFrame({"clip": range(len(labels)), "split": "val", "label": np.array(CLASSES)[labels]})
    made = predictions.table(clips.astype(str), probs, np.ones(len(labels), bool))
    return Model(name, made, made.assign(fold=0), made.assign(seed=0), combines=name == "ensemble")


def test_fused_models_and_ensembles_are_compared_with_the_product_and_it_is_no_single_model():
    labels, order = np.arange(100) % 7, np.arange(100)
    shares = {"face_a": 30, "fused_b": 40, "heads_product": 60, "heads_mean": 50, "ensemble": 55}
    made = Results({name: model_of(name, order < n, labels) for name, n in shares.items()}, {})
    assert made.best_out_of_fold("") == "fused_b" and made.best_in_hindsight("val") == "heads_product"
    found = comparisons.table(made, []).set_index(["model", "against"])["difference"]
    assert found[("fused_b", "heads_product")] == pytest.approx(-20)
    assert found[("ensemble", "heads_product")] == pytest.approx(-5)
    assert found[("fused_b", "face_a")] == pytest.approx(10) and ("heads_mean", "heads_product") not in found.index
