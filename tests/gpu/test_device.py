"""The choice of the device, and its arithmetic."""

import pytest
import torch

from emopipe.core.errors import DeviceError
from emopipe.runtime import device as devices
from emopipe.runtime import gpus


def test_names(where, device_name):
    assert where.type == device_name
    assert devices.prepare("cpu", 1).type == "cpu"
    assert devices.name_of(where) == (torch.cuda.get_device_name(where) if device_name == "cuda" else "cpu")
    with pytest.raises(DeviceError, match="CUDA_VISIBLE_DEVICES"):
        devices.prepare("cuda:1", 1)


def test_auto_is_the_gpu_if_there_is_one(where):
    found = devices.prepare("auto", 1)
    assert found.type == ("cuda" if torch.cuda.is_available() else "cpu")
    if where.type == "cuda":
        assert found == where
        assert torch.cuda.current_device() == where.index == gpus.own_gpu()


def test_a_claimed_gpu_is_shared_only_if_there_is_no_other(where, tmp_path):
    names = gpus._visible() or ["made up"]
    assert len(set(names)) == len(names)
    claims = [gpus.claim(names, tmp_path) for _ in range(2 * len(names))]
    assert [one.number for one in claims] == 2 * list(range(len(names)))


def test_products_and_convolutions_are_those_of_float32(where):
    """TF32 would be off by about one thousandth of the largest value."""
    rng = torch.Generator().manual_seed(0)
    a, b = torch.randn(256, 512, generator=rng), torch.randn(512, 256, generator=rng)
    exact = a.double() @ b.double()
    assert (a.to(where) @ b.to(where)).cpu().sub(exact).abs().max() < 2e-5 * exact.abs().max()
    x, weight = torch.randn(4, 64, 24, 24, generator=rng), torch.randn(64, 64, 3, 3, generator=rng)
    exact = torch.nn.functional.conv2d(x.double(), weight.double())
    found = torch.nn.functional.conv2d(x.to(where), weight.to(where)).cpu()
    assert (found - exact).abs().max() < 5e-5 * exact.abs().max()


def test_uploaded_tensors_arrive_whole(where):
    tensors = [torch.full((1000, number + 1), float(number)) for number in range(20)]
    for tensor in [devices.upload(one, where) for one in tensors]:
        assert tensor.device.type == where.type
        assert (tensor == tensor.shape[1] - 1).all()
