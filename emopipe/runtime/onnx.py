"""onnxruntime sessions that run where they were asked to: onnxruntime itself falls back to the CPU without a word."""

from pathlib import Path

import onnxruntime

from emopipe.core.errors import DeviceError, WeightsError

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def open_session(net: Path | bytes, *, device: str, threads: int) -> onnxruntime.InferenceSession:
    """Open an ONNX net with nothing printed.

    Args:
        net: The file, or its content.
        device: cpu, cuda, or auto: CUDA where this onnxruntime can use it, else the CPU (`device_of` tells).
        threads: CPU threads of one run.

    Raises:
        WeightsError: It is no ONNX net.
        DeviceError: CUDA is asked for and onnxruntime would run elsewhere.
    """
    name, source = ("a net", net) if isinstance(net, bytes) else (str(net), str(net))
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
    settings.log_severity_level = 3  # errors only: warnings here are about unused initialisers
    providers = _providers(device)
    try:
        session = onnxruntime.InferenceSession(source, settings, providers=providers)
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise WeightsError(f"onnxruntime cannot open {name} as an ONNX net ({error}): get the file again.") from error
    if device == "cuda" and device_of(session) != "cuda":
        raise DeviceError(
            f"onnxruntime opened {name} on {session.get_providers()[0]} instead of {PROVIDERS['cuda']}; check the CUDA "
            "driver and libraries, or set the device to cpu."
        )
    return session


def device_of(session: onnxruntime.InferenceSession) -> str:
    """`cuda` or `cpu`: where a session really runs."""
    return "cuda" if session.get_providers()[0] == PROVIDERS["cuda"] else "cpu"


def _providers(device: str) -> list[str]:
    """What to ask onnxruntime for, best first."""
    there = onnxruntime.get_available_providers()
    if device == "auto":
        return [PROVIDERS[name] for name in ("cuda", "cpu") if PROVIDERS[name] in there]
    if device not in PROVIDERS:
        raise DeviceError(f"onnxruntime is asked to run on '{device}'; use one of auto, cpu, cuda.")
    if PROVIDERS[device] not in there:
        raise DeviceError(
            f"The device '{device}' is asked for, but this onnxruntime has only {', '.join(there)}; install "
            "onnxruntime-gpu and a CUDA driver, or set the device to cpu."
        )
    return [PROVIDERS[device]]
