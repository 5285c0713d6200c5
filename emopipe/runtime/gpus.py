"""The GPU of a process, if the machine has one: jobs that run at the same time on one machine use different GPUs.

A job locks a file of its GPU in a folder that all jobs of this user share, so the jobs need no common parent. The
system releases the lock when the process ends, also if it is killed.
"""

import fcntl
import functools
import itertools
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from emopipe.core.atomic import is_at
from emopipe.core.log import LOGGER

GPU_FILES = ("nvidia[0-9]*", "kfd", "dxg")
"""Devices of GPUs in /dev: NVIDIA, AMD, and the GPU of Windows in its Linux subsystem."""
VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
"""Environment variables that hide GPUs from programs: empty or -1 hides all."""

_CLAIMING = threading.Lock()
_CLAIMS: list["Claim"] = []
"""Keeps the lock of this process' GPU open."""


@dataclass(frozen=True)
class Claim:
    """A device that a job has claimed."""

    number: int
    """The index of the device."""
    others: int
    """Number of other jobs that use the device."""
    lock: TextIO
    """The claim ends when this file is closed."""


def has_gpu(devices: Path = Path("/dev"), environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether this machine seems to have a GPU. torch knows it better, but takes seconds to import.

    Args:
        devices: The folder of the system's devices.
        environment: The environment variables.
    """
    if any(environment.get(name, "0").strip() in ("", "-1") for name in VISIBLE):
        return False
    return any(next(devices.glob(pattern), None) for pattern in GPU_FILES)


def usable_by_torch() -> bool:
    """Return whether torch can use a GPU of this machine. It is not imported if there seems to be none."""
    if not has_gpu():
        return False
    import torch  # slow to import; detectors on the CPU do not need it

    return torch.cuda.is_available()


def own_gpu() -> int:
    """Return the number of the GPU that this process uses, as torch and onnxruntime count the visible GPUs.

    The first call claims the GPU that the fewest jobs use; the claim ends with the process. Only visible GPUs count, so
    a cluster that sets CUDA_VISIBLE_DEVICES has the choice. If no claim is possible, it is the first GPU.
    """
    with _CLAIMING:  # the first calls may be made in several threads at once
        return _claimed()


@functools.cache
def _claimed() -> int:
    devices = _visible()
    try:
        claimed = claim(devices, lock_folder()) if devices else None
    except OSError as error:
        LOGGER.warning(f"GPUs cannot be claimed ({error}), so jobs that run at the same time may share the first GPU.")
        return 0
    if claimed is None:
        return 0
    _CLAIMS.append(claimed)
    if len(devices) > 1 or claimed.others:
        shared = f" Other jobs that use it: {claimed.others}." if claimed.others else ""
        LOGGER.info(f"This job uses GPU {claimed.number} of {len(devices)} (counted from 0).{shared}")
    return claimed.number


def claim(devices: Sequence[str], folder: Path) -> Claim:
    """Claim the device that the fewest jobs use; of several, the first.

    If there are more jobs than devices, no device gets its second job before each device has one, and so on.

    Args:
        devices: A name for each device that is the same in all processes and can be part of a file name.
        folder: The folder of the locks. The files in it are never deleted: a process could lock a file that another one
            has just replaced.

    Raises:
        OSError: The folder cannot be written to, or its file system has no locks.
    """
    with _locked(folder / "claiming", wait=True):  # one job claims at a time
        jobs = [_jobs(folder, device) for device in devices]
        number = jobs.index(min(jobs))
        for place in itertools.count():
            if lock := _locked(folder / f"{devices[number]}.{place}"):
                return Claim(number, jobs[number], lock)


def lock_folder() -> Path:
    """Return the folder of this user's locks, which is the same for all jobs of a machine, whatever TMPDIR is.

    Raises:
        OSError: The folder cannot be made, or it belongs to another user.
    """
    folder = Path("/tmp", f"emopipe-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or not folder.is_dir() or folder.is_symlink():
        raise PermissionError(f"{folder} is not a folder of this user")
    return folder


def _visible() -> list[str]:
    """Return the unique ids of the GPUs that this process can see."""
    import torch  # slow to import; detectors on the CPU do not need it

    return [str(torch.cuda.get_device_properties(number).uuid) for number in range(torch.cuda.device_count())]


def _jobs(folder: Path, device: str) -> int:
    """Return how many jobs use a device."""
    jobs = 0
    for path in folder.glob(f"{device}.[0-9]*"):
        if lock := _locked(path):
            lock.close()
        else:
            jobs += 1
    return jobs


def _locked(path: Path, *, wait: bool = False) -> TextIO | None:
    """Return the open, locked file; None if another process holds the lock."""
    while True:
        file = open(path, "w")  # noqa: SIM115 - the lock lasts as long as the file is open
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if is_at(path, file):  # a cleaner of temporary files may have removed it
                return file
        except BlockingIOError:
            file.close()
            return None
        except BaseException:
            file.close()
            raise
        file.close()
