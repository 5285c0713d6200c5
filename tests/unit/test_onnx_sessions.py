"""ONNX sessions: shared where a network is open, and how they are opened on a GPU."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from emopipe.core.errors import DeviceError
from emopipe.runtime import onnx as onnx_runtime
from emopipe.runtime.onnx import open_session


def scaled(by):
    """A network that multiplies its input by a number."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "y")]
    factor = helper.make_tensor("factor", TensorProto.FLOAT, [1], [float(by)])
    graph = helper.make_graph([helper.make_node("Mul", ["x", "factor"], ["y"])], "g", values[:1], values[1:], [factor])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def run(session):
    return session.run(None, {"x": np.ones(2, np.float32)})[0].tolist()


@pytest.fixture
def opened(monkeypatch):
    """The arguments of every session that onnxruntime opens."""
    calls, real = [], onnxruntime.InferenceSession

    def session(source, settings, providers):
        calls.append(providers)
        return real(source, settings, providers=[name for name, _ in providers if name != "CUDAExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    return calls


def test_threads_share_one_session(opened):
    barrier = threading.Barrier(4)

    def job(_number):
        barrier.wait(10)
        return open_session(scaled(2), device="cpu", threads=1)

    with ThreadPoolExecutor(4) as pool:
        sessions = list(pool.map(job, range(4)))
    assert len(opened) == 1
    assert len(set(map(id, sessions))) == 1
    assert run(sessions[0]) == [2, 2]


def test_another_network_device_or_number_of_threads_is_opened_of_its_own(opened, tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(scaled(2))
    held = [open_session(path, device="cpu", threads=1), open_session(path, device="cpu", threads=2)]
    held.append(open_session(path, device="auto", threads=1))
    (tmp_path / "b.onnx").write_bytes(scaled(3))
    (tmp_path / "b.onnx").replace(path)
    held.append(open_session(path, device="cpu", threads=1))
    assert [run(session) for session in held] == [[2, 2], [2, 2], [2, 2], [3, 3]]
    assert len(opened) == 4


@pytest.mark.slow
def test_a_session_that_nobody_uses_is_closed(opened):
    session = open_session(scaled(5), device="cpu", threads=1)
    del session
    gc.collect()
    open_session(scaled(5), device="cpu", threads=1)
    assert len(opened) == 2


class TestCuda:
    @pytest.fixture(autouse=True)
    def machine(self, monkeypatch):
        """A machine whose onnxruntime was built for CUDA, but lacks a library; this process has the second GPU."""
        names = ["CUDAExecutionProvider", "CPUExecutionProvider"]
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
        monkeypatch.setattr(onnx_runtime, "own_gpu", lambda: 1)
        monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print("Failed to load libcudnn.so.9"))
        onnx_runtime._load_cuda_libraries.cache_clear()
        yield
        onnx_runtime._load_cuda_libraries.cache_clear()

    def test_options_of_cuda(self, opened, capsys):
        session = open_session(scaled(7), device="auto", threads=1)
        (name, options), (second, _) = opened[0]
        assert (name, second) == ("CUDAExecutionProvider", "CPUExecutionProvider")
        assert options == {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0", "device_id": "1"}
        assert onnx_runtime.device_of(session) == "cpu"
        assert not capsys.readouterr().out  # `emopipe evaluate --json` prints nothing else

    def test_a_library_that_cannot_be_loaded_is_in_the_message(self, opened):
        with pytest.raises(DeviceError, match=r"instead of CUDAExecutionProvider.*libcudnn\.so\.9"):
            open_session(scaled(11), device="cuda", threads=1)
