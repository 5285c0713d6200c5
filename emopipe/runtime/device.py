"""Where networks run, and how reproducibly."""

import os

import torch

from emopipe.core.errors import DeviceError


def prepare(device: str, threads: int) -> torch.device:
    """The device that the config's `auto`, `cpu` or `cuda` means, with deterministic arithmetic switched on.

    Raises:
        DeviceError: `cuda` was asked for and there is no usable GPU; it never falls back silently.
    """
    # cuBLAS reads this when it starts: without it, its results may differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "device is cuda, but PyTorch finds no usable GPU: check the driver and that a CUDA build of torch is "
            "installed, or set device to auto or cpu."
        )
    return torch.device(device)


def out_of_memory(error: Exception) -> bool:
    """Whether PyTorch or onnxruntime, whose exceptions have no public class, found too little memory on its device."""
    return isinstance(error, torch.OutOfMemoryError) or "Failed to allocate memory" in str(error)


def name_of(device: torch.device) -> str:
    """The device's name as files record it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
