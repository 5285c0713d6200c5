"""Too little memory is told from damage, and from there being nothing: what exists is kept."""

import errno
import os

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from emopipe.cache import tensors
from emopipe.core import tables
from emopipe.core.memory import is_out_of_memory
from emopipe.stills import archive
from emopipe.training import sharded_images

ALLOCATOR = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"
TOO_LITTLE_MEMORY = [
    MemoryError(),
    np._core._exceptions._ArrayMemoryError((5, 4), np.dtype("u1")),
    OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB."),
    RuntimeError(ALLOCATOR),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1981808640 bytes."),
    RuntimeError("unable to mmap 8 bytes from file <a>: Cannot allocate memory (12)"),
    RuntimeError("[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer of size 8"),
    cv2.error("OpenCV(4) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 8 bytes in function"),
    pd.errors.ParserError("Error tokenizing data. C error: out of memory"),
]
"""What libraries raise if the memory of the machine or the device is too small."""
OTHERS = [
    ValueError("a number"),
    OSError(errno.EIO, os.strerror(errno.EIO)),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    KeyError("memory"),
]


@pytest.mark.parametrize(
    ("error", "expected"), [*((error, True) for error in TOO_LITTLE_MEMORY), *((error, False) for error in OTHERS)]
)
def test_it_is_told_from_all_else(error, expected):
    assert is_out_of_memory(error) is expected


def fails(error):
    def fail(*_, **__):
        raise error

    return fail


def test_a_table_is_not_called_damaged(tmp_path, monkeypatch):
    tables.write(pd.DataFrame({"a": ["1"]}), tmp_path / "a.csv")
    monkeypatch.setattr(pd, "read_csv", fails(pd.errors.ParserError("Error tokenizing data. C error: out of memory")))
    with pytest.raises(MemoryError, match=r"a\.csv: Error tokenizing"):
        tables.read(tmp_path / "a.csv")


def test_a_torch_file_is_not_called_damaged(tmp_path, monkeypatch):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "a.pth")
    monkeypatch.setattr(torch, "load", fails(RuntimeError(ALLOCATOR)))
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        tensors.load_strict(torch.nn.Linear(1, 1), tmp_path / "a.pth")


def test_cut_stills_are_not_called_damaged(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.zeros((1, 2, 2), np.uint8))
    monkeypatch.setattr(np, "load", fails(MemoryError("too much")))
    with pytest.raises(MemoryError, match="too much"):
        sharded_images._map_images(tmp_path / "a.npy", (1, 2, 2))


def test_a_still_is_not_omitted(monkeypatch):
    error = cv2.error("OpenCV(4) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 8 bytes")
    monkeypatch.setattr(cv2, "imdecode", fails(error))
    with pytest.raises(MemoryError):
        archive.decode_image(b"a picture")
