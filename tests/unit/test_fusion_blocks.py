"""Streams whose vectors consist of blocks, such as all layers of a network: fusion learns one weight for each."""

import numpy as np
import pandas as pd
import pytest
import torch

from emopipe.backbones import hf_audio, registry
from emopipe.backbones.base import Spec, WaveInput
from emopipe.cache.store import Field, Row, Writer
from emopipe.core import tables
from emopipe.core.errors import ConfigError
from emopipe.core.fingerprint import digest
from emopipe.core.labels import CLASSES
from emopipe.fusion.blocks import BlockSum
from emopipe.fusion.data import FusionDataset
from emopipe.fusion.features import Features, load
from emopipe.fusion.inputs import model_inputs
from emopipe.fusion.model import FusionModel
from emopipe.fusion.options import FusionOptions, Protocol
from emopipe.fusion.stack import Run, Stack, own_bytes
from emopipe.fusion.stream_batch import StreamBatch
from emopipe.fusion.training import predict, train
from emopipe.inference.cached import load_features
from emopipe.inference.run_results import FeatureModel
from emopipe.scoring import predictions
from emopipe.stages import fusion

CPU = torch.device("cpu")
L, D, N = 3, 4, 48
MODALITIES = {"f": "face", "v": "audio"}
FAST = {"hidden": 8, "epochs": 20, "lr": 1e-2, "batch": 16, "seeds": [0, 1], "modality_dropout": 0.0}
KEY = "network.blocks.v.logits"


def vectors(rng, lengths, target):
    """Vectors (n, L D) whose block 1 alone shows the class."""
    x = rng.normal(size=(sum(lengths), L, D)).astype("f4")
    x[:, 1, :2] += 1.5 * np.eye(2)[np.repeat(target % 2, lengths)]
    return x.reshape(-1, L * D)


def features_of(x, lengths, blocks):
    length = torch.tensor(lengths)
    time = torch.from_numpy(np.concatenate([0.1 * np.arange(n) for n in lengths]))
    return Features(torch.from_numpy(x), length.cumsum(0) - length, length, time=time, blocks=blocks)


def dataset(options=None, seed=0, double=False):
    """A plain stream, and one of blocks that every sixth clip lacks."""
    rng, target = np.random.default_rng(seed), np.arange(N) % 2
    lengths = [(n % 4 + 1) * (n % 6 != 0) for n in range(N)]
    found = {
        "f": features_of(rng.normal(size=(2 * N, D)).astype("f4"), [2] * N, 1),
        "v": features_of(vectors(rng, lengths, target), lengths, L),
    }
    chosen = options or FusionOptions()
    read = {s: [model_inputs(f, MODALITIES[s], chosen, [""] * N)] for s, f in found.items()}
    data = FusionDataset.from_views(read, MODALITIES, target, CPU)
    if double:  # training amplifies the rounding of sums, whose order depends on the number of networks
        for stream in data.streams.values():
            object.__setattr__(stream, "x", stream.x.double())
            if stream.statistics is not None:
                object.__setattr__(stream, "statistics", stream.statistics.double())
    return data


def run_of(options, seed=0, rows=None):
    return Run(options, seed, np.arange(N) if rows is None else rows, np.arange(0), 2)


# -- the sum ----------------------------------------------------------------------------------------------------------


def test_the_sum_is_that_of_numpy():
    rng = np.random.default_rng(0)
    x, statistics = (torch.from_numpy(rng.normal(size=s)) for s in ((2, 5, L * D), (2, 2 * L * D)))
    module = BlockSum(L).double()
    torch.nn.init.normal_(module.logits)
    w = np.exp(4 * module.logits.detach().numpy())
    w /= w.sum()
    none = x.new_zeros(2, 0)
    found = module(StreamBatch(x, torch.ones(2, 5, dtype=bool), none, statistics, none), D)
    expected = np.einsum("l,btld->btd", w, x.numpy().reshape(2, 5, L, D))
    np.testing.assert_allclose(found.x.detach(), expected, atol=1e-12)
    expected = np.einsum("l,bkld->bkd", w, statistics.numpy().reshape(2, 2, L, D)).reshape(2, -1)
    np.testing.assert_allclose(found.statistics.detach(), expected, atol=1e-12)
    np.testing.assert_allclose(module.weights.detach(), w)
    alone = module(StreamBatch(x, torch.ones(2, 5, dtype=bool), none, none, none), D)
    assert alone.statistics.shape == (2, 0)


def test_its_gradients_are_exact():
    module = BlockSum(L).double()
    x, none = torch.randn(2, 3, L * D, dtype=torch.float64), torch.zeros(2, 0, dtype=torch.float64)

    def summed(logits):
        stream = StreamBatch(x, torch.ones(2, 3, dtype=bool), none, none, none)
        return torch.func.functional_call(module, {"logits": logits}, (stream, D)).x

    assert torch.autograd.gradcheck(summed, torch.randn(L, dtype=torch.float64, requires_grad=True))


# -- models -----------------------------------------------------------------------------------------------------------

SHAPES = [
    {"fusion": "concat", "audio_attention": "transformer"},
    {"fusion": "concat", "audio_attention": "self", "attention_dropout": 0.2},
    {"fusion": "crossmodal", "heads": 2},
    {"fusion": "fbp", "statistics": ["mean", "spread", "maximum"], "audio_attention": "mean"},
]


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_reach_the_weights_of_blocks(shape):
    options = FusionOptions(**{**FAST, **shape})
    data = dataset(options)
    model = FusionModel(data.moments(np.arange(N)), MODALITIES, options, len(CLASSES))
    assert list(model.network.blocks) == ["v"]
    logits = model(data.full_batch(torch.arange(12)))
    torch.nn.functional.cross_entropy(logits, data.targets[:12]).backward()
    grad = model.network.blocks["v"].logits.grad
    assert grad.shape == (L,) and (grad.abs() > 0).all() and abs(float(grad.sum())) < 1e-5  # softmax: they cancel
    weights = model.attention_weights(data.full_batch(torch.arange(12)))
    assert weights["v"].shape == (12, 4) and weights["v"][0].sum() == 0


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_networks_with_blocks_train_together_as_alone(shape):
    options = FusionOptions(**{**FAST, **shape, "epochs": 3})
    data = dataset(options, double=True)
    runs = [run_of(options, seed, rows) for rows in (np.arange(30), np.arange(10, N)) for seed in (0, 1)]
    together = train(data, runs)
    for number in (0, 3):
        alone = train(data, [runs[number]])[0]
        for key, value in alone.state.items():
            torch.testing.assert_close(together[number].state[key], value, atol=1e-8, rtol=1e-6)
    assert not torch.equal(together[0].state[KEY], together[1].state[KEY])


@pytest.mark.slow
def test_the_block_that_shows_the_class_gets_the_largest_weight():
    options = FusionOptions(**FAST)
    state = train(dataset(options), [run_of(options)])[0].state
    module = BlockSum(L)
    module.load_state_dict({"logits": state[KEY]})
    assert module.weights.argmax() == 1 and module.weights[1] > 0.5


def test_a_stream_without_blocks_has_no_weights():
    data = dataset()
    for features in data.streams.values():
        object.__setattr__(features, "blocks", 1)
    state = Stack.init(data, [run_of(FusionOptions(**FAST))], 1).states()[0]
    assert not [key for key in state if ".blocks." in key]


def test_memory_counts_the_sum_that_each_network_has():
    """16 clips of up to 4 vectors: their sums of D float32, and the gradients of these."""
    assert own_bytes(dataset(), 16, FusionOptions(**FAST)) == 16 * 4 * D * 4 * 2


# -- the stage, finished runs and specs -------------------------------------------------------------------------------


def feature_file(path, table, blocks):
    rng = np.random.default_rng(0)
    fields = {"x": Field("f4", (L * D,)), "time": Field("f8"), "mask": Field("?"), "fold": Field("i4")}
    with Writer(path, fields, stage="merge", recipe={}) as writer:
        for number, clip in enumerate(table["clip"]):
            x = vectors(rng, [3], np.array([number]))
            arrays = {"x": x, "time": 0.1 * np.arange(3), "mask": np.ones(3, bool), "fold": np.zeros(1, "i4")}
            writer.add(Row(clip, "d", "ok", "", arrays))
        writer.note(blocks=blocks)
    return path


@pytest.mark.slow
def test_a_run_learns_weights_of_layers_and_predicts_from_features(tmp_path):
    numbers = np.arange(36)
    table = pd.DataFrame(
        {
            "clip": [f"c{i:02d}" for i in numbers],
            "split": np.where(numbers % 3 < 2, "train", "val"),
            "label": [CLASSES[i % 2] for i in numbers],
            "subject": [f"s{i % 3}" for i in numbers],
        }
    )
    tables.write(table.astype(str), tmp_path / "clips.csv")
    for name in ("models", "oof"):
        (tmp_path / name).mkdir()
    outputs = {n: tmp_path / f"{n}.csv" for n in ("predictions", "seeds", "candidates")} | {
        "model": tmp_path / "models/audio_m.safetensors", "oof": tmp_path / "oof/audio_m.csv",
        "attention": tmp_path / "a.h5",
    }  # fmt: skip
    options = FusionOptions(statistics=["mean", "spread"], normalise="subject", **FAST)
    recipe = {"options": options.model_dump(), "streams": {"v": "audio"}, "protocol": Protocol(folds=3).model_dump()}
    recipe["features"] = {"v": digest({})}
    made = feature_file(tmp_path / "v.h5", table, L)
    fusion.run(recipe, tmp_path / "clips.csv", {"v": made}, outputs, device="cpu", threads=1)
    reported = predictions.read(tmp_path / "predictions.csv").set_index("clip")
    features = load_features(made)
    assert (features.blocks, features.dim) == (L, L * D)
    people = dict(zip(table["clip"], table["subject"], strict=True))
    found = FeatureModel(tmp_path, "audio_m").predict({"v": features}, subjects=people).set_index("clip")
    columns = [f"p_{name}" for name in CLASSES]
    np.testing.assert_allclose(found.loc[reported.index, columns], reported[columns], atol=1e-5)


def test_features_have_the_blocks_of_their_file(tmp_path):
    table = pd.DataFrame({"clip": ["a", "b"]})
    assert load(feature_file(tmp_path / "v.h5", table, L), ["a", "b"]).blocks == L


def test_the_probabilities_depend_on_the_weights_of_blocks():
    options = FusionOptions(**{**FAST, "epochs": 2})
    data = dataset(options)
    network = train(data, [run_of(options)])[0]
    rows = np.flatnonzero(np.arange(N) % 6)
    before = predict(data, [network], [rows])[0]
    network.state[KEY] += torch.tensor([5.0, 0.0, 0.0])
    assert np.abs(predict(data, [network], [rows])[0] - before).max() > 1e-3


@pytest.mark.parametrize(("kind", "dim", "blocks"), [("hf", 7, 2), ("hf", 4, 0), ("audio_alexnet", 4, 2)])
def test_a_spec_with_unfit_blocks_is_refused(monkeypatch, kind, dim, blocks):
    module = hf_audio if kind == "hf" else registry._module(kind)
    made = Spec("audio", WaveInput(16_000), dim, "MIT", "none", blocks=blocks)
    monkeypatch.setattr(module, "spec", lambda options: made)
    with pytest.raises(ConfigError, match=rf"vectors of {dim} numbers in {blocks} blocks"):
        registry.spec(kind, None)
