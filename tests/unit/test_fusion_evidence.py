"""Models that add what heads say of a clip to their logits (`face_inputs`, `audio_inputs`: evidence)."""

import numpy as np
import pytest
import torch

from emopipe.core.errors import ConfigError
from emopipe.core.labels import CLASSES
from emopipe.fusion.checks import check_model
from emopipe.fusion.data import FusionDataset
from emopipe.fusion.features import ClipFeatures, Features
from emopipe.fusion.inputs import model_inputs
from emopipe.fusion.model import Evidence, FusionModel
from emopipe.fusion.options import FusionOptions, candidates, effective_options
from emopipe.fusion.stack import Run
from emopipe.fusion.stream_batch import StreamBatch
from emopipe.fusion.training import predict, train

K, N = len(CLASSES), 60
OPTIONS = {"audio_inputs": ["evidence"], "hidden": 8, "epochs": 30, "lr": 1e-2, "batch": 16, "seeds": [0]}
STREAMS = {"face": "face", "voice": "audio"}
PRIOR = np.array([0.1, 0.1, 0.1, 0.3, 0.2, 0.1, 0.1])


def features(logp, prior=()):
    """Clips (T, K) of log-probabilities; vectors are noise."""
    rng = np.random.default_rng(0)
    clips = [
        ClipFeatures(rng.normal(size=(len(p), 4)), np.ones(len(p), bool), np.arange(len(p)) * 0.1, p) for p in logp
    ]
    found = Features.from_clips(clips)
    return Features(found.x, found.start, found.length, found.logp, found.time, tuple(prior))


def dataset(options, strength=1.0):
    """A voice whose head says the class with some strength, and a face that says nothing; every sixth has no voice."""
    rng, target = np.random.default_rng(1), np.arange(N) % 3
    logits = rng.normal(size=(N, K)) * 0.3 + strength * np.eye(K)[target] * (rng.random(N) < 0.8)[:, None]
    logp = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    voice = features([np.tile(p, (0 if n % 6 == 5 else 2, 1)) for n, p in enumerate(logp)])
    face = features([np.full((3, K), np.log(1 / K))] * N)
    read = {"face": face, "voice": voice}
    made = {s: [model_inputs(read[s], STREAMS[s], options, [""] * N)] for s in STREAMS}
    return FusionDataset.from_views(made, STREAMS, target, torch.device("cpu")), target


def test_evidence_is_what_the_head_says_beyond_its_prior():
    p = np.random.default_rng(0).dirichlet(np.ones(K), 3)
    given = features([np.log(p), np.log(p[:0])], PRIOR)
    face = model_inputs(given, "face", FusionOptions(face_inputs=["vectors", "evidence"]), ["", ""])
    np.testing.assert_allclose(face.evidence[0], np.log(p.mean(0)) - np.log(PRIOR), rtol=1e-5)
    assert (face.evidence[1] == 0).all() and torch.equal(face.x, given.x)
    # of sound, the head on the mean vector: the mean of log-probabilities, normalised
    voice = model_inputs(given, "audio", FusionOptions(audio_inputs=["evidence"]), ["", ""])
    mean = np.log(p).mean(0)
    np.testing.assert_allclose(voice.evidence[0], mean - np.log(np.exp(mean).sum()) - np.log(PRIOR), rtol=1e-4)
    assert voice.x.shape == (3, 0) and voice.length.tolist() == [3, 0]


def test_evidence_becomes_logits_by_one_exponent_and_nothing_without_a_voice():
    module = Evidence(K)
    with torch.no_grad():
        module.log_exponent += np.log(0.5) / Evidence.RATE
        module.bias[3] = 1 / Evidence.RATE
    evidence = torch.randn(2, K)
    mask = torch.tensor([[True], [False]])
    found = module(StreamBatch(torch.zeros(2, 1, 0), mask, torch.zeros(2, 1), torch.zeros(2, 0), evidence))
    torch.testing.assert_close(found[0], 0.5 * evidence[0] + torch.eye(K)[3])
    assert (found[1] == 0).all()


def test_the_voice_is_read_by_its_evidence_alone():
    options = FusionOptions(**OPTIONS)
    data, _ = dataset(options)
    model = FusionModel(data.moments(np.arange(N)), STREAMS, options, K)
    assert list(model.network.encoders) == ["face"] and list(model.network.evidence) == ["voice"]
    batch = data.full_batch(torch.arange(N))
    weights = model.eval().attention_weights(batch)
    assert weights["voice"][0].tolist() == [0.5, 0.5] and weights["voice"][5].tolist() == [0, 0]
    assert weights["face"].sum(1).allclose(torch.ones(N))


@pytest.mark.slow
def test_the_exponent_is_smaller_for_a_head_that_is_too_sure():
    exponent = {}
    for strength in (0.5, 4.0):
        options = FusionOptions(**OPTIONS, modality_dropout=0)
        data, target = dataset(options, strength)
        (network,) = train(data, [Run(options, 0, np.arange(N), np.arange(0), 4)])
        exponent[strength] = (Evidence.RATE * network.state["network.evidence.voice.log_exponent"]).exp().item()
    correct = predict(data, [network], [np.arange(N)])[0].argmax(1) == target
    assert correct[np.arange(N) % 6 != 5].mean() > 0.75
    assert 0 < exponent[4.0] < exponent[0.5]


@pytest.mark.slow
@pytest.mark.parametrize("face_inputs", [["vectors"], ["vectors", "logp", "evidence"]])
def test_networks_train_together_as_alone(face_inputs):
    options = FusionOptions(
        **{**OPTIONS, "epochs": 3, "mixup": 0.2}, face_inputs=face_inputs, search={"dropout": [0.1, 0.4]}
    )
    data, _ = dataset(options)
    everything = np.arange(N)
    runs = [
        Run(each, seed, everything[everything % 5 != seed], everything[:0], 3)
        for each in candidates(options)
        for seed in (0, 1)
    ]
    together = predict(data, train(data, runs), [everything] * len(runs))
    for run, found in zip(runs, together, strict=True):
        np.testing.assert_allclose(predict(data, train(data, [run]), [everything])[0], found, atol=1e-5)


def test_fusion_needs_what_is_joined():
    for fusion in ("fbp", "gmu", "late", "crossmodal"):
        with pytest.raises(ConfigError, match=rf"models\.fused_m\.fusion is {fusion}, which needs .* of"):
            check_model("fused_m", FusionOptions(**OPTIONS, fusion=fusion), STREAMS, [])
    both = FusionOptions(face_inputs=["evidence"], audio_inputs=["evidence"])
    with pytest.raises(ConfigError, match=r"only the evidence of its streams .* Use fusion: product"):
        check_model("fused_m", both, STREAMS, [])
    check_model("fused_m", FusionOptions(**OPTIONS), STREAMS, [])
    assert effective_options(FusionOptions(**OPTIONS, fusion="concat"), STREAMS).fusion == "concat"
