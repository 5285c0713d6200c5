"""The device of the tests, and a device whose memory is nearly full."""

import contextlib
import os

# On a busy machine, threads that wait should sleep, not spin. Read when OpenMP is loaded, so set before torch.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
import torch

from emopipe.core.log import LOGGER
from emopipe.runtime import device as devices


def pytest_addoption(parser):
    parser.addoption("--device", default="cuda", choices=("cuda", "cpu"), help="where networks run; default: cuda")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--device") == "cuda" and not torch.cuda.is_available():
        for item in items:
            item.add_marker(pytest.mark.skip(reason="PyTorch finds no usable GPU; --device cpu runs this on the CPU"))


@pytest.fixture(scope="session")
def device_name(request):
    """The config's `device`."""
    return request.config.getoption("--device")


@pytest.fixture(scope="session")
def where(device_name):
    """The torch device."""
    return devices.prepare(device_name, threads=1)


@pytest.fixture
def log(caplog, monkeypatch):
    """What emopipe logs."""
    monkeypatch.setattr(LOGGER, "propagate", True)
    return caplog


@pytest.fixture
def nearly_full(where):
    """A context in which little memory of the device is free. On the CPU, batches of more than 4 samples do not fit."""

    @contextlib.contextmanager
    def on_gpu(network, leave=256 << 20):
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(where)
        filling = torch.empty(max(0, free - leave), dtype=torch.uint8, device=where)
        try:
            yield
        finally:
            del filling
            torch.cuda.empty_cache()

    @contextlib.contextmanager
    def on_cpu(network, leave=0):
        def refuse(_module, inputs):
            if len(inputs[0]) > 4:
                raise torch.OutOfMemoryError("simulated")

        # In training, a classifier's parts are called one by one.
        hook = getattr(network, "backbone", network).register_forward_pre_hook(refuse)
        try:
            yield
        finally:
            hook.remove()

    return on_gpu if where.type == "cuda" else on_cpu
