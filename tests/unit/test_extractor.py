"""Extraction where a device's memory is small, and where one clip of many breaks the network."""

import numpy as np
import pytest
import torch

from emopipe.backbones import registry
from emopipe.cache.failures import FailurePolicy
from emopipe.cache.status import FAILED, OK
from emopipe.cache.store import Reader
from emopipe.core.log import LOGGER
from emopipe.extraction import face
from emopipe.extraction.extractor import Extractor
from emopipe.faces.crops import read_crops
from tests.unit.test_pretraining import write_faces

BATCH = np.random.default_rng(0).normal(size=(13, 1, 32, 32)).astype(np.float32)


def extractor():
    options = registry.options_class("expression").model_validate({"size": 32, "width": 4, "dim": 8})
    where = {"torch_device": torch.device("cpu"), "device": "cpu", "threads": 1}
    return Extractor("expression", options, weights=None, pretrained=None, **where)


def holds(network, most, error):
    """Let the network's device hold so many at once; what it is asked to take."""
    asked = []

    def hook(_module, inputs):
        asked.append(len(inputs[0]))
        if len(inputs[0]) > most:
            raise error

    network._whole.register_forward_pre_hook(hook)
    return asked


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("Failed to allocate memory for requested buffer")],
)
def test_a_batch_that_is_too_large_is_halved_and_said(error, monkeypatch):
    whole, small = extractor(), extractor()
    asked = holds(small, 4, error)
    said = []
    monkeypatch.setattr(LOGGER, "warning", said.append)
    np.testing.assert_allclose(small.embed(-1, BATCH), whole.embed(-1, BATCH), atol=1e-5)
    assert asked == [13, 6, 3, 3, 3, 3, 1]
    np.testing.assert_allclose(small.embed(-1, BATCH), whole.embed(-1, BATCH), atol=1e-5)
    assert said == [
        f"The memory of cpu is too small for a batch of {n}. The batch size is now {n // 2}." for n in (13, 6)
    ]
    assert asked[7:] == [3, 3, 3, 3, 1]  # what did not fit once is not tried again


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), ValueError("odd")])
def test_what_cannot_be_halved_or_helped_is_raised(error):
    network = extractor()
    holds(network, 0, error)
    with pytest.raises(type(error)):
        network.embed(-1, BATCH)


def test_one_clip_that_breaks_the_network_costs_no_other(tmp_path):
    names = ["a", "b", "c"]
    write_faces(tmp_path / "0.h5", names, np.random.default_rng(0))
    network = extractor()
    with Reader(tmp_path / "0.h5") as faces:
        bad = network.spec.input.prepare(read_crops(faces, "b", network.spec.input))[0]

        def hook(_module, inputs):
            if any(np.array_equal(one, bad) for one in inputs[0].numpy()):
                raise ValueError("odd face")

        network._whole.register_forward_pre_hook(hook)
        rows = list(face.rows(faces, iter(names), network, 64, "", FailurePolicy("keep_going")))
    assert [row.status for row in rows] == [OK, FAILED, OK]
    assert "odd face" in rows[1].reason and not rows[1].arrays
    assert np.isfinite(rows[2].arrays["x"][rows[2].arrays["mask"]]).all()
