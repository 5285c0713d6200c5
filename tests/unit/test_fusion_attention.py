"""Attention within a modality: comparison with plain numpy, gradients, masks, many networks in a batch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.func import functional_call, stack_module_state

from emopipe.fusion.attention import (
    MeanPooling,
    MultiHeadAttention,
    PatchAttention,
    RelationAttention,
    SelfAttention,
    TransformerAttention,
    masked_softmax,
)
from emopipe.fusion.batched_ops import weighted_sum
from emopipe.fusion.rng import Dropout
from emopipe.fusion.transformer import TimeEncoding


class TimedAttention(MultiHeadAttention):
    """Multi-head attention over vectors that are 0.2 s apart, unless a test gives other times."""

    def forward(self, x, mask, time=None):
        return super().forward(x, mask, 0.2 * mask.cumsum(-1) - 0.2 if time is None else time)


KINDS = [MeanPooling, SelfAttention, RelationAttention, PatchAttention, TransformerAttention, TimedAttention]


def build(kind, dim=5):
    torch.manual_seed(0)
    return kind(dim).double().eval()


def example(lengths=(4, 1, 3), dim=5, longest=4):
    torch.manual_seed(1)
    x = torch.randn(len(lengths), longest, dim, dtype=torch.float64)
    return x, torch.arange(longest)[None] < torch.tensor(lengths)[:, None]


def numbers(parameter):
    return parameter.detach().numpy()


def sigma(z):
    return 1 / (1 + np.exp(-z))


def mean_reference(module, x):
    return x.mean(0), np.full(len(x), 1 / len(x))


def self_reference(module, x):
    alpha = np.array([sigma(f @ numbers(module.q0.weight)[0]) for f in x])
    return sum(a * f for a, f in zip(alpha, x, strict=True)) / alpha.sum(), alpha / alpha.sum()


def relation_reference(module, x):
    summary, _ = self_reference(module.first, x)
    alpha = sigma(x @ numbers(module.first.q0.weight)[0])
    beside = [np.concatenate([f, summary]) for f in x]
    beta = np.array([sigma(b @ numbers(module.q1.weight)[0]) for b in beside])
    weights = alpha * beta / (alpha * beta).sum()
    return sum(w * b for w, b in zip(weights, beside, strict=True)), weights


def patch_reference(module, x):
    inner = np.tanh(x @ numbers(module.inner.weight).T + numbers(module.inner.bias))
    e = np.exp(0.3 * (inner @ numbers(module.score.weight)[0]))
    return (e / e.sum()) @ x, e / e.sum()


def transformer_reference(module, x):
    reduced = x @ numbers(module.reduce.weight).T
    e = np.exp(reduced @ numbers(module.score.weight)[0])
    return (e / e.sum()) @ reduced, e / e.sum()


def norm_reference(module, x):
    centered = x - x.mean(-1, keepdims=True)
    return centered / np.sqrt((centered**2).mean(-1, keepdims=True) + module.eps) * numbers(module.weight) + numbers(
        module.bias
    )


def linear_reference(module, x):
    return x @ numbers(module.weight).T + numbers(module.bias)


def block_reference(block, tokens):
    read = norm_reference(block.norm_tokens, tokens)
    context = norm_reference(block.norm_context, tokens)
    heads, size = block.attention.heads, tokens.shape[1] // block.attention.heads
    q = linear_reference(block.attention.query, read).reshape(-1, heads, size)
    k, v = (
        linear_reference(layer, context).reshape(-1, heads, size)
        for layer in (block.attention.key, block.attention.value)
    )
    out = []
    for head in range(heads):
        scores = np.exp(q[:, head] @ k[:, head].T / np.sqrt(size))
        out.append(scores / scores.sum(1, keepdims=True) @ v[:, head])
    tokens = tokens + linear_reference(block.attention.out, np.concatenate(out, 1))
    wide = torch.nn.functional.gelu(
        torch.from_numpy(linear_reference(block.wide, norm_reference(block.norm_between, tokens)))
    )
    return tokens + linear_reference(block.narrow, wide.numpy())


def multihead_reference(module, x):
    tokens = linear_reference(module.reduce, x)
    dim = tokens.shape[1]
    for place in range(len(x)):
        for pair in range(dim // 2):
            wavelength = 0.5 * 120 ** (pair / (dim // 2 - 1))  # 0.5 s to 60 s
            angle = 2 * np.pi * 0.2 * place / wavelength
            tokens[place, 2 * pair] += np.sin(angle)
            tokens[place, 2 * pair + 1] += np.cos(angle)
    for block in module.blocks:
        tokens = block_reference(block, tokens)
    tokens = norm_reference(module.norm, tokens)
    e = np.exp(tokens @ numbers(module.score.weight)[0])
    return (e / e.sum()) @ tokens, e / e.sum()


REFERENCES = {
    MeanPooling: mean_reference,
    SelfAttention: self_reference,
    RelationAttention: relation_reference,
    PatchAttention: patch_reference,
    TransformerAttention: transformer_reference,
    TimedAttention: multihead_reference,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [False, True])
def test_agrees_with_the_equations(kind, training):
    """Training and evaluation give the same (without dropout). FAN's published code omits beta in evaluation."""
    module, (x, mask) = build(kind), example()
    if kind is not TimedAttention:
        module.train(training)
    pooled, weights = module(x, mask)
    assert pooled.shape == (3, module.out_dim)
    for row in range(len(x)):
        expected, alphas = REFERENCES[kind](module, x[row][mask[row]].numpy())
        np.testing.assert_allclose(pooled[row].detach(), expected, atol=1e-6)
        np.testing.assert_allclose(weights[row][mask[row]].detach(), alphas, atol=1e-6)


@pytest.mark.parametrize("kind", [SelfAttention, RelationAttention])
def test_dropout_acts_on_the_weights_alone(kind, monkeypatch):
    """FAN's first dropout: the weights are of vectors with dropout, but what they pool is whole."""
    monkeypatch.setattr(Dropout, "forward", lambda self, x: torch.zeros_like(x) if self.training else x)
    x, mask = example()
    plain, dropped = build(kind), kind(5, dropout=0.5).double()
    dropped.load_state_dict(plain.state_dict())
    pooled, weights = dropped.train()(x, mask)  # with dropout of everything, all vectors weigh the same
    torch.testing.assert_close(weights, mask / mask.sum(1, keepdim=True).double())
    torch.testing.assert_close(pooled[:, :5], MeanPooling(5)(x, mask)[0])
    for found, expected in zip(dropped.eval()(x, mask), plain(x, mask), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5), extra=st.integers(0, 4))
@settings(max_examples=15, deadline=None)
def test_weights_are_a_distribution_over_unmasked_vectors(kind, lengths, extra):
    x, mask = example(lengths, longest=max([1, *lengths]) + extra)
    pooled, weights = build(kind)(x, mask)
    assert weights.shape == mask.shape
    assert (weights[~mask] == 0).all() and (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), mask.any(1).double())
    assert torch.isfinite(pooled).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("filler", [0.0, 1e6, float("nan"), float("inf")])
def test_padding_changes_nothing(kind, filler):
    module, (x, mask) = build(kind), example()
    longer = torch.full((3, 9, 5), filler, dtype=torch.float64)
    longer[:, :4] = torch.where(mask[..., None], x, filler)
    wider = torch.zeros(3, 9, dtype=torch.bool)
    wider[:, :4] = mask
    torch.testing.assert_close(module(longer, wider)[0], module(x, mask)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_order_changes_nothing(kind):
    """Vectors that keep their times may come in any order."""
    module, (x, mask) = build(kind), example()
    time, order = 0.2 * torch.arange(4).expand(3, 4), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(module(x[:, order], mask[:, order], time[:, order])[0], module(x, mask, time)[0])


def test_times_matter_to_multihead_attention():
    module, (x, mask) = build(TimedAttention), example(lengths=(4, 4, 4))
    assert not torch.allclose(module(x[:, [2, 0, 3, 1]], mask)[0], module(x, mask)[0])
    time = 0.2 * torch.arange(4).expand(3, 4)
    for other in (2 * time, time + 1):  # slower, and later in the clip
        assert not torch.allclose(module(x, mask, other)[0], module(x, mask, time)[0], atol=1e-4)
    time = time.clone()
    time[~mask] = torch.nan
    assert torch.isfinite(module(x, mask, time)[0]).all()


def test_a_vector_that_is_sampled_keeps_its_encoding():
    """Training samples some vectors of a clip: their encoding is that of their times, not of their numbers."""
    encoding, time = TimeEncoding(12), torch.tensor([[0.0, 0.25, 0.5, 2.0, 40.0]])
    whole = encoding(time, torch.ones(1, 5, dtype=torch.bool))
    some = encoding(time[:, [1, 4]], torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(some, whole[:, [1, 4]])
    torch.testing.assert_close(whole[0, 0], torch.tensor([0.0, 1.0] * 6, dtype=torch.float64))
    fastest, slowest = whole[0, :, :2], whole[0, :, 10:]
    torch.testing.assert_close(fastest[2], fastest[0])  # half a second is one whole wave
    expected = torch.tensor([np.sin(2 * np.pi * 2 / 60), np.cos(2 * np.pi * 2 / 60)])
    torch.testing.assert_close(slowest[3], expected)
    assert torch.pdist(whole[0]).min() > 0.05 and not encoding.state_dict()


@pytest.mark.parametrize("time", [None, torch.zeros(3, 4, 0)])
def test_without_times_there_is_no_encoding(time):
    x, mask = example()
    with pytest.raises(ValueError, match="needs the time of each vector in seconds, but the features have no times"):
        MultiHeadAttention(5).double().pool(x, mask, time)


@pytest.mark.parametrize("kind", KINDS)
def test_one_frame_gets_all_the_weight(kind):
    x, mask = example(lengths=(1, 1, 1))
    torch.testing.assert_close(build(kind)(x, mask)[1][:, 0], torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_without_vectors(kind):
    module, (x, mask) = build(kind), example(lengths=(0, 2, 4))
    x.requires_grad_()
    pooled, weights = module(x, mask)
    pooled.sum().backward()
    assert (weights[0] == 0).all()
    assert torch.isfinite(pooled).all() and torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_extreme_scores_stay_a_distribution(kind):
    module = build(kind).float()
    x, mask = example()
    pooled, weights = module(x.float() * 1e4, mask)
    torch.testing.assert_close(weights.sum(1), torch.ones(3))
    assert torch.isfinite(pooled).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    module, (x, mask) = build(kind), example()
    assert gradcheck(lambda v: module(v, mask)[0], x.requires_grad_())
    names = [name for name, _ in module.named_parameters()]
    values = [p.detach().clone().requires_grad_() for p in module.parameters()]
    if names:
        x = x.detach()
        assert gradcheck(
            lambda *p: functional_call(module, dict(zip(names, p, strict=True)), (x, mask))[0], values, fast_mode=True
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shared", [True, False])
def test_a_batch_of_networks_equals_single_networks(kind, shared):
    """Stacked modules under vmap, with a shared x or one x each, give the outputs and gradients of single modules."""
    modules = []
    for seed in range(3):
        torch.manual_seed(seed)
        modules.append(kind(5).double().eval())
    x, mask = example()
    xs = x if shared else torch.stack([x, x + 1, 2 * x])
    parameters, buffers = stack_module_state(modules)

    def one(p, b, v):
        return functional_call(modules[0], (p, b), (v, mask))

    if not parameters and shared:
        return  # nothing differs between means of the same x
    pooled, _ = torch.vmap(one, in_dims=(0, 0, None if shared else 0))(parameters, buffers, xs)
    if parameters:
        pooled.square().sum().backward()
    for number, module in enumerate(modules):
        alone, _ = module(x if shared else xs[number], mask)
        torch.testing.assert_close(pooled[number], alone)
        if parameters:
            alone.square().sum().backward()
            for name, parameter in module.named_parameters():
                torch.testing.assert_close(parameters[name].grad[number], parameter.grad)


def test_weighted_sum_has_gradients_to_both():
    weights, x = torch.rand(2, 3, dtype=torch.float64), torch.randn(2, 3, 4, dtype=torch.float64)
    assert gradcheck(weighted_sum, (weights.requires_grad_(), x.requires_grad_()))


def test_heads_have_to_divide():
    with pytest.raises(ValueError, match="3 heads do not divide 64 dimensions"):
        MultiHeadAttention(5, heads=3)


SHAPES = {
    MeanPooling: {},
    SelfAttention: {"q0.weight": (1, 12)},
    RelationAttention: {"first.q0.weight": (1, 12), "q1.weight": (1, 24)},
    PatchAttention: {"inner.weight": (64, 12), "inner.bias": (64,), "score.weight": (1, 64)},
    TransformerAttention: {"reduce.weight": (64, 12), "score.weight": (1, 64)},
}


@pytest.mark.parametrize("kind", SHAPES)
def test_the_parameters_are_those_of_the_equations(kind):
    """A score has no bias, which would cancel in the softmax; trained weights of one release fit the next."""
    module = kind(12)
    assert {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()} == SHAPES[kind]
    assert module.out_dim == {RelationAttention: 24, TransformerAttention: 64}.get(kind, 12)


def test_the_default_encoder_has_one_block_and_its_score_no_bias():
    module = MultiHeadAttention(12)
    assert len(module.blocks) == 1 and module.score.bias is None and module.out_dim == 64
    assert {m.p for m in module.modules() if isinstance(m, torch.nn.Dropout)} <= {0.1}


def test_a_softmax_is_over_the_last_axis():
    scores = torch.tensor([[[0.0, 1.0, 2.0], [3.0, 3.0, 3.0]]])  # (1, 2, 3)
    mask = torch.tensor([[[True, True, False], [True, True, True]]])
    found = masked_softmax(scores, mask)
    expected = torch.tensor([[[1.0, torch.e, 0.0], [1.0, 1.0, 1.0]]])
    torch.testing.assert_close(found, expected / expected.sum(-1, keepdim=True))
