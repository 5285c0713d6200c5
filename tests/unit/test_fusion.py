"""Attention and bilinear pooling against plain numpy, their gradients and their masks."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from emopipe.features import Features
from emopipe.fusion.attention import MeanPooling, TransformerAttention
from emopipe.fusion.bilinear import FactorizedBilinearPooling
from emopipe.fusion.model import FusionModel
from emopipe.fusion.options import FusionOptions
from emopipe.fusion.training import predict, statistics, take, train

ATTENTIONS = [MeanPooling, TransformerAttention]


def build(kind, dim=5):
    torch.manual_seed(0)
    return kind(dim).double()


def example(lengths=(4, 1, 3), dim=5, longest=4):
    torch.manual_seed(1)
    x = torch.randn(len(lengths), longest, dim, dtype=torch.float64)
    return x, torch.arange(longest)[None] < torch.tensor(lengths)[:, None]


def reference(module, x, mask):
    """One clip, by the equations, in numpy."""
    x = x[mask].numpy()
    if isinstance(module, MeanPooling):
        return x.mean(0), np.full(len(x), 1 / len(x))
    reduced = x @ module.reduce.weight.detach().numpy().T
    scores = np.exp(reduced @ module.score.weight.detach().numpy()[0])
    weights = scores / scores.sum()
    return weights @ reduced, weights


@pytest.mark.parametrize("kind", ATTENTIONS)
class TestAttention:
    def test_agrees_with_the_equations(self, kind):
        module, (x, mask) = build(kind), example()
        pooled, weights = module(x, mask)
        for row in range(len(x)):
            expected, alphas = reference(module, x[row], mask[row])
            np.testing.assert_allclose(pooled[row].detach(), expected, atol=1e-6)
            np.testing.assert_allclose(weights[row][mask[row]].detach(), alphas, atol=1e-6)

    def test_weights(self, kind):
        _, weights = build(kind)(*example())
        assert (weights[~example()[1]] == 0).all()
        torch.testing.assert_close(weights.sum(1), torch.ones(3, dtype=torch.float64))

    @pytest.mark.parametrize("filler", [0.0, 1e6, float("nan"), float("inf")])
    def test_padding_changes_nothing(self, kind, filler):
        module, (x, mask) = build(kind), example()
        longer = torch.full((3, 9, 5), filler, dtype=torch.float64)
        longer[:, :4] = torch.where(mask[..., None], x, filler)
        wider = torch.zeros(3, 9, dtype=torch.bool)
        wider[:, :4] = mask
        torch.testing.assert_close(module(longer, wider)[0], module(x, mask)[0])

    def test_order_changes_nothing(self, kind):
        module, (x, mask) = build(kind), example()
        order = torch.tensor([2, 0, 3, 1])
        torch.testing.assert_close(module(x[:, order], mask[:, order])[0], module(x, mask)[0])

    def test_a_clip_without_vectors(self, kind):
        module, (x, mask) = build(kind), example(lengths=(0, 2, 4))
        x.requires_grad_()
        pooled, weights = module(x, mask)
        pooled.sum().backward()
        assert (weights[0] == 0).all()
        assert torch.isfinite(pooled).all() and torch.isfinite(x.grad).all()

    def test_gradients(self, kind):
        module, (x, mask) = build(kind), example()
        assert gradcheck(lambda v: module(v, mask)[0], x.requires_grad_())


class TestFactorizedBilinearPooling:
    def test_is_the_explicit_bilinear_form(self):
        torch.manual_seed(0)
        pooling = FactorizedBilinearPooling(4, 6, out=3, factor=2, dropout=0.5, signed_sqrt=False).double().eval()
        a, v = torch.randn(5, 4, dtype=torch.float64), torch.randn(5, 6, dtype=torch.float64)
        u = pooling.project_a.weight.view(3, 2, 4)  # (out, factor, dim_a)
        w = pooling.project_v.weight.view(3, 2, 6)
        forms = torch.einsum("okm,okn->omn", u, w)  # W_i = U_i V_i^T
        z = torch.einsum("bm,omn,bn->bo", a, forms, v)
        torch.testing.assert_close(pooling(a, v), z / z.norm(dim=1, keepdim=True))
        pooling.signed_sqrt = True
        root = z.sign() * z.abs().sqrt()
        torch.testing.assert_close(pooling(a, v), root / root.norm(dim=1, keepdim=True), atol=1e-5, rtol=0)

    def test_gradients(self):
        torch.manual_seed(0)
        pooling = FactorizedBilinearPooling(3, 4, out=2, factor=2, dropout=0.0).double()
        a, v = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
        assert gradcheck(pooling, (a.requires_grad_(), v.requires_grad_()))

    def test_zeros_have_gradients(self):
        pooling = FactorizedBilinearPooling(3, 4, out=2, factor=2)
        a = torch.zeros(2, 3, requires_grad=True)
        pooling(a, torch.randn(2, 4)).sum().backward()
        assert torch.isfinite(a.grad).all()


def features(x, mask):
    """Features of clips (N, T, D) under a mask (N, T)."""
    length = torch.from_numpy(mask.sum(1))
    times = torch.zeros(int(mask.sum()))
    return Features(torch.from_numpy(x[mask]), times, length.cumsum(0) - length, length)


def streams(n=60, seed=0):
    """Two streams that tell three classes apart between them; every fifth clip lacks its sound, one lacks both."""
    rng = np.random.default_rng(seed)
    target = rng.integers(3, size=n)
    face, voice = rng.normal(size=(2, n, 4, 6)).astype("f4")
    face[:, 0, 0] += 6 * (target == 0)  # one frame of four tells
    voice[..., 1] += 3 * (target == 1)[:, None]
    mask = np.ones((n, 4), bool)
    no_voice = mask & (np.arange(n) % 5 != 0)[:, None]
    no_face = mask.copy()
    no_face[0] = False
    return {"f": features(face, no_face), "v": features(voice, no_voice)}, target


MODALITIES = {"f": "face", "v": "audio"}
CPU = torch.device("cpu")


@pytest.mark.parametrize("fusion", ["concat", "fbp"])
def test_training_learns_and_repeats(fusion):
    options = FusionOptions(fusion=fusion, hidden=16, out=8, epochs=15, lr=1e-2, batch=16, dropout=0.0)
    learn, target = streams(300)
    asked, truth = streams(seed=1)
    first = predict(train(learn, MODALITIES, target, options, 0, CPU), asked, CPU)
    again = predict(train(learn, MODALITIES, target, options, 0, CPU), asked, CPU)
    np.testing.assert_array_equal(first, again)
    other = predict(train(learn, MODALITIES, target, options, 1, CPU), asked, CPU)
    assert not np.array_equal(first, other)
    np.testing.assert_allclose(first.sum(1), 1)
    both = (asked["f"].present & asked["v"].present).numpy()
    assert (first.argmax(1) == truth)[both].mean() > 0.8


def test_batches_are_padded_to_their_longest():
    rng = np.random.default_rng(0)
    mask = np.array([[1, 1, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0]], bool)
    x = rng.normal(size=(3, 4, 2)).astype("f4")
    vectors, there = features(x, mask).batch(torch.tensor([2, 1]))
    assert there.tolist() == [[True, True], [False, False]]
    np.testing.assert_array_equal(vectors[0], x[2][mask[2]])
    np.testing.assert_array_equal(vectors[1], 0)
    nothing = features(x, np.zeros((3, 4), bool))
    vectors, there = nothing.batch(torch.tensor([0, 1, 2]))
    assert vectors.shape == (3, 1, 2) and not there.any() and not nothing.present.any()


@pytest.mark.parametrize("fusion", ["concat", "fbp"])
def test_one_modality_suffices_to_tell_clips_apart(fusion):
    """With the sound missing, predictions still follow the face."""
    options = FusionOptions(fusion=fusion, hidden=16, out=8, epochs=15, lr=1e-2, batch=16, modality_dropout=0.3)
    learn, target = streams(300)
    asked, truth = streams(seed=1)
    asked["v"] = features(np.zeros((60, 4, 6), "f4"), np.zeros((60, 4), bool))
    found = predict(train(learn, MODALITIES, target, options, 0, CPU), asked, CPU)
    assert found[1:].std(0).max() > 0.05
    assert found[1:][truth[1:] == 0, 0].mean() > found[1:][truth[1:] != 0, 0].mean() + 0.2


def test_statistics_are_of_what_is_there():
    data, _ = streams()
    mean, std = statistics(data["v"])
    np.testing.assert_allclose(mean, data["v"].x.numpy().mean(0), rtol=1e-4)
    np.testing.assert_allclose(std, data["v"].x.numpy().std(0) + 1e-3, rtol=1e-4)


def test_hidden_modalities_leave_one():
    """Modality dropout hides at most one of two modalities, and none of a clip that has only one."""
    torch.manual_seed(0)
    found, _ = streams()
    options = FusionOptions(hidden=4, modality_dropout=0.9)
    model = FusionModel({s: statistics(f) for s, f in found.items()}, MODALITIES, options, 3).train()
    data = take(found, torch.arange(60))
    hidden = model._hide(data)
    before = torch.stack([mask.any(1) for _, mask in data.values()])
    after = torch.stack([mask.any(1) for _, mask in hidden.values()])
    assert (after.any(0) == before.any(0)).all()
    assert 10 < int((before & ~after).sum()) < 60
    assert ((before.sum(0) == 1) <= (before == after).all(0)).all()
