"""The trainer: moving average, learning rate, sampling; that it learns; and that an interrupted run loses nothing."""

import collections
import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from emopipe.backbones.classifier import Classifier
from emopipe.core.errors import ConfigError, CorpusError
from emopipe.core.log import LOGGER
from emopipe.training import checkpoint as checkpoints
from emopipe.training import optimizer, sampling
from emopipe.training.checkpoint import Checkpoint
from emopipe.training.dataset import EvalBatch
from emopipe.training.ema import EMA
from emopipe.training.options import PretrainOptions
from emopipe.training.phase_options import PhaseOptions
from emopipe.training.trainer import Trainer, mean_by_clip, probabilities, scores
from tests.unit.test_memory import TOO_LITTLE_MEMORY

CPU = torch.device("cpu")
CLASSES = 7


@pytest.fixture(autouse=True)
def save_after_every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoints, "SAVE_SECONDS", 0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def one_hot(label):
    return np.eye(CLASSES, dtype=np.float32)[label]


def options(**keys):
    return PhaseOptions.model_validate({"sources": ["toy"], "epochs": 5, "batch": 8, "precision": "float32", **keys})


class Patterns:
    """Toy dataset: a class is a bright row of an 8 x 8 picture, under noise."""

    def __init__(self, n=56, n_val=14, noise=0.5, seed=0):
        label = np.arange(n + n_val) % CLASSES
        self.targets = one_hot(label)
        self.split = np.array(["train"] * n + ["val"] * n_val)
        self.subject = np.full(n + n_val, "", "<U8")
        self.clip = np.arange(n + n_val)
        self.seen = 0
        self._noise = noise
        rng = np.random.default_rng(seed)
        self._x = (noise * rng.normal(size=(n + n_val, 1, 8, 8))).astype(np.float32)
        self._x[np.arange(n + n_val), 0, label] += 1

    def batch(self, rows, rng, device):
        self.seen += 1
        x = torch.from_numpy(self._x[rows])
        return (x + 0.1 * self._noise * torch.randn(x.shape, generator=rng)).to(device)

    def eval_batches(self, rows, device):
        for start in range(0, len(rows), 16):
            x = torch.from_numpy(self._x[rows[start : start + 16]]).to(device)
            yield EvalBatch([x, x.flip(3)])


def network(dropout=0.2, seed=0, norm=True):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(1, 4, 3, padding=1), *([nn.BatchNorm2d(4)] if norm else []), nn.ReLU(), nn.Flatten()]
    return Classifier(nn.Sequential(*layers, nn.Linear(256, 8)), 8, dropout)


def trainer(folder, dataset=None, recipe="a recipe", seed=0, model=None, on_epoch=None, **keys):
    dataset = Patterns() if dataset is None else dataset
    model = network(seed=seed) if model is None else model
    known = {} if on_epoch is None else {"on_epoch": on_epoch}
    phase = options(**keys)
    teacher = "average" if phase.distill_weight and phase.teacher == "average" else None
    known |= {"stop": phase.stop, "distill_weight": phase.distill_weight, "teacher": teacher}
    return Trainer(model, dataset, phase, CPU, Checkpoint(folder / "checkpoint.pt", recipe), **known)


def trained(*arguments, **keys):
    made = trainer(*arguments, **keys)
    made.run()
    return made


def keep(content, path):
    """Write what torch saves as a checkpoint."""
    file = io.BytesIO()
    torch.save(content, file)
    path.write_bytes(hashlib.sha256(file.getvalue()).digest() + file.getvalue())


def kept(folder):
    """What the checkpoint holds."""
    return torch.load(io.BytesIO((folder / "checkpoint.pt").read_bytes()[32:]), weights_only=True)


def same(first, second):
    states = first.model.state_dict(), second.model.state_dict()
    return states[0].keys() == states[1].keys() and all(torch.equal(states[0][k], states[1][k]) for k in states[0])


# --- the average of weights


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.97])
def test_the_average_is_that_of_the_formula(decay):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    average = EMA(model, decay)
    expected = {key: tensor.double().numpy() for key, tensor in model.state_dict().items()}
    for step in range(1, 60):
        model(torch.randn(4, 2, generator=seeded(step)) * 3)  # moves the batch norm's statistics and its counter
        with torch.no_grad():
            for number, parameter in enumerate(model.parameters()):
                parameter += torch.randn(parameter.shape, generator=seeded(100 * step + number))
        average.update(model)
        share = min(decay, step / (step + 9))
        for key, tensor in model.state_dict().items():
            now = tensor.double().numpy()
            expected[key] = share * expected[key] + (1 - share) * now if tensor.is_floating_point() else now
    assert set(average.state) == set(expected) and average.steps == 59
    for key, tensor in average.state.items():
        np.testing.assert_allclose(tensor.numpy(), expected[key], rtol=1e-4, atol=1e-5)
    assert average.state["1.num_batches_tracked"] == 59
    if not decay:
        assert all(torch.equal(average.state[key], tensor) for key, tensor in model.state_dict().items())


def test_the_average_is_apart_from_the_model():
    model = nn.Linear(2, 2)
    average, before = EMA(model, 0.9), model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 1
    assert torch.equal(average.state["weight"], before)


# --- learning rate and optimiser


@pytest.mark.parametrize(("warm", "total"), [(0, 50), (10, 50), (2.5, 50), (0.4, 3), (0, 1)])
def test_the_rate_rises_and_falls_to_nothing(warm, total):
    rates = [optimizer.cosine_warmup(step, warm, total) for step in range(total + 1)]
    peak = int(np.argmax(rates))
    assert all(type(rate) is float and 0 <= rate <= 1 for rate in rates)  # NumPy's floats do not load again
    assert warm - 1 <= peak <= warm + 1 and (np.diff(rates[: peak + 1]) > 0).all() and (np.diff(rates[peak:]) < 0).all()
    assert rates[-1] == pytest.approx(0, abs=1e-12) and rates[0] > 0
    assert optimizer.cosine_warmup(total + 5, warm, total) == pytest.approx(0, abs=1e-12)


@pytest.mark.slow
def test_the_history_tells_the_rate_at_the_start_of_each_epoch(tmp_path):
    made = trained(tmp_path, lr=0.05, warmup=0.3, epochs=6)
    steps = 56 // 8
    wanted = [0.05 * optimizer.cosine_warmup(epoch * steps, 0.3 * 6 * steps, 6 * steps) for epoch in range(6)]
    assert [metrics["lr"] for metrics in made.history] == pytest.approx(wanted)


@pytest.mark.slow
@pytest.mark.parametrize(("optimiser", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_scales_and_offsets_are_not_decayed(optimiser, kind):
    model = network()
    model.backbone[0].bias.requires_grad = False
    made = optimizer.build_optimizer(model, options(optimiser=optimiser, lr=0.3, weight_decay=0.01))
    decayed, others = made.param_groups
    assert type(made) is kind and {group["lr"] for group in made.param_groups} == {0.3}
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.01, 0)
    assert [p.ndim for p in decayed["params"]] == [4, 2, 2] and [p.ndim for p in others["params"]] == [1, 1, 1, 1]
    assert optimiser == "adamw" or (decayed["momentum"], decayed["nesterov"]) == (0.9, True)


# --- what is drawn


def test_mixup_mixes_samples_and_targets_alike():
    target = torch.from_numpy(one_hot(np.arange(40) % CLASSES))
    x = torch.arange(40.0).view(40, 1, 1, 1).expand(40, 1, 2, 2)
    shares = []
    for seed in range(100):
        mixed, blended = sampling.mixup(x, target, 0.4, seeded(seed))
        torch.testing.assert_close(blended.sum(1), torch.ones(40))
        assert mixed.shape == x.shape and blended.min() >= 0
        # Row r is s r + (1 - s) p(r): over the batch, whoever is mixed with whom, the sum stays.
        torch.testing.assert_close(mixed.sum(), x.sum())
        other = torch.randperm(40, generator=_after_share(seed))
        moved = (other != torch.arange(40)).nonzero()[0, 0]
        share = float((mixed[moved, 0, 0, 0] - other[moved]) / (moved - other[moved]))
        torch.testing.assert_close(mixed, share * x + (1 - share) * x[other], atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(blended, share * target + (1 - share) * target[other], atol=1e-4, rtol=1e-3)
        shares.append(share)
    assert np.mean(shares) == pytest.approx(0.5, abs=0.12)
    assert np.var(shares) == pytest.approx(1 / (4 * (2 * 0.4 + 1)), rel=0.3)  # of Beta(0.4, 0.4)


def _after_share(seed):
    rng = seeded(seed)
    torch.randint(2**62, (1,), generator=rng)
    return rng


def test_mixup_may_mix_nothing():
    x, target = torch.randn(4, 1, 2, 2), torch.from_numpy(one_hot(np.arange(4)))
    assert sampling.mixup(x, target, 0, seeded()) == (x, target)
    assert sampling.mixup(x[:1], target[:1], 0.4, seeded())[0].equal(x[:1])
    first, again = (sampling.mixup(x, target, 0.4, seeded(3))[0] for _ in range(2))
    assert first.equal(again)


LABEL = np.repeat(np.arange(3), [900, 90, 10])


def test_every_row_comes_once_where_classes_are_taken_as_they_come():
    order = sampling.sample_epoch(one_hot(LABEL), 0, seeded())
    assert sorted(order) == list(range(1000)) and (order != np.arange(1000)).sum() > 900


@pytest.mark.parametrize(("balance", "wanted"), [(1.0, [1 / 3] * 3), (0.5, np.sqrt([0.9, 0.09, 0.01]))])
def test_rare_classes_come_more_often(balance, wanted):
    drawn = np.concatenate([LABEL[sampling.sample_epoch(one_hot(LABEL), balance, seeded(seed))] for seed in range(20)])
    assert len(drawn) == 20_000
    np.testing.assert_allclose(np.bincount(drawn) / len(drawn), wanted / np.sum(wanted), atol=0.012)


def test_held_out_by_class():
    nobody = np.full(1000, "")
    held = sampling.holdout_split(one_hot(LABEL), nobody, 0.1, seed=0)
    assert np.bincount(LABEL[held]).tolist() == [90, 9, 1]
    assert np.bincount(LABEL[sampling.holdout_split(one_hot(LABEL), nobody, 0.01, seed=0)]).tolist() == [9, 1, 1]
    assert np.bincount(LABEL[sampling.holdout_split(one_hot(LABEL), nobody, 0.99, seed=0)]).tolist() == [891, 89, 9]
    assert np.array_equal(held, sampling.holdout_split(one_hot(LABEL), nobody, 0.1, seed=0))
    assert not np.array_equal(held, sampling.holdout_split(one_hot(LABEL), nobody, 0.1, seed=1))


def test_held_out_by_speaker():
    speaker = np.array([f"s{n % 10}" for n in range(1000)])
    held = sampling.holdout_split(one_hot(LABEL), speaker, 0.2, seed=0)
    assert len(set(speaker[held])) == 2 and not set(speaker[held]) & set(speaker[~held])
    assert held.sum() == 200
    for share, count in ((0.01, 1), (0.99, 9)):
        assert len(set(speaker[sampling.holdout_split(one_hot(LABEL), speaker, share, seed=0)])) == count
    chosen = {
        tuple(sorted(set(speaker[sampling.holdout_split(one_hot(LABEL), speaker, 0.2, seed)]))) for seed in range(10)
    }
    assert len(chosen) > 3
    partly = np.where(speaker == "s0", "", speaker)  # whoever is unknown may be anybody: by class
    assert np.bincount(LABEL[sampling.holdout_split(one_hot(LABEL), partly, 0.1, seed=0)]).tolist() == [90, 9, 1]


def test_nothing_can_be_held_out_of_one_sample_a_class():
    with pytest.raises(
        CorpusError, match=r"`stop` cannot hold out any of the 7 training samples, because every class has only one"
    ):
        sampling.holdout_split(one_hot(np.arange(7)), np.full(7, ""), 0.5, seed=0)


# --- what it learns


@pytest.mark.slow
@pytest.mark.parametrize(
    "keys",
    [
        {"lr": 0.1, "ema": 0.9},
        {"optimiser": "adamw", "lr": 0.01, "ema": 0.0, "precision": "bfloat16"},
        {"lr": 0.1, "ema": 0.9, "balance": 1.0, "mixup": 0.0, "label_smoothing": 0.0, "weight_decay": 0.0},
    ],
    ids=["sgd", "adamw", "balanced"],
)
def test_it_learns_what_can_be_told_apart(tmp_path, keys):
    dataset = Patterns(n=140, n_val=70)
    made = trained(tmp_path, dataset=dataset, epochs=10, batch=14, **keys)
    assert made.history[-1]["val_accuracy"] > 0.95 and made.history[-1]["val_uar"] > 0.95
    assert made.history[-1]["loss"] < 0.8 * made.history[0]["loss"]
    assert all(np.isfinite(list(metrics.values())).all() for metrics in made.history)
    assert all(tensor.isfinite().all() for tensor in made.model.state_dict().values())
    assert not made.model.training
    rows = np.flatnonzero(dataset.split == "val")
    found = scores(probabilities(made.model, dataset, rows, CPU), dataset.targets[rows])
    assert {f"val_{key}": value for key, value in found.items()} == {
        key: value for key, value in made.history[-1].items() if key.startswith("val_")
    }


@pytest.mark.slow
def test_soft_targets_are_what_it_comes_to_tell(tmp_path):
    dataset = Patterns(n=56, n_val=0, noise=0.0)
    wanted = np.full((56, CLASSES), 0.02, np.float32)
    label = np.arange(56) % CLASSES
    wanted[np.arange(56), label] = 0.6
    wanted[np.arange(56), (label + 1) % CLASSES] = 0.3
    dataset.targets = wanted
    plain = {"label_smoothing": 0.0, "mixup": 0.0, "dropout": 0.0, "weight_decay": 0.0, "ema": 0.9}
    made = trained(tmp_path, dataset=dataset, model=network(dropout=0.0), epochs=40, lr=0.05, **plain)
    found = probabilities(made.model, dataset, np.arange(56), CPU)
    np.testing.assert_allclose(found, wanted, atol=0.03)
    entropy = -(wanted * np.log(wanted)).sum(1).mean()
    assert entropy <= made.history[-1]["loss"] < entropy + 0.02


@pytest.mark.slow
def test_val_chooses_nothing(tmp_path):
    with_val, without = Patterns(), Patterns()
    without.split[without.split == "val"] = ""
    first = trained(tmp_path / "a", dataset=with_val, dropout=0.3)
    second = trained(tmp_path / "b", dataset=without, dropout=0.3)
    assert same(first, second)
    assert [metrics["loss"] for metrics in first.history] == [metrics["loss"] for metrics in second.history]
    assert not any(key.startswith("val_") for metrics in second.history for key in metrics)


@pytest.mark.slow
def test_val_is_looked_at_now_and_then_and_at_the_end(tmp_path):
    made = trained(tmp_path, epochs=7, validate_every=3)
    assert [metrics["epoch"] for metrics in made.history if "val_loss" in metrics] == [3, 6, 7]
    assert set(made.history[2]) == {"epoch", "lr", "loss", "val_loss", "val_accuracy", "val_uar"}
    assert set(made.history[1]) == {"epoch", "lr", "loss"}


@pytest.mark.slow
def test_samples_of_no_split_are_never_seen(tmp_path):
    dataset = Patterns()
    dataset.split[:7] = ""
    dataset._x[:7] = np.nan
    assert np.isfinite(trained(tmp_path, dataset=dataset).history[-1]["loss"])


@pytest.mark.slow
def test_the_seed_decides(tmp_path):
    first, again = (trained(tmp_path / name) for name in ("a", "b"))
    other = trained(tmp_path / "c", **{"seed": 0, "epochs": 5}, dataset=Patterns(seed=1))
    assert same(first, again) and first.history == again.history
    assert not same(first, other)


@pytest.mark.parametrize(("precision", "expected"), [("auto", {"float32"}), ("bfloat16", {"bfloat16"})])
def test_precision_follows_the_device(tmp_path, precision, expected):
    made, found = trainer(tmp_path, epochs=1, precision=precision, validate_every=9), set()
    made.model.head.register_forward_hook(
        lambda module, _, y: found.add(str(y.dtype).removeprefix("torch.")) if module.training else None
    )
    made.run()
    assert found == expected
    made.device = torch.device("cuda")
    assert made._uses_bfloat16()


def test_all_training_chooses_the_precision_by_the_device():
    assert PretrainOptions().precision == PhaseOptions(sources=["toy"]).precision == "auto"


def test_too_few_samples_are_refused(tmp_path):
    dataset = Patterns()
    dataset.split[1:] = ""
    with pytest.raises(CorpusError, match=r"1 training samples were found and 0 of them are held out, but at least 2"):
        trainer(tmp_path, dataset=dataset).run()
    two = Patterns(n=14, n_val=0)
    two.split[[*range(2, 7), *range(9, 14)]] = ""
    two.split[[1, 8]] = ""
    with pytest.raises(CorpusError, match=r"2 training samples were found and 1 of them are held out"):
        trainer(tmp_path, dataset=two, stop={}).run()


def test_a_loss_that_is_no_number_ends_training(tmp_path):
    made = trainer(tmp_path, lr=1e30, warmup=0.0)
    with pytest.raises(
        ConfigError, match=r"The loss of epoch \d of training is (nan|inf)\. Lower the learning rate \(lr is 1e\+30\)"
    ):
        made.run()
    assert all(np.isfinite(metrics["loss"]) for metrics in made.history)


def test_a_weight_that_is_no_number_ends_training(tmp_path):
    """The last step may break the weights after the last loss was finite."""
    made = trainer(tmp_path, epochs=1)
    step, count = made._step, []

    def broken(batch):
        loss = step(batch)
        count.append(loss)
        if len(count) == 7:
            next(made.model.parameters()).data.fill_(np.inf)
        return loss

    made._step = broken
    with pytest.raises(ConfigError, match=r"The weights after epoch 1 of training are not finite\. Lower the learning"):
        made.run()


# --- scores


@pytest.mark.slow
def test_samples_of_a_clip_are_scored_together(tmp_path):
    """Of three faces of a clip, one that is surely right outweighs two that are slightly wrong."""
    values = np.array([[0.9, 0.1], [0.3, 0.7], [0.45, 0.55], [0.45, 0.55]])
    np.testing.assert_allclose(mean_by_clip(values, np.array([7, 2, 7, 7])), [[0.3, 0.7], [0.6, 0.4]])
    single, pairs = Patterns(n=28, noise=3.0), Patterns(n=28, noise=3.0)
    pairs.clip = np.r_[np.arange(28), 28 + np.arange(14) % 7]  # two val samples of each class are one clip
    first, second = (trained(tmp_path / name, dataset=data) for name, data in (("a", single), ("b", pairs)))
    assert same(first, second)
    rows = np.flatnonzero(pairs.split == "val")
    found = probabilities(second.model, pairs, rows, CPU)
    expected = scores((found[:7] + found[7:]) / 2, pairs.targets[rows[:7]])
    assert expected["loss"] == pytest.approx(second.history[-1]["val_loss"])
    assert first.history[-1]["val_loss"] != pytest.approx(expected["loss"])


def test_scores_by_hand():
    targets = one_hot([0, 0, 0, 1, 2, 2])
    found = np.full((6, CLASSES), 0.05)
    for row, column in enumerate([0, 0, 1, 1, 3, 4]):  # 2 of 3, 1 of 1, 0 of 2
        found[row, column] = 0.7
    told = scores(found, targets)
    assert told["accuracy"] == pytest.approx(3 / 6) and told["uar"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert told["loss"] == pytest.approx(-(3 * np.log(0.7) + 3 * np.log(0.05)) / 6)


def test_views_are_averaged_and_parts_kept_in_order(tmp_path):
    dataset, model = Patterns(), network().eval()
    rows = np.random.default_rng(0).permutation(len(dataset.split))
    found = probabilities(model, dataset, rows, CPU)
    with torch.no_grad():
        x = torch.from_numpy(dataset._x[rows])
        wanted = (model(x).softmax(1) + model(x.flip(3)).softmax(1)) / 2
    assert found.dtype == np.float64 and found.shape == (70, CLASSES)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-6)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-12)


# --- early stopping


def test_the_best_epochs_weights_stay(tmp_path):
    dataset = Patterns(n=70, noise=1.5)
    # Half of the training labels can only be learned by heart.
    dataset.targets[:70:2] = one_hot(np.random.default_rng(0).integers(0, CLASSES, 35))
    made = trainer(
        tmp_path, dataset=dataset, epochs=60, lr=0.1, ema=0.5, mixup=0.0, stop={"hold_out": 0.3, "patience": 4}
    )
    averages = []
    made.on_epoch = lambda metrics: averages.append({k: v.clone() for k, v in made._ema.state.items()})
    made.run()
    losses = [metrics["held_out_loss"] for metrics in made.history]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 4 < 60
    assert set(made.history[0]) >= {"held_out_loss", "held_out_accuracy", "held_out_uar"}
    assert all(torch.equal(averages[best][key], tensor) for key, tensor in made.model.state_dict().items())
    train = np.flatnonzero(dataset.split == "train")
    held = train[sampling.holdout_split(dataset.targets[train], dataset.subject[train], 0.3, 0)]
    again = scores(probabilities(made.model, dataset, held, CPU), dataset.targets[held])
    assert again["loss"] == pytest.approx(losses[best])


def test_equal_losses_are_no_better(tmp_path):
    made = trained(
        tmp_path,
        model=network(norm=False),
        lr=1e-30,
        weight_decay=0.0,
        epochs=30,
        stop={"hold_out": 0.2, "patience": 3},
    )
    assert len({metrics["held_out_loss"] for metrics in made.history}) == 1 and len(made.history) == 1 + 3


def test_no_gradient_sees_what_is_held_out(tmp_path):
    dataset = Patterns()
    dataset.subject[:] = [f"s{n // 14}" for n in range(70)]
    seen = collections.Counter()
    varied = dataset.batch
    dataset.batch = lambda rows, rng, device: seen.update(rows.tolist()) or varied(rows, rng, device)
    trained(tmp_path, dataset=dataset, epochs=3, stop={"hold_out": 0.25})
    train = np.flatnonzero(dataset.split == "train")
    held = sampling.holdout_split(dataset.targets[train], dataset.subject[train], 0.25, 0)
    assert set(seen) == set(train[~held]) and set(seen.values()) == {3} and held.sum() == 14


# --- distilled from the average of its own weights


@pytest.mark.slow
def test_the_average_teaches_more_and_more(tmp_path):
    """Its share rises through the second half; it is the average itself, and it is not moved by gradients."""
    shares, told = [], []
    made = trainer(tmp_path, on_epoch=told.append, epochs=4, distill_weight=0.8, teacher="average", ema=0.9)
    share = made._distill_weight
    made._distill_weight = lambda: shares.append(share()) or shares[-1]
    made.run()
    np.testing.assert_allclose(shares, 0.8 * (np.arange(28) / 14 - 1).clip(0))
    teacher = made.teacher.state_dict()
    assert teacher.keys() == made._ema.state.keys() and not made.teacher.training
    assert all(teacher[key].data_ptr() == made._ema.state[key].data_ptr() for key in teacher)
    assert all(parameter.grad is None for parameter in made.teacher.parameters())


@pytest.mark.slow
def test_what_the_average_says_counts(tmp_path):
    runs = [trained(tmp_path / str(share), distill_weight=share, teacher="average", ema=0.9) for share in (0.0, 0.8)]
    assert not same(*runs) and runs[0].teacher is None


# --- cut off, and taken up again


class CutOff(Exception):  # noqa: N818 - it stands for a signal
    """The run ends here."""


LONG = {"epochs": 6, "lr": 0.1, "mixup": 0.4, "validate_every": 2, "dropout": 0.3, "ema": 0.9}
RECIPES = {
    "sgd": LONG,
    "adamw": LONG | {"optimiser": "adamw", "lr": 0.01, "balance": 0.5, "precision": "bfloat16"},
    "distilled": LONG | {"distill_weight": 0.8, "teacher": "average"},
    "stopped": LONG | {"stop": {"hold_out": 0.3, "patience": 2}, "epochs": 12, "lr": 0.3},
}


def cut_off_after(epochs):
    def on_epoch(metrics):
        if metrics["epoch"] == epochs:
            raise CutOff

    return on_epoch


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Recipe -> its run in one piece."""
    return {name: trained(tmp_path_factory.mktemp(name), **keys) for name, keys in RECIPES.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_run_cut_off_after_any_epoch_comes_to_the_same(tmp_path, undisturbed, name):
    whole = undisturbed[name]
    assert len(whole.history) > 3
    for epochs in range(1, len(whole.history) + 1):
        folder = tmp_path / str(epochs)
        with pytest.raises(CutOff):
            trainer(folder, on_epoch=cut_off_after(epochs), **RECIPES[name]).run()
        told, dataset = [], Patterns()
        # Another seed's weights: all that counts comes from the checkpoint.
        again = trained(folder, dataset=dataset, seed=99, on_epoch=told.append, **RECIPES[name])
        assert same(again, whole) and again.history == whole.history
        assert told == whole.history  # epochs of the first run too
        steps = (56 - (0 if "stop" not in RECIPES[name] else 14)) // 8
        assert dataset.seen == steps * (len(whole.history) - epochs)


@pytest.mark.slow
def test_a_run_cut_off_several_times_and_within_epochs_comes_to_the_same(tmp_path, undisturbed):
    class Breaking(Patterns):
        def batch(self, rows, rng, device):
            if self.seen == 11:
                raise CutOff
            return super().batch(rows, rng, device)

    for _ in range(5):  # 11 steps a run, 7 an epoch
        with pytest.raises(CutOff):
            trainer(tmp_path, dataset=Breaking(), **RECIPES["sgd"]).run()
    again = trained(tmp_path, **RECIPES["sgd"])
    assert same(again, undisturbed["sgd"]) and again.history == undisturbed["sgd"].history


CHILD = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from emopipe.training import checkpoint
from tests.unit.test_pretraining_trainer import RECIPES, Patterns, trainer
checkpoint.SAVE_SECONDS = 0
class Slow(Patterns):
    def batch(self, rows, rng, device):
        time.sleep(0.02)
        return super().batch(rows, rng, device)
def on_epoch(metrics):
    print(metrics["epoch"], flush=True)
trainer(Path(sys.argv[1]), dataset=Slow(), on_epoch=on_epoch, **RECIPES[sys.argv[2]]).run()
print("done", flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_a_killed_process_comes_to_the_same(tmp_path, undisturbed):
    repository = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path), "stopped"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
    ) as child:
        while child.stdout.readline().strip() != "2":
            assert child.poll() is None
        time.sleep(0.05)  # well within the next epoch
        child.send_signal(signal.SIGKILL)
        assert "done" not in child.stdout.read()
    assert child.returncode == -signal.SIGKILL
    told = []
    again = trained(tmp_path, seed=99, on_epoch=told.append, **RECIPES["stopped"])
    assert same(again, undisturbed["stopped"]) and again.history == undisturbed["stopped"].history
    state = kept(tmp_path)
    assert state["epochs"] == len(again.history) == len(told)


@pytest.mark.slow
def test_a_finished_run_is_not_run_again(tmp_path, undisturbed, monkeypatch):
    """Its last state is saved, also where it stops early, soon after the state before."""
    monkeypatch.setattr(checkpoints, "SAVE_SECONDS", 1000)
    trained(tmp_path, **RECIPES["stopped"])
    dataset = Patterns()
    again = trained(tmp_path, dataset=dataset, seed=99, **RECIPES["stopped"])
    assert not dataset.seen and same(again, undisturbed["stopped"])


@pytest.mark.slow
def test_another_recipes_checkpoint_is_not_taken_up(tmp_path, undisturbed):
    with pytest.raises(CutOff):
        trainer(tmp_path, recipe="another", on_epoch=cut_off_after(3), **RECIPES["sgd"]).run()
    dataset = Patterns()
    made = trained(tmp_path, dataset=dataset, **RECIPES["sgd"])
    assert dataset.seen == 6 * 7 and same(made, undisturbed["sgd"])
    assert kept(tmp_path)["recipe"] == "a recipe"


def flips(content):
    """A content with a bit turned at one place after another, the rarest of faults that a disk makes."""
    for place in range(0, len(content), max(1, len(content) // 200)):
        yield content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]


@pytest.mark.slow
def test_a_checkpoint_with_a_flipped_bit_is_not_taken_up(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(LOGGER, "propagate", True)
    path = tmp_path / "checkpoint.pt"
    checkpoint = Checkpoint(path, "a recipe")
    checkpoint.save({"model": network().state_dict()})
    whole = path.read_bytes()
    assert checkpoint.load(CPU)
    checkpoint.save({"model": network().state_dict()})
    assert path.read_bytes() == whole
    for damaged in [b"", whole[:31], whole[:-1], whole + b"x", *flips(whole)]:
        path.write_bytes(damaged)
        caplog.clear()
        assert checkpoint.load(CPU) is None
        assert "so training starts again" in caplog.text


def test_a_checkpoint_that_cannot_be_read_just_now_is_kept(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EMFILE, "Too many open files")

    path = tmp_path / "checkpoint.pt"
    checkpoint = Checkpoint(path, "a recipe")
    checkpoint.save({"epoch": 1})
    with monkeypatch.context() as patch, pytest.raises(OSError, match="Too many open files"):
        patch.setattr("builtins.open", fail)
        checkpoint.load(CPU)
    assert checkpoint.load(CPU)["epoch"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("error", TOO_LITTLE_MEMORY)
def test_too_little_memory_costs_no_checkpoint(tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    path = tmp_path / "checkpoint.pt"
    with pytest.raises(CutOff):
        trainer(tmp_path, on_epoch=cut_off_after(3), **RECIPES["sgd"]).run()
    content = path.read_bytes()
    with monkeypatch.context() as patch, pytest.raises(type(error)):
        patch.setattr(torch, "load", fail)
        trainer(tmp_path, **RECIPES["sgd"]).run()
    assert path.read_bytes() == content and kept(tmp_path)["epochs"] == 3


def test_a_checkpoint_is_read_before_its_tensors_are_moved_to_the_device(tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "a recipe")
    checkpoint.save({"model": {"w": torch.ones(2)}, "steps": [torch.ones(1), (torch.zeros(1), 3)], "epochs": 57})

    class Small(torch.utils._python_dispatch.TorchDispatchMode):
        """A device that is full once the file is read."""

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if "meta" in str(kwargs):
                raise torch.OutOfMemoryError("the device is full")
            return func(*args, **(kwargs or {}))

    found = checkpoint.load(torch.device("meta"))
    assert found["model"]["w"].is_meta and found["steps"][0].is_meta and found["steps"][1][0].is_meta
    assert (found["steps"][1][1], found["epochs"]) == (3, 57)
    with Small(), pytest.raises(torch.OutOfMemoryError, match="the device is full"):
        checkpoint.load(torch.device("meta"))


@pytest.mark.parametrize("failure", [KeyError, IndexError, TypeError, AttributeError])
def test_whatever_torch_raises_of_a_checkpoint_training_starts_again(tmp_path, monkeypatch, failure):
    def fail(*_, **__):
        raise failure("x")

    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "a recipe")
    checkpoint.save({})
    monkeypatch.setattr(torch, "load", fail)
    assert checkpoint.load(CPU) is None


def test_a_checkpoint_holds_nothing_that_runs(tmp_path):
    trained(tmp_path, **RECIPES["stopped"])
    state = kept(tmp_path)
    assert state["best"] and state["history"] and state["ema_steps"] > 0
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


# --- the recipe's options


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"sources": []}, "at least 1 item"),
        ({"sources": ["a", "b", "a"]}, "a is listed twice; list it once"),
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"batch": 1}, "greater than or equal to 2"),
        ({"ema": 1}, "less than 1"),
        ({"optimiser": "adam"}, "'sgd' or 'adamw'"),
        ({"stop": {"patience": 0}}, "greater than or equal to 1"),
        ({"stop": {"wait": 3}}, "Extra inputs"),
        ({"momentum": 0.9}, "Extra inputs"),
        (
            {"from_scratch": True, "distill_weight": 0.5, "teacher": "average"},
            "the phase starts from are not the teacher",
        ),
        ({"distill_weight": 0.5, "teacher": "average", "ema": 0}, "the average is the network itself"),
    ],
)
def test_wrong_options_are_refused(keys, said):
    with pytest.raises(ValidationError, match=said):
        options(**keys)
