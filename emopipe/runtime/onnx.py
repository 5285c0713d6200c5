"""ONNX networks: the files that one consists of, and onnxruntime sessions on the requested device.

onnxruntime itself falls back to the CPU without a message, and it opens every file that a network refers to. Both are
errors here.
"""

import contextlib
import functools
import hashlib
import io
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from google.protobuf.message import Message

from emopipe.core.errors import DeviceError, WeightsError
from emopipe.runtime.gpus import own_gpu

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""Device -> onnxruntime's execution provider."""


CUDA_OPTIONS = {
    # By default, onnxruntime times all algorithms of cuDNN for every new shape of input: frames and batches have many
    # shapes, and the fastest algorithm is not the same one in each run.
    "cudnn_conv_algo_search": "HEURISTIC",
    "use_tf32": "0",  # as in `emopipe.runtime.device.prepare`
}
"""Options of the execution provider of CUDA."""

_SESSIONS: weakref.WeakValueDictionary[tuple[object, ...], onnxruntime.InferenceSession] = weakref.WeakValueDictionary()
_OPENING = threading.Lock()


def open_session(net: Path | bytes, *, device: str, threads: int) -> onnxruntime.InferenceSession:
    """Open an ONNX network in onnxruntime, without its log output.

    A session may run in several threads at once. So a network that is still open on the same device is not opened
    again, which would hold its weights in memory twice: the open session is returned.

    Args:
        net: The file, or its content.
        device: "cpu", "cuda" or "auto". "auto" is CUDA if this onnxruntime can use it, else the CPU; `device_of`
            returns which of them it is. Of several GPUs, it is the one of this process (`emopipe.runtime.gpus`).
        threads: CPU threads of one run.

    Raises:
        WeightsError: onnxruntime cannot open the network.
        DeviceError: The device is unknown or not available, or onnxruntime fell back from CUDA to the CPU.
    """
    with _OPENING:
        key = (_identity(net), device, threads)
        session = _SESSIONS.get(key)
        if session is None:
            session = _SESSIONS[key] = _open(net, device, threads)
        return session


def _identity(net: Path | bytes) -> tuple[object, ...]:
    """Return a value that is equal for equal networks. A file that is missing is onnxruntime's to report."""
    if isinstance(net, bytes):
        return (hashlib.sha256(net).digest(),)
    with contextlib.suppress(OSError):
        found = net.stat()
        return (net.resolve(), found.st_ino, found.st_size, found.st_mtime_ns)
    return (net,)


def _open(net: Path | bytes, device: str, threads: int) -> onnxruntime.InferenceSession:
    name, source = ("the network", net) if isinstance(net, bytes) else (str(net), str(net))
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
    settings.log_severity_level = 3  # errors only: the warnings are about unused initialisers
    providers = [_with_options(provider) for provider in _providers(device)]
    try:
        session = onnxruntime.InferenceSession(source, settings, providers=providers)
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise WeightsError(
            f"onnxruntime cannot open {name} as an ONNX network ({error}). Download or export the file again."
        ) from error
    if device == "cuda" and device_of(session) != "cuda":
        raise DeviceError(
            f"onnxruntime opened {name} on {session.get_providers()[0]} instead of {PROVIDERS['cuda']}. Check the CUDA "
            f"driver and libraries, or set the device to cpu. {_load_cuda_libraries()}".rstrip()
        )
    return session


def _with_options(provider: str) -> tuple[str, dict[str, Any]]:
    """Return an execution provider with its options; CUDA's libraries are loaded first."""
    if provider != PROVIDERS["cuda"]:
        return provider, {}
    _load_cuda_libraries()
    return provider, {**CUDA_OPTIONS, "device_id": str(own_gpu())}


@functools.cache
def _load_cuda_libraries() -> str:
    """Load the libraries of CUDA and cuDNN that pip has installed, because onnxruntime alone searches system folders.

    Returns:
        What onnxruntime prints about libraries that it cannot load. It would mix with the output of a command.
    """
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        onnxruntime.preload_dlls()
    return " ".join(printed.getvalue().split())


def device_of(session: onnxruntime.InferenceSession) -> str:
    """Return "cuda" or "cpu": the device on which a session runs."""
    return "cuda" if session.get_providers()[0] == PROVIDERS["cuda"] else "cpu"


def _providers(device: str) -> list[str]:
    """Return the execution providers to request from onnxruntime, best first."""
    available = onnxruntime.get_available_providers()
    if device == "auto":
        return [PROVIDERS[name] for name in ("cuda", "cpu") if PROVIDERS[name] in available]
    if device not in PROVIDERS:
        raise DeviceError(f"onnxruntime cannot run on the device '{device}'. Use one of auto, cpu, cuda.")
    if PROVIDERS[device] not in available:
        raise DeviceError(
            f"The device '{device}' is requested, but this onnxruntime has only {', '.join(available)}. Install "
            "onnxruntime-gpu and a CUDA driver, or set the device to cpu, or to auto, which uses it for torch alone."
        )
    return [PROVIDERS[device]]


def files_of(path: Path) -> list[Path]:
    """Return the file of an ONNX network and the files in its folder that hold its external tensors.

    Raises:
        WeightsError: The file is not an ONNX network, or a tensor is in a file that is missing or outside the
            network's folder.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's and the file system's
        raise WeightsError(
            f"{path} cannot be read as an ONNX network ({error}). Download or export the file again."
        ) from error
    folder, files = path.parent.resolve(), [path]
    for location, tensor in sorted({(location, tensor) for tensor, location in external_tensors(model)}):
        data = (folder / location).resolve()
        if not data.is_relative_to(folder):
            raise WeightsError(
                f"{path} stores its tensor '{tensor}' in {location}, which is outside its own folder. Such a network "
                "is refused. Use one whose data files are in its folder."
            )
        if not data.is_file():
            raise WeightsError(
                f"{path} stores its tensor '{tensor}' in {data}, and that file does not exist. Put it there."
            )
        files.append(data)
    return files


def external_tensors(message: Message) -> Iterator[tuple[str, str]]:
    """Yield (tensor, file) for each tensor that is stored in another file, also in subgraphs and functions."""
    if isinstance(message, onnx.TensorProto):
        yield from ((message.name, entry.value) for entry in message.external_data if entry.key == "location")
        return
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for inner in [value] if isinstance(value, Message) else value:
                yield from external_tensors(inner)
