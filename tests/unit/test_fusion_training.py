"""Training over cached features: networks in a batch end as if trained alone, and learn what can be learned."""

import contextlib
import dataclasses
import json

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from emopipe.core.errors import ConfigError
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER
from emopipe.fusion import trained_cache, training
from emopipe.fusion.data import BatchSampler, FusionDataset
from emopipe.fusion.features import Features, concatenate
from emopipe.fusion.model import FusionModel, Standardization
from emopipe.fusion.optimizer import StackedAdamW
from emopipe.fusion.options import EarlyStopping, FusionOptions, LearningRateSteps, candidates
from emopipe.fusion.rng import Dropout, distinct_bits, fold_in, keys_from_seeds, random_bits, uniform
from emopipe.fusion.sgd import StackedSGD
from emopipe.fusion.stack import Run, Stack
from emopipe.fusion.trained_cache import TrainedCache
from emopipe.fusion.training import Loss, predict, train
from emopipe.training.optimizer import cosine_warmup
from tests.conftest import too_many_open_files

CPU = torch.device("cpu")
MODALITIES = {"f": "face", "v": "audio"}
SMALL = {"hidden": 16, "out": 8, "epochs": 15, "lr": 1e-2, "batch": 16, "dropout": 0.1}
SGD = {"optimizer": "sgd", "weight_decay": 1e-4}


def features(x, mask):
    """Features of clips (N, T, D) under a mask (N, T)."""
    length = torch.from_numpy(mask.sum(1))
    time = torch.from_numpy(0.2 * np.arange(mask.shape[1]) * np.ones((len(mask), 1)))
    return Features(torch.from_numpy(x[mask]), length.cumsum(0) - length, length, time=time[mask])


def streams(n=60, seed=0):
    """Two streams that together separate three classes; every fifth clip lacks its audio, one lacks both streams."""
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


def data_of(n=60, seed=0, views=1):
    found, target = streams(n, seed)
    seen = {stream: [plain] * views for stream, plain in found.items()}
    return FusionDataset.from_views(seen, MODALITIES, target, CPU), target


def long_clips(n=60, seed=0):
    """Clips of 3 to 200 vectors in two views of a stream of faces and one of sound; every fifth has no sound.

    In float64, because training amplifies the rounding of sums, whose order depends on the padding.
    """
    rng = np.random.default_rng(seed)
    target = rng.integers(3, size=n)

    def view(shift, present):
        lengths = rng.integers(3, 201, n) * present
        x = rng.normal(size=(int(lengths.sum()), 6)) + shift * np.repeat(target, lengths)[:, None]
        length = torch.from_numpy(lengths)
        time = torch.from_numpy(np.concatenate([0.1 * np.arange(n) for n in lengths]))
        return Features(torch.from_numpy(x), length.cumsum(0) - length, length, time=time)

    everyone, most = np.ones(n, int), (np.arange(n) % 5 != 0).astype(int)
    seen = {"f": [view(0.3, everyone), view(0.2, everyone)], "v": [view(-0.3, most)]}
    return FusionDataset.from_views(seen, MODALITIES, target, CPU)


def run_of(data, options, seed=0, train_idx=None, stop_idx=None):
    everything = np.flatnonzero(data.present.numpy())
    train_idx = everything if train_idx is None else train_idx
    return Run(
        options,
        seed,
        train_idx,
        everything[:0] if stop_idx is None else stop_idx,
        max(1, len(everything) // options.batch),
    )


def probabilities(data, networks):
    return predict(data, networks, [np.arange(len(data.targets))] * len(networks))


# -- random numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_random_numbers_are_uniform_and_depend_on_their_key():
    keys = torch.arange(50, dtype=torch.int32)
    drawn = uniform(fold_in(keys, 3), 2000)
    assert drawn.min() >= 0 and drawn.max() < 1
    counts = torch.histc(drawn, 20, 0, 1)
    assert ((counts - 5000).abs() < 350).all()  # five standard deviations
    assert torch.corrcoef(drawn).fill_diagonal_(0).abs().max() < 0.12
    assert torch.corrcoef(torch.stack([drawn[0, :-1], drawn[0, 1:]]))[0, 1].abs() < 0.1
    torch.testing.assert_close(uniform(fold_in(keys[7:8], 3), 2000)[0], drawn[7])
    assert not torch.equal(uniform(fold_in(keys, 4), 2000), drawn)


def test_the_numbers_of_one_key_are_all_different():
    """Sampling sorts clips' vectors by these numbers; equal ones would be ordered by the padding."""
    keys = fold_in(torch.tensor([[7], [8]], dtype=torch.int32), torch.arange(3))
    bits = distinct_bits(keys, 200_000)
    assert bits.shape == (2, 3, 200_000)
    for of_key in bits.flatten(0, 1):
        assert len(of_key.unique()) == 200_000
    assert torch.equal(distinct_bits(keys, 10), bits[..., :10])
    assert len(keys.unique()) == 6 and torch.equal(keys[1, 2], fold_in(torch.tensor(8, dtype=torch.int32), 2))


def test_random_bits_do_not_depend_on_padding():
    key = torch.tensor(5, dtype=torch.int32)
    torch.testing.assert_close(random_bits(key, torch.Size([3, 2, 4])), random_bits(key, torch.Size([6, 5, 4]))[:3, :2])


def test_dropout_keeps_the_mean_and_its_rate():
    drop = Dropout(0.3).train()
    for drop.keyed in (False, True):
        out = drop(torch.ones(400, 100))
        assert abs((out == 0).float().mean() - 0.3) < 0.01 and abs(out.mean() - 1) < 0.02
    assert torch.equal(drop(torch.ones(4, 5)), drop(torch.ones(4, 5)))  # the same key, the same numbers
    assert torch.equal(drop.eval()(torch.ones(2)), torch.ones(2))


# -- parts of training ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_optimizer_is_torchs_adamw():
    torch.manual_seed(0)
    start, lr, decay = torch.randn(3, 4, 2), [1e-2, 3e-2, 1e-3], [0.1, 0.0, 0.5]
    stacked = {"p": start.clone().requires_grad_()}
    shares = [cosine_warmup(step, 2, 20) for step in range(20)]
    ours = StackedAdamW(stacked, torch.tensor(lr), torch.tensor(decay), sum(shares))
    alone = [row.clone().requires_grad_() for row in start]
    theirs = [torch.optim.AdamW([p], lr=a, weight_decay=0.0) for p, a in zip(alone, lr, strict=True)]
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: cosine_warmup(step, 2, 20)) for o in theirs]
    for share in shares:
        stacked["p"].square().sin().sum().backward()
        ours.step(share)
        for p, d, optimizer, schedule in zip(alone, decay, theirs, schedules, strict=True):
            optimizer.zero_grad()
            p.square().sin().sum().backward()
            with torch.no_grad():
                p.mul_((1 - d) ** (share / sum(shares)))
            optimizer.step()
            schedule.step()
    torch.testing.assert_close(stacked["p"], torch.stack(alone))


def test_sgd_is_torchs():
    torch.manual_seed(0)
    start, lr, decay = torch.randn(3, 4, 2), [1e-2, 3e-2, 1e-3], [0.1, 0.0, 0.5]
    stacked = {"p": start.clone().requires_grad_()}
    ours = StackedSGD(stacked, torch.tensor(lr), torch.tensor(decay), 0.9)
    alone = [row.clone().requires_grad_() for row in start]
    each = zip(alone, lr, decay, strict=True)
    theirs = [torch.optim.SGD([p], lr=a, momentum=0.9, weight_decay=d) for p, a, d in each]
    schedules = [torch.optim.lr_scheduler.StepLR(o, step_size=6, gamma=0.2) for o in theirs]
    for step in range(20):
        stacked["p"].square().sin().sum().backward()
        ours.step(0.2 ** (step // 6))
        for p, optimizer, schedule in zip(alone, theirs, schedules, strict=True):
            optimizer.zero_grad()
            p.square().sin().sum().backward()
            optimizer.step()
            schedule.step()
    torch.testing.assert_close(stacked["p"], torch.stack(alone))


def test_sgd_decays_matrices_alone():
    stacked = {"matrix": torch.ones(1, 2, 2, requires_grad=True), "bias": torch.ones(1, 2, requires_grad=True)}
    for p in stacked.values():
        p.grad = torch.zeros_like(p)
    StackedSGD(stacked, torch.tensor([0.1]), torch.tensor([0.5]), 0.9).step(1.0)
    torch.testing.assert_close(stacked["matrix"].detach(), torch.full((1, 2, 2), 0.95))
    assert torch.equal(stacked["bias"].detach(), torch.ones(1, 2))


def test_learning_rate_falls_in_steps(monkeypatch):
    """FAN's schedule: no warm-up, and a fifth of the rate after each third of the epochs."""
    data, _ = data_of()
    shares = []
    monkeypatch.setattr(StackedSGD, "step", lambda self, share: shares.append(share))
    steps = LearningRateSteps(every=2, factor=0.2)
    run = run_of(data, FusionOptions(**{**SMALL, "epochs": 6, "batch": 20}, **SGD, lr_steps=steps))
    train(data, [run])
    assert run.steps == 2
    np.testing.assert_allclose(shares, np.repeat([1, 0.2, 0.04], 4))


def test_momentum_is_an_option_of_sgd(monkeypatch):
    data, _ = data_of()
    seen = []
    monkeypatch.setattr(StackedSGD, "__init__", lambda self, p, lr, decay, momentum: seen.append(momentum))
    monkeypatch.setattr(StackedSGD, "step", lambda self, share: None)
    for options in ({}, {"momentum": 0.5}, {"momentum": 0}):
        train(data, [run_of(data, FusionOptions(**{**SMALL, "epochs": 1}, **SGD, **options))])
    assert seen == [0.9, 0.5, 0]
    with pytest.raises(ValueError, match=r"momentum is set, but the optimizer is adamw\. Remove it, or use sgd"):
        FusionOptions(momentum=0.5)
    with pytest.raises(ValueError, match=r"attention_dropout is 0\.5, but neither face_attention \(mean\) nor "):
        FusionOptions(attention_dropout=0.5, face_attention="mean")


@pytest.mark.slow
def test_learning_rate_rises_and_falls(monkeypatch):
    """The rate of fusion: the first tenth of the steps is the warm-up."""
    data, _ = data_of()
    run, shares = run_of(data, FusionOptions(**{**SMALL, "epochs": 34, "batch": 20})), []
    monkeypatch.setattr(StackedAdamW, "step", lambda self, share: shares.append(share))
    train(data, [run])
    assert len(shares) == run.steps * 34 == 68
    assert shares.index(max(shares)) == 7 and max(shares) == 1
    assert shares[:8] == sorted(shares[:8]) and shares[7:] == sorted(shares[7:], reverse=True)
    assert 0 < shares[0] < 0.2 and 0 <= shares[-1] < 0.01


@pytest.mark.parametrize("fusion", ["concat", "fbp", "gated", "gmu", "late", "crossmodal"])
def test_only_matrices_have_weight_decay(fusion, monkeypatch):
    """Without gradients, a step shrinks matrices alone: no biases, no normalization, no scale, no missing embedding."""
    data, _ = data_of()
    options = FusionOptions(**SMALL, fusion=fusion, face_attention="multihead", weight_decay=0.5)
    stack = Stack.init(data, [run_of(data, options, seed) for seed in (0, 1)], groups=1)
    before = {name: p.detach().clone() for name, p in stack.parameters.items()}
    for p in stack.parameters.values():
        p.grad = torch.zeros_like(p)
    StackedAdamW(stack.parameters, torch.full((2,), 0.1), torch.full((2,), 0.75), total=2.0).step(1.0)
    shrunk = {name for name, p in stack.parameters.items() if not torch.equal(p, before[name])}
    assert shrunk == {name for name, p in before.items() if p[0].ndim == 2}
    assert any(name.endswith("norm.weight") for name in before) and any(name.endswith("absent") for name in before)
    for name in shrunk:
        torch.testing.assert_close(stack.parameters[name].detach(), before[name] * 0.5)  # (1 - 0.75) ** (1 / 2)


@pytest.mark.slow
@pytest.mark.parametrize(("lr", "batch", "epochs"), [(1e-3, 16, 12), (0.1, 30, 3)])
def test_weight_decay_is_the_share_that_a_whole_training_shrinks(lr, batch, epochs, monkeypatch):
    """Whatever lr and the number of steps, if there are no gradients; each network of a stack by its own share."""
    monkeypatch.setattr(Loss, "__call__", lambda self, logits, *_: 0.0 * logits.sum((1, 2)))
    data, _ = data_of()
    base = FusionOptions(**{**SMALL, "lr": lr, "batch": batch, "epochs": epochs}, fusion="gmu")
    options = candidates(base.model_copy(update={"search": {"weight_decay": [0.5, 0.9, 0.99]}}))
    runs = [run_of(data, each) for each in options]
    before = Stack.init(data, runs, groups=1).states()
    trained = train(data, runs)
    assert [network.run.options.weight_decay for network in trained] == [0.5, 0.9, 0.99]
    for kept, start, network in zip((0.5, 0.1, 0.01), before, trained, strict=True):
        for name, value in network.state.items():
            is_matrix = name.startswith("network.") and value.ndim == 2
            torch.testing.assert_close(value, start[name] * (kept if is_matrix else 1.0), rtol=1e-4, atol=1e-7)


def test_weight_decay_above_all_is_refused():
    for keys in ({"weight_decay": 1.0}, {"search": {"weight_decay": [0.5, 1.5]}}):
        with pytest.raises(ValueError, match="weight_decay"):
            FusionOptions(**keys)


def test_every_clip_is_seen_once_an_epoch():
    train_idx = [np.arange(10), np.arange(5, 12), np.array([3])]
    order = BatchSampler(train_idx, 3, torch.arange(3, dtype=torch.int32))
    for epoch in (0, 1):
        steps = order.epoch(epoch)
        assert len(steps) == 3
        for number, rows in enumerate(train_idx):
            seen = torch.cat([clips[number][valid[number]] for clips, valid in steps])
            assert sorted(seen.tolist()) == rows.tolist()
        for _, valid in steps:  # padding comes last
            assert (valid.int().diff(dim=1) <= 0).all()
    assert not all(torch.equal(a, b) for (a, _), (b, _) in zip(order.epoch(0), order.epoch(1), strict=True))


def test_loss_is_torchs_with_weights_and_smoothing():
    data, target = data_of()
    options = FusionOptions(label_smoothing=0.2, class_weights="balanced")
    runs = [run_of(data, options), run_of(data, options, seed=1)]
    loss = Loss(data, runs)
    rows, valid = torch.arange(1, 9)[None], torch.ones(1, 8, dtype=torch.bool)
    valid[0, 6:] = False
    logits = torch.randn(2, 8, len(CLASSES))
    counts = np.bincount(target[runs[0].train_idx], minlength=len(CLASSES))
    weights = torch.tensor(counts.sum() / ((counts > 0).sum() * np.maximum(counts, 1)), dtype=torch.float32)
    truth = torch.tensor(target[1:7])
    for number in range(2):
        log_p = logits[number, :6].log_softmax(1)
        smooth = 0.8 * -log_p[range(6), truth] + 0.2 * -log_p.mean(1)
        expected = (smooth * weights[truth]).sum() / weights[truth].sum()
        torch.testing.assert_close(loss(logits, rows, valid, None)[number], expected)


def test_mixup_mixes_targets_as_it_mixes_vectors():
    data, target = data_of()
    options = FusionOptions(label_smoothing=0.0, mixup=0.4)
    loss = Loss(data, [run_of(data, options)])
    rows, valid = torch.arange(1, 9)[None], torch.arange(8)[None] < 6
    partner, share = loss.draw_mixup(torch.tensor([3], dtype=torch.int32), valid)
    assert partner.max() < 6 and (share >= 0.5).all() and (share <= 1).all()
    logits = torch.randn(1, 8, len(CLASSES))
    log_p, truth = logits[0].log_softmax(1), torch.tensor(target[1:9])
    own, other = -log_p[range(8), truth], -log_p[range(8), truth[partner[0]]]
    expected = (share[0] * own + (1 - share[0]) * other)[:6].mean()
    torch.testing.assert_close(loss(logits, rows, valid, (partner, share))[0], expected)


@pytest.mark.slow
def test_networks_mix_pooled_vectors():
    data, _ = data_of()
    options = FusionOptions(**SMALL)
    model = FusionModel(data.moments(np.arange(1, 60)), MODALITIES, options, 7).eval()
    batch = model.standardise(data.full_batch(torch.arange(1, 9)))
    partner = torch.tensor([3, 2, 1, 0, 7, 6, 5, 4])
    whole = model.network(batch, (partner, torch.ones(8)))
    torch.testing.assert_close(whole, model.network(batch))
    swapped = model.network(batch, (partner, torch.zeros(8)))
    torch.testing.assert_close(swapped, model.network(batch)[partner])


def test_moments_are_of_the_training_clips():
    data, _ = data_of()
    train_idx = np.arange(1, 30)
    mean, std, *_ = data.moments(train_idx)["v"]
    voice = streams()[0]["v"]
    x = np.concatenate(
        [voice.x[s : s + n] for s, n in zip(voice.start[train_idx], voice.length[train_idx], strict=True)]
    )
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(std, x.std(0), rtol=1e-4)


def standardised(x):
    """Vectors (n, D) as a model sees them that is trained on them."""
    one = features(x[:, None], np.ones((len(x), 1), bool))
    data = FusionDataset.from_views({"f": [one]}, {"f": "face"}, np.zeros(len(x), int), CPU)
    layer = Standardization(data.moments(np.arange(len(x))))
    return layer(data.full_batch(torch.arange(len(x))))["f"].x[:, 0].numpy()


@pytest.mark.parametrize("power", [-30, -12, -6, -3, 3, 12, 30])
def test_standardised_features_do_not_depend_on_their_scale(power):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(300, 6)) * [1, 5, 0.01, 1, 1, 0] + [0, 3, 1, -20, 0.1, 0.3]).astype("f4")
    scaled = (x.astype("f8") * 10.0**power).astype("f4")
    np.testing.assert_allclose(standardised(scaled), standardised(x), atol=1e-3)
    np.testing.assert_allclose(standardised(scaled)[:, :5].std(0), 1, rtol=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.3, -1e-20, 7e12])
def test_a_constant_feature_becomes_zero(value):
    """Also one that is constant but for the last bit, as sums in another order give it; and a single vector."""
    x = np.full((50, 3), value, "f4")
    x[::2, 1] = np.nextafter(x[::2, 1], np.float32(np.inf))
    x[:, 2] = np.arange(50)
    found = standardised(x)
    assert not found[:, 0].any() and found[:, 2].std() == pytest.approx(1, rel=1e-4)
    assert not found[:, 1].any()
    assert not standardised(x[:1]).any()


# -- batches ----------------------------------------------------------------------------------------------------------


def test_batches_are_padded_to_their_longest():
    rng = np.random.default_rng(0)
    mask = np.array([[1, 1, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0]], bool)
    x = rng.normal(size=(3, 4, 2)).astype("f4")
    vectors, valid, *_ = features(x, mask).batch(torch.tensor([[2, 1], [1, 1]]))
    assert valid.tolist() == [[[True, True], [False, False]], [[False, False], [False, False]]]
    np.testing.assert_array_equal(vectors[0, 0], x[2][mask[2]])
    nothing = features(x, np.zeros((3, 4), bool))
    vectors, valid, *_ = nothing.batch(torch.tensor([0, 1, 2]))
    assert vectors.shape == (3, 1, 2) and not valid.any() and not nothing.present.any()


def counting(lengths):
    """Clips whose vectors are numbered: those of clip c are 100 c, 100 c + 1 and so on."""
    longest = max(lengths)
    x = (100 * np.arange(len(lengths))[:, None] + np.arange(longest))[..., None].astype("f4")
    return features(x, np.arange(longest) < np.array(lengths)[:, None])


def test_one_frame_a_third():
    """FAN's sampling: a random frame from each third; all frames of a short clip."""
    found, rng = counting([9, 2, 0, 30]), torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(200):
        x, mask, *_ = found.sample_segments(torch.arange(4), torch.rand(4, 3, generator=rng))
        assert mask.tolist() == [[True] * 3, [True, True, False], [False] * 3, [True] * 3]
        assert [int(v) // 3 for v in x[0, :, 0]] == [0, 1, 2]
        assert x[1, :2, 0].tolist() == [100, 101]
        seen |= {int(v) - 300 for v in x[3, :, 0]}
    assert seen == set(range(30))


def test_a_draw_just_below_one_stays_in_the_clip():
    """In float32, 2 + 0.99999994 is 3, which could become the first vector of the next clip."""
    found = counting([65, 65])
    for count in (3, 6, 64):
        x, *_ = found.sample_segments(torch.arange(2), torch.full((2, count), 1 - 2**-24))
        assert x[:, -1, 0].tolist() == [64, 164]


def test_frames_from_anywhere():
    found, rng = counting([9, 2, 0, 30]), torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(200):
        keys = torch.randint(2**31 - 1, (4,), dtype=torch.int32, generator=rng)
        x, mask, *_ = found.sample_random(torch.arange(4), keys, 3)
        assert mask.tolist() == [[True] * 3, [True, True, False], [False] * 3, [True] * 3]
        assert sorted(set(x[0, :, 0].tolist())) == x[0, :, 0].tolist()  # in order, none twice
        assert x[1, :2, 0].tolist() == [100, 101]
        seen |= {tuple(x[0, :, 0].tolist())}
    assert len(seen) > 60  # of 84 subsets


@pytest.mark.slow
@pytest.mark.parametrize("options", [
    {"sampling": "random"}, {"sampling": "random", "frames": 5}, {"sampling": "segments"}, {"frames": 5},
    {"augment": True, "sampling": "random"}, {"augment": True, "frames": 2},
], ids=lambda options: "-".join(map(str, options.values())))  # fmt: skip
def test_what_is_drawn_of_a_clip_depends_on_the_key_and_the_clip_alone(options):
    """Neither the clip's place in the batch, nor the other clips, nor the padding change the vectors of a clip."""
    data, chosen = long_clips(), FusionOptions(**options)
    key = torch.tensor([5], dtype=torch.int32)
    everyone = data.training_batch(torch.arange(60)[None], key, chosen)
    for rows in (torch.arange(59, -1, -1), torch.arange(0, 60, 7), *torch.arange(60)[:, None]):
        some = data.training_batch(rows[None], key, chosen)
        for stream, (x, mask, *_) in some.items():
            whole, whole_mask, *_ = everyone[stream]
            for place, clip in enumerate(rows.tolist()):
                assert torch.equal(x[0, place][mask[0, place]], whole[0, clip][whole_mask[0, clip]])
    other = data.training_batch(torch.arange(60)[None], key + 1, chosen)
    assert any(x.shape != everyone[s][0].shape or not torch.equal(x, everyone[s][0]) for s, (x, *_) in other.items())


def test_views_are_drawn_in_training_and_averaged_in_prediction():
    views = [counting([3, 4]), counting([2, 5])]
    both = concatenate(views)
    assert both.length.tolist() == [3, 4, 2, 5]
    data = FusionDataset.from_views({"f": views}, {"f": "face"}, np.array([0, 1]), CPU)
    assert data.full_batch(torch.tensor([0, 1]), 1)["f"].mask.sum(1).tolist() == [2, 5]
    lengths = set()
    for key in range(40):
        keys = torch.tensor([key], dtype=torch.int32)
        plain = data.training_batch(torch.tensor([[0, 1]]), keys, FusionOptions())["f"].mask.sum(2)
        assert plain.tolist() == [[3, 4]]
        lengths |= {
            tuple(
                data.training_batch(torch.tensor([[0, 1]]), keys, FusionOptions(augment=True))["f"]
                .mask.sum(2)[0]
                .tolist()
            )
        }
    assert lengths == {(3, 4), (2, 4), (3, 5), (2, 5)}


@pytest.mark.slow
def test_predictions_are_means_over_views():
    data, target = data_of(120)
    shifted = dataclasses.replace(data.streams["f"], x=data.streams["f"].x + 0.5)
    seen = FusionDataset.from_views(
        {"f": [data.streams["f"], shifted], "v": [data.streams["v"]]}, MODALITIES, target, CPU
    )
    options = FusionOptions(augment=True, **SMALL)
    networks = train(seen, [run_of(seen, options)])
    once = dataclasses.replace(networks[0].run, options=options.model_copy(update={"augment": False}))
    alone = dataclasses.replace(networks[0], run=once)
    other = FusionDataset.from_views({"f": [shifted], "v": [data.streams["v"]]}, MODALITIES, target, CPU)
    expected = (probabilities(seen, [alone])[0] + probabilities(other, [alone])[0]) / 2
    np.testing.assert_allclose(probabilities(seen, networks)[0], expected, atol=1e-6)


# -- training ---------------------------------------------------------------------------------------------------------

EVERYTHING = [
    {"fusion": "concat"},
    {"fusion": "fbp", "face_attention": "relation", "audio_attention": "patch"},
    {"fusion": "adaptive_fbp", "face_attention": "self", "audio_attention": "mean"},
    {"fusion": "gated", "mixup": 0.4, "frames": 2},
    {"fusion": "gmu", "frames": 9, "weight_decay": 0.9},
    {"fusion": "late", "class_weights": "balanced", "frames": 2, "sampling": "random"},
    {"fusion": "late", "sampling": "random"},
    {"fusion": "concat", "face_attention": "multihead", "frames": 70, "sampling": "random", "augment": True},
    {"fusion": "crossmodal", "face_attention": "multihead", "audio_attention": "multihead", "augment": True,
     "frames": 8},
    {"fusion": "concat", "early_stopping": EarlyStopping(patience=2)},
    {"optimizer": "sgd", "face_attention": "relation", "audio_attention": "self", "attention_dropout": 0.5, "frames": 3,
     "lr_steps": LearningRateSteps(every=2, factor=0.2), "weight_decay": 1e-4},
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", EVERYTHING, ids=lambda kind: "-".join(map(str, kind.values())))
def test_a_batch_of_networks_equals_single_networks(kind):
    """Networks of several seeds, candidates and folds in one batch give the same as each network alone.

    Their clips have 3 to 200 vectors, so each fold pads its clips to another length.
    """
    data = long_clips()
    wide = FusionOptions(
        **{**SMALL, "epochs": 3, "modality_dropout": 0.2}, **kind, search={"lr": [1e-2, 3e-3], "dropout": [0.1, 0.4]}
    )
    fold = np.arange(60) % 3
    runs = [
        run_of(data, options, seed, np.flatnonzero((fold != left_out) & data.present.numpy()), np.arange(5, 10))
        for options in candidates(wide)[1:3]  # they differ in both
        for seed in (0, 1)
        for left_out in (0, 1, -1)
    ]
    rows = [np.array([3, 0, 7]) if number % 2 else np.array([59, 1]) for number in range(len(runs))]
    together = train(data, runs)
    found = predict(data, together, rows)
    for number in (0, 4, 8, 11):
        alone = train(data, [runs[number]])
        assert alone[0].epochs == together[number].epochs
        np.testing.assert_allclose(predict(data, alone, [rows[number]])[0], found[number], atol=1e-7)
    assert len({p.tobytes() for p in found}) == len(runs)


def test_a_seed_varies_order_views_and_vectors_which_candidates_share(monkeypatch):
    data, seen, real = long_clips(), [], FusionDataset.training_batch
    options = FusionOptions(**{**SMALL, "epochs": 2, "batch": 60}, augment=True, frames=3, search={"lr": [1e-2, 3e-3]})

    def spy(dataset, rows, *arguments):
        seen.append((rows, real(dataset, rows, *arguments)))
        return seen[-1][1]

    monkeypatch.setattr(FusionDataset, "training_batch", spy)
    train(data, [run_of(data, each, seed) for each in candidates(options) for seed in (0, 1)])
    assert len(seen) == 2  # one stack, one step in each epoch
    for rows, batch in seen:
        assert rows.shape == (2, 60)  # a group for each seed, with both candidates
        assert not torch.equal(rows[0], rows[1])  # the order
        place = rows.argsort(1)
        first, second = (batch["f"][0][group][place[group]] for group in (0, 1))  # (60, 3, D)
        assert (first != second).any((1, 2)).float().mean() > 0.9  # the views and vectors
    assert not torch.equal(seen[0][0], seen[1][0])


@pytest.mark.slow
def test_fan_as_released_learns():
    """SGD, three frames, and dropout before attention's weights and before the classifier."""
    data, target = data_of(150)
    options = FusionOptions(
        **{**SMALL, "lr": 0.02, "epochs": 60, "dropout": 0.6, "modality_dropout": 0}, attention_dropout=0.5, frames=3,
        face_attention="relation", audio_attention="relation", optimizer="sgd",
        lr_steps=LearningRateSteps(every=20, factor=0.2), weight_decay=1e-4,
    )  # fmt: skip
    networks = train(data, [run_of(data, options)])
    fresh, expected = data_of(150, seed=1)
    for clips, truth in ((data, target), (fresh, expected)):
        right = probabilities(clips, networks)[0].argmax(1) == truth
        assert right[clips.present.numpy()].mean() > 0.7  # a guess: a third


@pytest.mark.slow
def test_a_batched_step_is_the_plain_loops():
    """A network without dropout ends with the same weights as in a plain loop over the same batches."""
    data, _ = data_of()
    options = FusionOptions(**{**SMALL, "dropout": 0.0, "modality_dropout": 0.0, "epochs": 3}, label_smoothing=0.1)
    one = run_of(data, options)
    found = train(data, [one])[0].state
    torch.manual_seed(0)
    model = FusionModel(data.moments(one.train_idx), MODALITIES, options, len(CLASSES))
    steps = one.steps * options.epochs
    shares = [cosine_warmup(step, 1, steps) for step in range(steps)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine_warmup(step, 1, steps))
    key = fold_in(fold_in(keys_from_seeds([0], CPU), 0), 1)
    batches = [
        rows[0][valid[0]] for e in range(3) for rows, valid in BatchSampler([one.train_idx], one.steps, key).epoch(e)
    ]
    for share, (rows,) in zip(shares, DataLoader([(rows,) for rows in batches], batch_size=None), strict=True):
        loss = torch.nn.functional.cross_entropy(
            model(data.full_batch(rows)), data.targets[rows], label_smoothing=options.label_smoothing
        )
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            for p in (p for p in model.parameters() if p.ndim > 1):
                p.mul_((1 - options.weight_decay) ** (share / sum(shares)))
        optimizer.step()
        schedule.step()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(found[name], value, atol=2e-4, rtol=2e-3)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_is_told():
    """Also of one network among others, whose loss would otherwise be the lowest: argmin takes NaN first."""
    data, _ = data_of()
    runs = [run_of(data, FusionOptions(**{**SMALL, "lr": lr}), seed) for seed, lr in ((0, 1e-3), (3, 1e38))]
    with pytest.raises(
        ConfigError, match=r"The loss of epoch \d+ is (nan|inf) for the seed 3 and lr 1e\+38\. Lower lr"
    ):
        train(data, runs)


@pytest.mark.slow
@pytest.mark.parametrize("fusion", ["concat", "fbp", "adaptive_fbp", "gated", "gmu", "late", "crossmodal"])
def test_training_learns_and_repeats(fusion):
    options = FusionOptions(fusion=fusion, **{**SMALL, "batch": 32, "lr": 2e-2})
    data, _ = data_of(240)
    unseen, truth = data_of(seed=1)
    networks = train(data, [run_of(data, options, seed) for seed in (0, 1)])
    again = train(data, [run_of(data, options, seed) for seed in (0, 1)])
    first, other = probabilities(unseen, networks)
    np.testing.assert_array_equal(first, probabilities(unseen, again)[0])
    assert not np.array_equal(first, other)
    np.testing.assert_allclose(first.sum(1), 1)
    both = (unseen.streams["f"].present & unseen.streams["v"].present).numpy()
    assert (first.argmax(1) == truth)[both].mean() > 0.8


@pytest.mark.slow
def test_the_order_of_clips_changes_no_prediction():
    data, _ = data_of()
    networks = train(data, [run_of(data, FusionOptions(**SMALL))])
    rows = np.array([5, 0, 59, 7, 31])
    whole = probabilities(data, networks)[0]
    np.testing.assert_allclose(predict(data, networks, [rows])[0], whole[rows], atol=1e-6)
    assert predict(data, networks, [rows[:0]])[0].shape == (0, 7)


@pytest.mark.slow
@pytest.mark.parametrize("fusion", ["concat", "fbp", "adaptive_fbp", "gated", "gmu", "late", "crossmodal"])
def test_one_modality_suffices_to_predict(fusion):
    """Without audio, predictions still depend on the face."""
    options = FusionOptions(fusion=fusion, modality_dropout=0.3, **{**SMALL, "batch": 32, "lr": 2e-2})
    data, _ = data_of(240)
    found, truth = streams(seed=1)
    found["v"] = features(np.zeros((60, 4, 6), "f4"), np.zeros((60, 4), bool))
    unseen = FusionDataset.from_views({s: [f] for s, f in found.items()}, MODALITIES, truth, CPU)
    p = probabilities(unseen, train(data, [run_of(data, options)]))[0]
    assert p[1:].std(0).max() > 0.05
    assert p[1:][truth[1:] == 0, 0].mean() > p[1:][truth[1:] != 0, 0].mean() + 0.2


@pytest.mark.slow
def test_early_stopping_keeps_the_epoch_with_the_least_loss():
    """With random labels and no weight decay, the held-out loss only rises, so the state of an early epoch is kept."""
    data, _ = data_of(200)
    noise = np.random.default_rng(5).integers(3, size=200)
    data = dataclasses.replace(data, targets=torch.from_numpy(noise))
    options = FusionOptions(
        **{**SMALL, "epochs": 40, "dropout": 0.0, "batch": 64, "weight_decay": 0.0},
        early_stopping=EarlyStopping(patience=3),
    )
    one = run_of(data, options, train_idx=np.arange(1, 120), stop_idx=np.arange(120, 200))
    kept = train(data, [one])[0]
    assert 1 <= kept.epochs <= 35
    p = predict(data, [kept], [one.stop_idx])[0]
    long = train(data, [run_of(data, options.model_copy(update={"early_stopping": None}), train_idx=one.train_idx)])
    q = predict(data, long, [one.stop_idx])[0]

    def loss(p):
        return -np.log(p[np.arange(80), noise[one.stop_idx]]).mean()

    assert loss(p) < loss(q)


@pytest.mark.slow
def test_a_saved_state_loads_into_a_model():
    """A saved state loads into a FusionModel, which gives the same predictions."""
    data, _ = data_of()
    options = FusionOptions(fusion="gated", **SMALL)
    networks = train(data, [run_of(data, options)])
    model = FusionModel(data.moments(np.arange(3)), MODALITIES, options, len(CLASSES)).eval()
    model.load_state_dict(networks[0].state, strict=True)
    with torch.no_grad():
        p = model(data.full_batch(torch.arange(60))).softmax(1)
    np.testing.assert_allclose(p, probabilities(data, networks)[0], atol=1e-5)


@pytest.mark.slow
def test_networks_of_a_group_see_the_same_clips():
    data, _ = data_of()
    options = FusionOptions(**SMALL)
    runs = [
        run_of(data, options, seed, train_idx)
        for train_idx in (np.arange(1, 30), np.arange(20, 60))
        for seed in (0, 1, 2)
    ]
    stack = Stack.init(data, runs, groups=2)
    rows = torch.tensor([[1, 2, 3], [30, 31, 32]])
    stack.train(False)
    logits = stack(data.full_batch(rows))
    assert logits.shape == (6, 3, 7)
    for number, state in enumerate(stack.states()):
        model = FusionModel(data.moments(np.arange(3)), MODALITIES, options, 7).eval()
        model.load_state_dict(state)
        torch.testing.assert_close(logits[number], model(data.full_batch(rows[number // 3])))


# -- interrupted training -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_cached_networks_are_not_trained_again(tmp_path, monkeypatch):
    data, _ = data_of()
    shapes = [FusionOptions(**SMALL, fusion=fusion) for fusion in ("concat", "gated")]
    runs = [run_of(data, options, seed) for options in shapes for seed in (0, 1)]
    whole = train(data, runs)
    programs, run = [], training._train_stack

    def interrupted(*arguments):
        programs.append(arguments)
        if len(programs) == 2:
            raise KeyboardInterrupt
        return run(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "_train_stack", interrupted)
        train(data, runs, cache=TrainedCache(tmp_path, "recipe"))
    with monkeypatch.context() as patch:
        patch.setattr(training, "_train_stack", lambda *arguments: programs.append(arguments) or run(*arguments))
        again = train(data, runs, cache=TrainedCache(tmp_path, "recipe"))
    assert len(programs) == 3  # the interrupted one is trained again, the finished one is not
    for one, other in zip(whole, again, strict=True):
        assert one.epochs == other.epochs and one.run is other.run
        assert all(torch.equal(one.state[key], other.state[key]) for key in one.state)


def test_keys_of_many_clips_are_short(tmp_path, monkeypatch):
    """A key holds digests, not the list of the clips, which takes gigabytes for many networks of a million clips."""
    data, _ = data_of()
    keys, known = [], []
    monkeypatch.setattr(trained_cache, "digest", lambda key: keys.append(key) or "name")
    monkeypatch.setattr(training, "plan_stacks", lambda dataset, runs, seen: known.append(seen) or iter(()))
    many = np.arange(1_000_000)
    runs = [Run(FusionOptions(), seed, many[:-1], many[-1:], 5) for seed in (0, 1)]
    TrainedCache(tmp_path, "recipe").load_or_train(runs, lambda: [])
    with contextlib.suppress(KeyError):  # no network is trained
        train(data, runs)
    assert all(len(json.dumps(found)) < 10_000 for found in (keys, known)) and keys and known
    first, second = (clips for clips, *_ in known[0])
    assert first == second != Run(FusionOptions(), 0, many[:-1], many[-2:-1], 5).clips_digest


@pytest.mark.slow
@pytest.mark.parametrize("change", ["recipe", "damage", "flip", "clips"])
def test_networks_of_another_recipe_or_other_clips_are_trained(tmp_path, monkeypatch, caplog, change):
    monkeypatch.setattr(LOGGER, "propagate", True)
    data, _ = data_of()
    options = FusionOptions(**SMALL | {"epochs": 1})
    train(data, [run_of(data, options)], cache=TrainedCache(tmp_path, "recipe"))
    whole = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for path, content in whole.items() if change in ("damage", "flip") else ():
        path.write_bytes(content[:100] if change == "damage" else content[:-2] + bytes([content[-2] ^ 64, content[-1]]))
    programs, run = [], training._train_stack
    monkeypatch.setattr(training, "_train_stack", lambda *arguments: programs.append(arguments) or run(*arguments))
    train_idx = np.arange(10, 40) if change == "clips" else None
    recipe = "another" if change == "recipe" else "recipe"
    train(data, [run_of(data, options, train_idx=train_idx)], cache=TrainedCache(tmp_path, recipe))
    assert len(programs) == 1
    assert ("They are trained again." in caplog.text) == (change in ("damage", "flip"))
    assert change not in ("damage", "flip") or whole == {path: path.read_bytes() for path in tmp_path.iterdir()}


def test_cached_networks_that_cannot_be_read_just_now_are_kept(tmp_path, monkeypatch):
    data, _ = data_of()
    runs = [run_of(data, FusionOptions(**SMALL | {"epochs": 1}))]
    train(data, runs, cache=TrainedCache(tmp_path, "recipe"))
    whole = {path: path.read_bytes() for path in tmp_path.iterdir()}
    programs, run = [], training._train_stack
    monkeypatch.setattr(training, "_train_stack", lambda *arguments: programs.append(arguments) or run(*arguments))
    with too_many_open_files(), pytest.raises(OSError, match="Too many open files"):
        train(data, runs, cache=TrainedCache(tmp_path, "recipe"))
    assert not programs and whole == {path: path.read_bytes() for path in tmp_path.iterdir()}
