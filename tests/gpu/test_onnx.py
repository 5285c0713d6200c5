"""ONNX networks on the device, where this onnxruntime can use it."""

import numpy as np
import pytest
import torch

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from emopipe.core.errors import DeviceError  # noqa: E402
from emopipe.core.memory import is_out_of_memory  # noqa: E402
from emopipe.runtime import gpus  # noqa: E402
from emopipe.runtime.onnx import device_of, open_session  # noqa: E402


@pytest.fixture(scope="module")
def net():
    """A network of two convolutions that takes images of any size; and the same in torch."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape).astype(np.float32) / 10 for shape in ((16, 3, 3, 3), (4, 16, 3, 3))]
    constants = [onnx.numpy_helper.from_array(w, f"w{number}") for number, w in enumerate(weights)]
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w0"], ["h"]),
        onnx.helper.make_node("Relu", ["h"], ["r"]),
        onnx.helper.make_node("Conv", ["r", "w1"], ["y"]),
    ]
    x, y = (onnx.helper.make_tensor_value_info(name, 1, [None] * 4) for name in ("x", "y"))
    graph = onnx.helper.make_graph(nodes, "g", [x], [y], constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString(), [torch.from_numpy(w) for w in weights]


@pytest.fixture
def session(net, device_name):
    if device_name == "cuda" and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(DeviceError, match="onnxruntime-gpu"):
            open_session(net[0], device="cuda", threads=1)
        pytest.skip("this onnxruntime was built without CUDA")
    return open_session(net[0], device=device_name, threads=1)


def test_it_runs_there_and_computes_what_the_cpu_computes(session, net, device_name):
    assert device_of(session) == device_name
    if device_name == "cuda":
        options = session.get_provider_options()["CUDAExecutionProvider"]
        assert options["cudnn_conv_algo_search"] == "HEURISTIC"
        assert options["use_tf32"] == "0"
        assert options["device_id"] == str(gpus.own_gpu())
    for side in (16, 33, 64):
        x = np.random.default_rng(side).normal(size=(2, 3, side, side)).astype(np.float32)
        found = session.run(None, {"x": x})[0]
        assert found.tobytes() == session.run(None, {"x": x})[0].tobytes()
        hidden = torch.conv2d(torch.from_numpy(x), net[1][0]).relu()
        np.testing.assert_allclose(found, torch.conv2d(hidden, net[1][1]).numpy(), atol=1e-4)


def test_auto_uses_what_this_onnxruntime_has(net, device_name):
    found = device_of(open_session(net[0], device="auto", threads=1))
    can_use_cuda = torch.cuda.is_available() and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    assert found == ("cuda" if can_use_cuda else "cpu")


def test_too_little_memory_is_recognised(session, where):
    if where.type != "cuda":
        pytest.skip("the memory of a CPU is not filled")
    torch.cuda.empty_cache()
    filling = torch.empty(max(0, torch.cuda.mem_get_info(where)[0] - (512 << 20)), dtype=torch.uint8, device=where)
    with pytest.raises(Exception) as caught:
        session.run(None, {"x": np.zeros((64, 3, 512, 512), np.float32)})
    del filling
    torch.cuda.empty_cache()
    assert is_out_of_memory(caught.value)
