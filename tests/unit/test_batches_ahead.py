"""The next batch of a training is prepared in a thread: nothing but the time depends on it, and it never hangs."""

import contextlib
import threading
import time

import numpy as np
import pytest
import torch

from emopipe.backbones import registry
from emopipe.backbones.classifier import Classifier
from emopipe.core.errors import CorpusError, DeviceError
from emopipe.runtime.device import current
from emopipe.training import trainer as training
from emopipe.training.batches import AHEAD, prepared_ahead
from emopipe.training.checkpoint import Checkpoint
from emopipe.training.phase_options import SpeechPhase
from emopipe.training.speech_dataset import SpeechDataset
from emopipe.training.trainer import Trainer
from tests.gpu.samples import same, stills_trainer
from tests.unit.test_pretraining_trainer import Patterns, one_hot, seeded, trainer

CPU = torch.device("cpu")
STEPS = np.arange(12).reshape(6, 2)


def threads():
    """The threads that prepare batches."""
    return [thread for thread in threading.enumerate() if "ThreadPoolExecutor" in thread.name]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threads()
    yield
    assert set(threads()) <= set(before)


# --- the thread


def test_batches_come_in_order_with_the_random_numbers_of_one_thread():
    def draw(rows, rng):
        time.sleep(0.002 * float(torch.rand(1, generator=rng)))
        return rows, torch.rand(3, generator=rng)

    rng, again = seeded(), seeded()
    found = list(prepared_ahead(lambda rows: draw(rows, rng), STEPS))
    assert len(found) == len(STEPS)
    for (rows, numbers), step in zip(found, STEPS, strict=True):
        assert np.array_equal(rows, step) and torch.equal(numbers, draw(step, again)[1])
    assert torch.equal(rng.get_state(), again.get_state())


def test_the_next_batch_is_prepared_meanwhile_and_no_more_than_that():
    begun = [threading.Event() for _ in STEPS]
    made_by = set()

    def prepare(rows):
        begun[rows[0] // 2].set()
        made_by.add(threading.current_thread())
        return rows

    with contextlib.closing(prepared_ahead(prepare, STEPS)) as batches:
        for number, _ in enumerate(batches):
            if number + AHEAD < len(STEPS):
                assert begun[number + AHEAD].wait(10)
            time.sleep(0.01)  # enough for a batch that should not be prepared yet
            assert sum(event.is_set() for event in begun) <= number + 1 + AHEAD
    assert len(made_by) == 1 and threading.current_thread() not in made_by


def test_an_error_comes_with_its_batch():
    asked = []

    def prepare(rows):
        asked.append(rows[0])
        if rows[0] == 4:
            raise CorpusError("a shard is damaged")
        return rows[0]

    batches = prepared_ahead(prepare, STEPS)
    assert [next(batches), next(batches)] == [0, 2]
    with pytest.raises(CorpusError, match="a shard is damaged"):
        next(batches)
    assert asked in ([0, 2, 4], [0, 2, 4, 6])


# --- training


def speech_trainer(folder, **keys):
    """A training on speech, whose augmentation draws from all of its ranges."""
    pytest.importorskip("librosa")
    augment = {"pitch": 0.1, "room": 0.3, "noise_slope": 3, "equaliser_db": 4, "band_limit": 0.3}
    phase = SpeechPhase(sources=["drawn"], epochs=2, batch=4, lr=0.01, seconds=0.5, augment=augment, **keys)
    rng = np.random.default_rng(0)
    waves = [(2000 * rng.normal(size=length)).astype(np.int16) for length in rng.integers(9000, 16000, 16)]
    options = registry.options_class("speech").model_validate({"spectrum": {"kind": "logmel"}, "width": 4, "dim": 8})
    spec = registry.spec("speech", options)
    split, nobody = np.full(16, "train"), np.full(16, "")
    dataset = SpeechDataset(waves, one_hot(np.arange(16) % 7), split, nobody, spec.input, phase)
    torch.manual_seed(0)
    model = Classifier(registry.build("speech", options), spec.dim, 0.2)
    return Trainer(model, dataset, phase, CPU, Checkpoint(folder / "checkpoint.pt", "a recipe"))


def small_stills_trainer(folder):
    options = {"size": 32, "width": 4, "dim": 8}
    return stills_trainer("expression", CPU, folder, options=options, mixup=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("make", [trainer, small_stills_trainer, speech_trainer], ids=["toy", "stills", "speech"])
def test_the_trained_weights_do_not_depend_on_it(make, tmp_path, monkeypatch):
    found = []
    for is_ahead in (False, True):
        monkeypatch.setattr(Trainer, "_prepares_ahead", lambda _self, is_ahead=is_ahead: is_ahead)
        found.append(make(tmp_path / str(is_ahead)))
        found[-1].run()
    assert same(*(made.model.state_dict() for made in found))
    assert found[0].history == found[1].history and len(found[0].history) > 1


class Failing(Patterns):
    """The toy dataset; its fourth batch raises an error."""

    def __init__(self, error):
        super().__init__()
        self._error = error

    def batch(self, rows, rng, device):
        if self.seen == 3:
            raise self._error
        return super().batch(rows, rng, device)


@pytest.mark.parametrize("is_ahead", [False, True])
def test_errors_are_those_of_training(is_ahead, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "_prepares_ahead", lambda _self: is_ahead)
    full = torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(DeviceError, match=r"The memory of cpu is too small for this training\. Lower `batch`"):
        trainer(tmp_path, dataset=Failing(full)).run()
    with pytest.raises(CorpusError, match="a shard is damaged"):
        trainer(tmp_path, dataset=Failing(CorpusError("a shard is damaged"))).run()


@pytest.mark.parametrize("is_ahead", [False, True])
def test_an_interruption_ends_training_within_a_batch(is_ahead, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "_prepares_ahead", lambda _self: is_ahead)
    dataset, taken = Patterns(), []
    made = trainer(tmp_path, dataset=dataset)

    def interrupted(batch):
        taken.append(batch)
        raise KeyboardInterrupt

    made._step = interrupted
    with pytest.raises(KeyboardInterrupt):
        made.run()
    assert len(taken) == 1 and dataset.seen <= 1 + AHEAD
    assert not threads()


# --- the device


def test_batches_are_prepared_with_the_trainings_gpu(tmp_path, monkeypatch):
    """A new thread starts with the first GPU of the machine."""
    entered = []

    @contextlib.contextmanager
    def enter(device):
        entered.append((device, threading.current_thread()))
        yield

    monkeypatch.setattr(training, "current", enter)
    monkeypatch.setattr(Trainer, "_prepares_ahead", lambda _self: True)
    trainer(tmp_path, epochs=1).run()
    assert len(entered) == 7 and {device for device, _ in entered} == {CPU}
    assert threading.current_thread() not in {thread for _, thread in entered}


def test_the_current_gpu():
    assert current(torch.device("cuda", 3)).idx == 3
    with current(CPU) as found:
        assert found is None


@pytest.mark.parametrize(("device", "expected"), [("cuda", True), ("cpu", False)])
def test_batches_are_prepared_ahead_on_a_gpu(device, expected, tmp_path):
    made = trainer(tmp_path)
    made.device = torch.device(device)
    assert made._prepares_ahead() is expected
