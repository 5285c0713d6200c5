"""Training on the device: it learns, repeats itself bit by bit, resumes, and says what does not fit."""

import numpy as np
import pytest
import torch

from emopipe.core.errors import DeviceError
from emopipe.training.checkpoint import Checkpoint
from emopipe.training.trainer import probabilities
from tests.gpu.samples import PRETRAIN, same, stills_trainer, write_corpus

SMALL = {"size": 48, "width": 8, "dim": 32}
NETS = [("expression", SMALL, None), ("expression", SMALL, 32), ("resnet18", {}, 64)]
"""Backbone, options, and the side of the faces in training: another side resizes the network's filters."""


def cpu_state(trainer):
    return {key: tensor.cpu() for key, tensor in trainer.model.state_dict().items()}


@pytest.mark.parametrize(("kind", "options", "side"), NETS, ids=["expression", "small side", "resnet18"])
def test_equal_trainings_have_equal_results(kind, options, side, where, tmp_path):
    states, histories = [], []
    for name in ("first", "second"):
        epochs = 2 if kind == "expression" else 1
        trainer = stills_trainer(kind, where, tmp_path / name, options=options, side=side, epochs=epochs)
        trainer.run()
        assert next(trainer.model.parameters()).device.type == where.type
        states.append(cpu_state(trainer))
        histories.append(trainer.history)
    assert same(*states)
    assert histories[0] == histories[1]
    assert all(np.isfinite(metrics["loss"]) for metrics in histories[0])


def test_it_learns(where, tmp_path):
    trainer = stills_trainer(
        "expression", where, tmp_path / "c", options=SMALL, epochs=12, ema=0.5, mixup=0.0, lr=0.05
    )  # fmt: skip
    trainer.run()
    assert trainer.history[-1]["loss"] < trainer.history[0]["loss"]
    assert trainer.history[-1]["val_accuracy"] > 0.6


def test_losses_are_close_to_those_of_the_cpu(where, tmp_path):
    losses = []
    for name, device in (("device", where), ("cpu", torch.device("cpu"))):
        trainer = stills_trainer("expression", device, tmp_path / name, options=SMALL, precision="float32", epochs=1)
        trainer.model.dropout.p = 0.0  # the generators of devices differ
        trainer.run()
        losses.append(trainer.history[0]["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


def test_an_interrupted_training_comes_to_the_same(where, tmp_path):
    def stop(_metrics):
        raise KeyboardInterrupt

    whole = stills_trainer("expression", where, tmp_path / "whole", options=SMALL, epochs=3, optimiser="adamw")
    whole.run()
    cut = stills_trainer("expression", where, tmp_path / "cut", options=SMALL, epochs=3, optimiser="adamw")
    cut.on_epoch = stop
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    again = stills_trainer("expression", where, tmp_path / "cut", options=SMALL, epochs=3, optimiser="adamw")
    again.run()
    assert same(cpu_state(whole), cpu_state(again))
    assert whole.history == again.history


def test_pretraining_comes_to_the_same_also_if_it_is_interrupted(where, device_name, tmp_path, monkeypatch):
    from emopipe.stages import pretrain
    from emopipe.training import checkpoint

    monkeypatch.setattr(checkpoint, "SAVE_SECONDS", 0)
    write_corpus(tmp_path)

    def run(folder):
        files = folder / "w.safetensors", folder / "h.csv"
        inputs = tmp_path / "clips.csv", [tmp_path / "0.h5"]
        pretrain.run(PRETRAIN, *inputs, *files, start=None, device=device_name, threads=1)
        return [file.read_bytes() for file in files]

    saved, save = [], Checkpoint.save

    def interrupt(self, state):
        save(self, state)
        saved.append(self)
        if len(saved) == 2:
            raise KeyboardInterrupt

    whole = run(tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Checkpoint, "save", interrupt)
        run(tmp_path / "cut")
    assert run(tmp_path / "cut") == whole


def test_scores_are_computed_in_smaller_batches_if_memory_is_short(where, tmp_path, nearly_full, log):
    """There is room for the faces, but not for what the network makes of them."""
    trainer = stills_trainer("resnet18", where, tmp_path / "c")
    trainer.model.to(where).eval()
    rows = np.arange(60 if where.type == "cuda" else 3)
    expected = probabilities(trainer.model, trainer.dataset, rows, where)
    (batch,) = trainer.dataset.eval_batches(rows, where)
    leave = 4 * 7 * batch.views[0].nbytes
    del batch
    with nearly_full(trainer.model, leave=leave):
        found = probabilities(trainer.model, trainer.dataset, np.tile(rows, 4), where)
    np.testing.assert_allclose(found, np.tile(expected, (4, 1)), atol=1e-4)
    assert f"is too small for a batch of {4 * len(rows)}" in log.text


def test_a_batch_that_does_not_fit_names_the_option_to_lower(where, tmp_path, nearly_full):
    trainer = stills_trainer("resnet18", where, tmp_path / "c", batch=64, epochs=1)
    probabilities(trainer.model.to(where), trainer.dataset, np.arange(1), where)  # cuDNN takes its own memory
    said = r"Lower `batch` \(it is 64\)"
    with nearly_full(trainer.model, leave=96 << 20), pytest.raises(DeviceError, match=said):
        trainer.run()
