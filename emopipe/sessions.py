"""onnxruntime sessions that run where they were asked to: onnxruntime itself falls back to the CPU without a word."""

from pathlib import Path

import onnxruntime

from emopipe.errors import DeviceError, WeightsError

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def resolve(device: str) -> str:
    """`cpu` or `cuda`: what the config's `auto`, `cpu` or `cuda` means for this onnxruntime.

    Raises:
        DeviceError: `cuda` is asked for and this onnxruntime has no CUDA, or the device is none of the three.
    """
    there = onnxruntime.get_available_providers()
    if device == "auto":
        return "cuda" if PROVIDERS["cuda"] in there else "cpu"
    if device not in PROVIDERS:
        raise DeviceError(
            f"onnxruntime is asked to run on '{device}'; use one of auto, {', '.join(sorted(PROVIDERS))}."
        )
    if PROVIDERS[device] not in there:
        raise DeviceError(
            f"The device '{device}' is asked for, but this onnxruntime has only {', '.join(there)}; install "
            "onnxruntime-gpu and a CUDA driver, or set the device to cpu."
        )
    return device


def open_session(net: Path | bytes, *, device: str, threads: int) -> onnxruntime.InferenceSession:
    """Open an ONNX net with nothing printed.

    Args:
        net: The file, or its content.
        device: auto, cpu or cuda.
        threads: CPU threads of one run.

    Raises:
        WeightsError: It is no ONNX net.
        DeviceError: CUDA is meant and onnxruntime would run elsewhere.
    """
    provider = PROVIDERS[resolve(device)]
    name = "a net" if isinstance(net, bytes) else str(net)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
    settings.log_severity_level = 3  # errors only: warnings here are about unused initialisers
    try:
        session = onnxruntime.InferenceSession(
            net if isinstance(net, bytes) else str(net), settings, providers=[provider]
        )
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise WeightsError(f"onnxruntime cannot open {name} as an ONNX net ({error}): get the file again.") from error
    if session.get_providers()[0] != provider:
        raise DeviceError(
            f"onnxruntime opened {name} on {session.get_providers()[0]} instead of {provider}; check the CUDA driver "
            "and libraries, or set the device to cpu."
        )
    return session
