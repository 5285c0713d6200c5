"""Too little memory of a device: prediction goes on in smaller batches, training says which option to lower."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from emopipe.backbones.classifier import Classifier
from emopipe.core.errors import DeviceError
from emopipe.core.log import LOGGER
from emopipe.core.memory import is_out_of_memory
from emopipe.evaluation import networks
from emopipe.fusion import training as fusion_training
from emopipe.runtime.memory import AdaptiveBatches, training_fits
from emopipe.training import trainer
from emopipe.training.dataset import EvalBatch
from tests.gpu.samples import fusion_dataset, fusion_runs

CPU = torch.device("cpu")
FULL = torch.OutOfMemoryError("CUDA out of memory")


@pytest.fixture(autouse=True)
def log(monkeypatch):
    monkeypatch.setattr(LOGGER, "propagate", True)


def limited(run, most, asked):
    """The function `run` on a device whose memory holds `most` samples; `asked` gets the sizes of the batches."""

    def on_device(batch):
        asked.append(len(batch))
        if len(batch) > most:
            raise FULL
        return run(batch)

    return on_device


@pytest.mark.parametrize(
    "text",
    [
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer of size 4096",
        "CUDA failure 2: out of memory ; GPU=0",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_errors_without_a_class(text):
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))


def test_an_allocation_that_the_cpu_refuses():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_batches_are_halved_until_they_fit_and_stay_small(caplog):
    asked = []
    batches = AdaptiveBatches("a card", largest=10)
    run = limited(lambda batch: batch * 2, 3, asked)
    x = torch.arange(13)
    assert torch.equal(torch.cat(batches.map(run, x)), 2 * x)
    assert asked == [10, 5, 2, 2, 2, 2, 2, 2, 1]
    asked.clear()
    assert torch.equal(torch.cat(batches.map(run, x[:4])), 2 * x[:4])
    assert asked == [2, 2]
    assert "The memory of a card is too small for a batch of 10. The batch size is now 5." in caplog.text


def test_other_errors_and_single_samples_are_raised():
    with pytest.raises(torch.OutOfMemoryError):
        AdaptiveBatches("a card").map(limited(lambda batch: batch, 0, []), np.zeros(4))
    with pytest.raises(ZeroDivisionError):
        AdaptiveBatches("a card").map(lambda batch: 1 / 0, np.zeros(4))
    assert [len(part) for part in AdaptiveBatches("a card").map(lambda batch: batch, np.zeros(0))] == [0]


def test_evaluation_goes_on_with_smaller_batches(monkeypatch):
    network = networks.open_network("expression", device=CPU, threads=1)
    batch = np.random.default_rng(0).normal(size=(5, 1, 48, 48)).astype(np.float32)
    expected = network.probabilities(batch)
    asked, real = [], Classifier.forward
    monkeypatch.setattr(Classifier, "forward", lambda model, x: limited(lambda part: real(model, part), 2, asked)(x))
    np.testing.assert_allclose(network.probabilities(batch), expected, atol=1e-6)
    assert asked == [5, 2, 2, 1]


def test_the_scores_of_a_training_go_on_with_smaller_batches():
    class Samples:
        def eval_batches(self, rows, device):
            yield EvalBatch([torch.eye(7)[rows], torch.eye(7)[rows] * 2])

    class Net(torch.nn.Module):
        def forward(self, x):
            return limited(lambda part: part * 3.0, 2, asked)(x)

    asked = []
    found = trainer.probabilities(Net(), Samples(), np.arange(5), CPU)
    assert asked == [5, 2, 2, 1, 2, 2, 1]
    expected = torch.stack([(torch.eye(7)[:5] * scale).double().softmax(1) for scale in (3.0, 6.0)]).mean(0)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6)


def test_prediction_by_fusion_goes_on_with_smaller_batches(monkeypatch):
    dataset = fusion_dataset(CPU)
    runs = fusion_runs("fbp", epochs=1, seeds=2)
    trained, rows = fusion_training.train(dataset, runs), [np.arange(20)] * len(runs)
    expected = fusion_training.predict(dataset, trained, rows)
    asked, real = [], type(dataset).full_batch

    def full_batch(data, part, view=0, network=0):
        return limited(lambda columns: real(data, columns.T, view), 6, asked)(part.T)

    monkeypatch.setattr(type(dataset), "full_batch", full_batch)
    found = fusion_training.predict(dataset, trained, rows)
    assert asked == [20, 10, 5, 5, 5, 5]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_training_names_the_option_to_lower():
    said = r"memory of cpu is too small for this training\. Lower `batch`\."
    with pytest.raises(DeviceError, match=said), training_fits(CPU, "Lower `batch`."):
        raise FULL
    with pytest.raises(ZeroDivisionError), training_fits(CPU, "Lower `batch`."):
        raise ZeroDivisionError


def test_training_of_fusion_names_the_options(monkeypatch):
    def full(*_):
        raise FULL

    monkeypatch.setattr(fusion_training, "_train_stack", full)
    with pytest.raises(DeviceError, match="Lower `batch`, `hidden` or `frames` of the model"):
        fusion_training.train(fusion_dataset(CPU), fusion_runs("fbp", epochs=1, seeds=1))


def test_threads_that_run_short_at_once_halve_once_and_lose_no_sample(monkeypatch):
    said = []
    monkeypatch.setattr(LOGGER, "warning", said.append)
    batches, all_began = AdaptiveBatches("cpu"), threading.Barrier(4)

    def run(part):
        if len(part) == 16:
            all_began.wait()
            raise torch.OutOfMemoryError("CUDA out of memory")
        return part

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: batches.map(run, np.arange(16)), range(4)))
    for parts in found:
        assert [len(part) for part in parts] == [8, 8]
        np.testing.assert_array_equal(np.concatenate(parts), np.arange(16))
    assert said == ["The memory of cpu is too small for a batch of 16. The batch size is now 8."]
