"""Training in which an audio network also imitates another network's vectors."""

import json

import numpy as np
import pytest
import soundfile
import torch
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

from emopipe.backbones.base import AudioInput, Spec, WaveInput
from emopipe.cache.metadata import read_metadata
from emopipe.commands.main import app
from emopipe.media.spectrogram import RATE, LogMelOptions, compute_spectrogram
from emopipe.media.wave import as_wave
from emopipe.training import imitated_vectors
from emopipe.training.checkpoint import Checkpoint
from emopipe.training.imitation import Imitation
from emopipe.training.phase_options import ImitationOptions
from emopipe.training.trainer import Trainer, probabilities
from tests.unit.test_backbones_hub import needs_transformers, save_tiny
from tests.unit.test_pretraining_trainer import CPU, CutOff, Patterns, cut_off_after, network, options, same

LONG = {"epochs": 8, "lr": 0.02, "mixup": 0.2, "dropout": 0.0, "ema": 0.5, "optimiser": "adamw", "weight_decay": 0.0}


@pytest.fixture(autouse=True)
def save_after_every_epoch(monkeypatch):
    monkeypatch.setattr("emopipe.training.checkpoint.SAVE_SECONDS", 0)


def of_pictures(dataset, weight=2.0):
    """Another network's vectors: how bright each column is, which the classes do not say."""
    vectors = dataset._x.sum((1, 2)).astype(np.float32)  # (n, 8)
    torch.manual_seed(4)
    return Imitation(vectors, dataset.split == "train", 8, weight)


def trainer(folder, imitated=of_pictures, seed=0, on_epoch=lambda metrics: None, **keys):
    dataset = Patterns()
    given = {"imitation": imitated(dataset)} if imitated else {}
    model = network(seed=seed, dropout=0.0)
    return Trainer(
        model, dataset, options(**LONG | keys), CPU, Checkpoint(folder / "c.pt", "r"), on_epoch=on_epoch, **given
    )


def error(made):
    """The mean squared error of the imitation on the samples that were not trained on."""
    x, rows = torch.from_numpy(made.dataset._x), made.dataset.split == "val"
    with torch.inference_mode():
        found = made.imitation.fc(made.model.pooled(x)).numpy()
    return float(((found - made.imitation.targets)[rows] ** 2).mean())


def test_targets_are_standardised_by_the_training_samples():
    vectors = np.random.default_rng(0).normal(5, 3, (40, 3)).astype(np.float32)
    vectors[:, 2] = 7
    is_trained = np.arange(40) < 30
    made = Imitation(vectors, is_trained, 6, 1.0)
    np.testing.assert_allclose(made.targets[:30].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(made.targets[:30].std(0), [1, 1, 0], atol=1e-5)
    assert made.targets.shape == (40, 3) and made.targets.dtype == np.float32 and made.fc.weight.shape == (3, 6)
    assert np.abs(made.targets[30:].mean(0)[:2]).max() > 1e-3


def test_the_loss_is_the_weighted_mean_squared_error():
    made = Imitation(np.eye(4, dtype=np.float32), np.ones(4, bool), 6, 2.5)
    pooled, targets = torch.randn(5, 6), torch.randn(5, 4)
    expected = 2.5 * (made.fc(pooled) - targets).pow(2).mean()
    torch.testing.assert_close(made.loss(pooled, targets), expected)


@pytest.mark.slow
def test_the_network_learns_to_predict_the_vectors_beside_the_classes(tmp_path):
    made = trainer(tmp_path, epochs=30, mixup=0)
    made.run()
    found = probabilities(made.model, made.dataset, np.arange(56), CPU)
    assert (found.argmax(1) == made.dataset.targets[:56].argmax(1)).mean() > 0.9
    alone = trainer(tmp_path / "alone", imitated=None, epochs=30, mixup=0)
    alone.run()
    # The best linear layer on the vectors of the network that never imitated.
    alone.imitation = of_pictures(alone.dataset)
    with torch.inference_mode():
        x = alone.model.pooled(torch.from_numpy(alone.dataset._x))
        x = torch.cat([x, torch.ones(len(x), 1)], 1)
        solved = torch.linalg.lstsq(x[:56], torch.from_numpy(alone.imitation.targets[:56])).solution
        alone.imitation.fc.weight.copy_(solved[:-1].T)
        alone.imitation.fc.bias.copy_(solved[-1])
    assert error(made) < 0.8 * error(alone)


@pytest.mark.slow
def test_a_weight_near_nothing_changes_nothing_of_the_network(tmp_path):
    """The classes' loss and its randomness are those of training without imitation."""
    without, with_none = (
        trainer(tmp_path / "a", imitated=None),
        trainer(tmp_path / "b", lambda d: of_pictures(d, 1e-30)),
    )
    without.run()
    with_none.run()
    assert same(without, with_none)


@pytest.mark.slow
def test_an_interrupted_training_comes_to_the_same(tmp_path):
    whole = trainer(tmp_path / "whole")
    whole.run()
    with pytest.raises(CutOff):
        trainer(tmp_path / "cut", on_epoch=cut_off_after(3)).run()
    again = trainer(tmp_path / "cut", seed=99)
    with torch.no_grad():
        again.imitation.fc.weight.zero_()
    again.run()
    assert same(whole, again) and torch.equal(whole.imitation.fc.weight, again.imitation.fc.weight)
    assert whole.history == again.history


# --- another network's vectors


class Doubles:
    """Stands for a trained audio network: a vector for every 100 values of its input."""

    device = "cpu"

    def __call__(self, sound):
        flat = sound.reshape(-1)
        frames = flat[: len(flat) // 100 * 100].reshape(-1, 100)
        return np.stack([frames.mean(1), frames.max(1)], 1)[None].astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("takes", [WaveInput(RATE), WaveInput(8000), AudioInput("logmel", LogMelOptions())])
def test_vectors_are_mean_and_spread_over_time(monkeypatch, takes):
    spec = Spec(modality="audio", input=takes, dim=2, licence="MIT", citation="none")
    monkeypatch.setattr(imitated_vectors.registry, "spec", lambda kind, own: spec)
    monkeypatch.setattr(imitated_vectors.registry, "build", lambda kind, own, **where: Doubles())
    rng = np.random.default_rng(0)
    waves = [rng.integers(-9000, 9000, length).astype(np.int16) for length in (4000, 9000)]
    found = imitated_vectors.vectors(waves, ImitationOptions(kind="hf:x"), device="cpu", threads=1)
    assert found.shape == (2, 4) and found.dtype == np.float32
    if takes == WaveInput(8000):
        assert np.abs(found[:, 0]).max() < 0.01  # the mean of noise
        return
    for wave, row in zip(map(as_wave, waves), found, strict=True):
        sound = wave if isinstance(takes, WaveInput) else compute_spectrogram(wave, takes.options)
        (frames,) = Doubles()(sound[None])
        np.testing.assert_allclose(row, [*frames.mean(0), *frames.std(0)], rtol=1e-5)


# --- emopipe pretrain


def pretrain(folder, imitate):
    rng = np.random.default_rng(0)
    for actor in ("01", "02"):
        for emotion in ("03", "05"):
            path = folder / "voices" / f"03-01-{emotion}-01-01-01-{actor}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, 0.1 * rng.standard_normal(RATE // 4), RATE)
    source = {"kind": "ravdess", "path": "voices", "options": {"modality": "audio", "val_subjects": ["02"]}}
    phase = {"sources": ["v"], "epochs": 2, "batch": 2, "seconds": 0.3, "precision": "float32", **imitate}
    recipe = {"kind": "speech", "options": {"width": 2, "dim": 4}, "sources": {"v": source}, "schedule": [phase]}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    out = folder / f"{len(imitate)}.safetensors"
    given = [folder / "recipe.yaml", "--data", folder, "--out", out, "--device", "cpu", "--threads", 1]
    return CliRunner().invoke(app, ["pretrain", *map(str, given)]), out


@pytest.mark.slow
@needs_transformers
def test_a_recipe_may_imitate_a_network(tmp_path):
    save_tiny(tmp_path / "net")
    result, out = pretrain(tmp_path, {"imitate": {"kind": f"hf:{tmp_path / 'net'}", "options": {"layers": 1}}})
    assert result.exit_code == 0, result.output
    plain, other = pretrain(tmp_path, {})
    assert plain.exit_code == 0, plain.output
    first, second = load_file(out), load_file(other)
    assert first.keys() == second.keys()  # the file holds nothing of the imitation
    assert any(not torch.equal(first[key], second[key]) for key in first)
    recipe = json.loads(read_metadata(out)["recipe"])
    assert len(recipe["imitated"]["nets"]) == 3 and recipe["imitated"]["package"].startswith("transformers ")
    assert "imitated" not in json.loads(read_metadata(other)["recipe"])


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (
            {"kind": "speech"},
            "schedule.0.imitate.kind is speech, but the network to imitate is an already trained audio",
        ),
        ({"kind": "expression"}, "imitate.kind is expression, but the network to imitate is an already trained audio"),
        ({"kind": "nothing"}, "schedule.0.imitate.kind is 'nothing'"),
        ({"kind": "hf:x", "weight": 0}, "imitate.weight"),
        ({"kind": "hf:x", "options": {"layre": 1}}, "layre"),
    ],
)
def test_what_cannot_be_imitated_is_refused_before_training(tmp_path, block, said):
    result, _ = pretrain(tmp_path, {"imitate": block})
    assert result.exit_code == 1 and said in " ".join(result.output.split())
    assert "epoch" not in result.output


def test_the_folder_of_the_network_is_looked_for_below_the_data(tmp_path):
    (tmp_path / "net").mkdir()
    options = ImitationOptions(kind="hf:net", weight=2)
    assert options.below(tmp_path).kind == f"hf:{tmp_path / 'net'}" and options.below(tmp_path).weight == 2
    for kind in ("hf:other", "hf:", "opensmile"):
        assert ImitationOptions(kind=kind).below(tmp_path).kind == kind
