"""Devices: whether torch and onnxruntime can use the GPU, by running a small network on it."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from emopipe.core.errors import EmopipeError
from emopipe.doctor.check import Check, State
from emopipe.runtime.onnx import PROVIDERS, open_session
from emopipe.workflow.config import Config
from emopipe.workflow.resources import has_gpu

CLOSE = 1e-4
"""The largest difference between the results of a GPU and of the CPU."""


def checks(config: Config | None = None) -> Iterator[Check]:
    """Yield the checks of torch and onnxruntime. With `device: cuda` in the config, a GPU is necessary."""
    device = config.device if config else "auto"
    yield torch_on_gpu(device)
    yield onnx_on_gpu(device)


def torch_on_gpu(device: str) -> Check:
    """Return whether torch computes on the GPU what it computes on the CPU."""
    fault: State = "problem" if device == "cuda" else "warning"
    version = f"torch {torch.__version__}"
    if device == "cpu":
        return Check("devices", "torch", "ok", f"{version} runs on the CPU, as device: cpu says.")
    if not torch.cuda.is_available():
        return _no_gpu(version, fault)
    try:
        name = torch.cuda.get_device_name()
        difference = _largest_difference()
    except RuntimeError as error:  # of CUDA: no kernels for this GPU, no memory, a driver that is too old
        why = str(error).partition("\n")[0]
        todo = "Check `nvidia-smi`, and install a CUDA build of torch for this GPU and driver, or set device: cpu."
        return Check("devices", "torch", fault, f"{version} sees a GPU, but a network fails on it ({why}).", todo)
    if difference > CLOSE:
        found = f"{version}: on {name}, a small network differs from the CPU by {difference:.1g}."
        return Check("devices", "torch", fault, found, "Check the GPU and its driver, or set device: cpu.")
    return Check("devices", "torch", "ok", f"{version} ran a small network on {name}.")


def _no_gpu(version: str, fault: State) -> Check:
    if has_gpu():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "a build for CPUs alone"
        found = f"This machine has a GPU, but {version} ({built}) cannot use it."
        todo = "Check `nvidia-smi`, and install a CUDA build of torch (docs/install.md), or set device: cpu."
        return Check("devices", "torch", fault, found, todo)
    if fault == "problem":
        todo = "Run on a machine with a GPU, or set device to auto or cpu."
        return Check("devices", "torch", fault, "device is cuda, but this machine has no GPU.", todo)
    return Check("devices", "torch", "ok", f"{version}; there is no GPU, so networks run on the CPU.")


def _largest_difference() -> float:
    """Return the largest difference between a small network's results on the GPU and on the CPU."""
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 5)
    )
    images = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)  # (N, C, H, W)
    with torch.inference_mode():
        expected = network(images)  # (N, 5)
        found = network.to("cuda")(images.to("cuda")).cpu()
    return float((found - expected).abs().max())


def onnx_on_gpu(device: str) -> Check:
    """Return whether onnxruntime runs a network on the GPU, if it has a provider for it."""
    wanted = "cuda" if device != "cpu" and PROVIDERS["cuda"] in onnxruntime.get_available_providers() else "cpu"
    version = f"onnxruntime {onnxruntime.__version__}"
    install = "Install onnxruntime-gpu in place of onnxruntime, or set device to auto or cpu."
    try:
        ran = provider_that_ran(wanted)
    except EmopipeError as error:
        state: State = "problem" if device == "cuda" or wanted == "cpu" else "warning"
        return Check("devices", "onnxruntime", state, str(error), install)
    found = f"{version} ran a small network on {ran}."
    if ran != PROVIDERS[wanted] or (device == "cuda" and wanted == "cpu"):
        return Check("devices", "onnxruntime", "problem" if device == "cuda" else "warning", found, install)
    if wanted == "cpu" and device == "auto" and torch.cuda.is_available():
        todo = "To run face detectors on the GPU too, install onnxruntime-gpu in place of onnxruntime."
        return Check("devices", "onnxruntime", "warning", f"{found} torch can use the GPU.", todo)
    return Check("devices", "onnxruntime", "ok", found)


def provider_that_ran(device: str) -> str:
    """Return the execution provider that ran the nodes of a small network; several are separated by commas.

    A session may list a provider and still run its nodes on another one. Only its profile says what happened.

    Raises:
        DeviceError: onnxruntime falls back to the CPU.
    """
    net = _small_network()
    open_session(net, device=device, threads=1)  # loads the libraries of CUDA, and refuses a fallback
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level, settings.enable_profiling = 1, 3, True
    with tempfile.TemporaryDirectory() as folder:
        settings.profile_file_prefix = str(Path(folder, "profile"))
        session = onnxruntime.InferenceSession(net, settings, providers=[PROVIDERS[device]])
        session.run(None, {"x": np.ones((1, 3, 8, 8), np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    ran = {event["args"]["provider"] for event in events if event.get("args", {}).get("provider")}
    return ", ".join(sorted(ran))


def _small_network() -> bytes:
    """Return an ONNX network of one convolution: (1, 3, 8, 8) to (1, 4, 6, 6)."""
    weight = np.linspace(-1, 1, 4 * 3 * 3 * 3).astype(np.float32).reshape(4, 3, 3, 3)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 6, 6])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
