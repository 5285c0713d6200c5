"""The torch device on which networks run, with deterministic arithmetic."""

import os

import torch

from emopipe.core.errors import DeviceError


def prepare(device: str, threads: int) -> torch.device:
    """Return the torch device for `auto`, `cpu` or `cuda`, and switch on deterministic arithmetic.

    Args:
        device: The config's `device`. `auto` is CUDA if there is a usable GPU, else the CPU.
        threads: CPU threads of torch.

    Raises:
        DeviceError: `cuda` is requested and there is no usable GPU. It never falls back to the CPU silently.
    """
    # cuBLAS reads this variable when it starts. Without it, its results may differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "device is cuda, but PyTorch finds no usable GPU. Check the driver and that a CUDA build of torch is "
            "installed, or set device to auto or cpu."
        )
    return torch.device(device)


def out_of_memory(error: Exception) -> bool:
    """Return whether PyTorch or onnxruntime, whose exceptions have no public class, ran out of device memory."""
    return isinstance(error, torch.OutOfMemoryError) or "Failed to allocate memory" in str(error)


def name_of(device: torch.device) -> str:
    """Return the device's name as cache files record it: the GPU's name, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
