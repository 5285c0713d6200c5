"""The torch device on which networks run, with deterministic arithmetic."""

import contextlib
import os

import torch

from emopipe.core.errors import DeviceError
from emopipe.runtime import gpus

DEVICES = ("auto", "cpu", "cuda")
"""The values of the config's `device`."""


def prepare(device: str, threads: int) -> torch.device:
    """Return the torch device for `auto`, `cpu` or `cuda`, and switch on deterministic and exact arithmetic.

    On a machine with several GPUs, the process uses one of them, see `emopipe.runtime.gpus`.

    Args:
        device: The config's `device`. `auto` is CUDA if there is a usable GPU, else the CPU.
        threads: CPU threads of torch.

    Raises:
        DeviceError: There is no such device; or `cuda` is requested and there is no usable GPU. It never falls back to
            the CPU silently.
    """
    if device not in DEVICES:
        raise DeviceError(
            f"The device is {device!r}. Expected one of {', '.join(DEVICES)}. To choose one of several GPUs, set the "
            "environment variable CUDA_VISIBLE_DEVICES."
        )
    # cuBLAS reads this variable when it starts. Without it, its results may differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    # As torch.use_deterministic_algorithms(True, warn_only=True), which also imports torch's compiler.
    torch.set_deterministic_debug_mode("warn")
    torch.backends.cudnn.benchmark = False
    # TF32 keeps 10 bits of a float32's mantissa, so vectors would differ from those of the CPU from the third digit on.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    is_usable = device != "cpu" and torch.cuda.is_available()
    if device == "cuda" and not is_usable:
        raise DeviceError(
            "device is cuda, but PyTorch finds no usable GPU. Check the driver and that a CUDA build of torch is "
            "installed, or set device to auto or cpu."
        )
    if not is_usable:
        return torch.device("cpu")
    number = gpus.own_gpu()
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def upload(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a CPU tensor on a device. A copy to a GPU goes through pinned memory, and nobody waits for it."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def current(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Make a GPU the current one of this thread; nothing for the CPU.

    Pinned memory belongs to the current GPU, and a new thread starts with the machine's first one.
    """
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def name_of(device: torch.device) -> str:
    """Return the device's name as cache files record it: the GPU's name, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
